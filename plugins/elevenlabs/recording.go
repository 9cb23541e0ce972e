package main

import (
	"context"
	"errors"
	"io"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// FetchMedia implements [sdk.MediaFetcher] for recordings of calls, which are
// named by their conversation.
func (s *studio) FetchMedia(ctx context.Context, ref sdk.MediaRef, limit int64) (sdk.MediaFile, error) {
	if ref.ProviderID == "" {
		return sdk.MediaFile{}, refusal(failure.Media, failure.Plugin, "ElevenLabs has only recordings of conversations")
	}
	resp, err := s.api.open(ctx, call{path: []string{"v1", "convai", "conversations", ref.ProviderID, "audio"}})
	if err != nil {
		return sdk.MediaFile{}, err
	}
	if resp.ContentLength > 0 {
		ref.Size = uint64(resp.ContentLength)
	}
	if limit > 0 && resp.ContentLength > limit {
		_ = resp.Body.Close()
		return sdk.MediaFile{}, tooLarge()
	}
	if t := resp.Header.Get("Content-Type"); t != "" {
		ref.MIMEType = t
	}
	return sdk.MediaFile{Ref: ref, Body: &bounded{body: resp.Body, limit: limit}}, nil
}

func tooLarge() error {
	return refusal(failure.Media, failure.Tenant, "the recording is larger than Strato keeps")
}

// bounded fails once more than limit bytes were read; a limit of 0 is none.
type bounded struct {
	body  io.ReadCloser
	limit int64
	read  int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.read += int64(n)
	if b.limit > 0 && b.read > b.limit {
		return 0, tooLarge()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = errors.Join(refusal(failure.Temporary, failure.Provider, "the recording broke off"), err)
	}
	return n, err
}

// Close implements io.Closer.
func (b *bounded) Close() error { return b.body.Close() }
