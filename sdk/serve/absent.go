package serve

import (
	"context"
	"io"
	"time"

	"github.com/stratohub/strato/sdk"
)

// Services that this host does not offer.
type (
	noState   struct{}
	noSecrets struct{}
	noBlobs   struct{}
	noEvents  struct{}
)

func (noState) Get(context.Context, string) (sdk.StateValue, error) {
	return sdk.StateValue{}, sdk.ErrNoService
}

func (noState) Put(context.Context, string, []byte, time.Duration) error { return sdk.ErrNoService }

func (noState) PutIf(context.Context, string, []byte, time.Duration, uint64) (uint64, bool, error) {
	return 0, false, sdk.ErrNoService
}

func (noState) Delete(context.Context, string) error { return sdk.ErrNoService }

func (noState) DeleteIf(context.Context, string, uint64) (bool, error) {
	return false, sdk.ErrNoService
}

func (noState) List(context.Context, string, string) ([]string, string, error) {
	return nil, "", sdk.ErrNoService
}

func (noSecrets) Rotate(context.Context, uint64, map[string]string) (uint64, bool, error) {
	return 0, false, sdk.ErrNoService
}

func (noBlobs) Write(context.Context, string, io.Reader) (sdk.Blob, error) {
	return sdk.Blob{}, sdk.ErrNoService
}

func (noBlobs) Read(context.Context, string) (sdk.Blob, io.ReadCloser, error) {
	return sdk.Blob{}, nil, sdk.ErrNoService
}

func (noEvents) Publish(context.Context, ...sdk.Event) error { return sdk.ErrNoService }
