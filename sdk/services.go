package sdk

import (
	"context"
	"errors"
	"io"
	"time"
)

// Errors of the host's services. Others say that the host could not be reached
// or could not do it now; trying again later may help.
var (
	// ErrNoService says that this host does not offer the service.
	ErrNoService = errors.New("this host does not offer the service")
	// ErrNoCall says that the context is not that of a call for an installation,
	// or of one that began more than five minutes ago.
	ErrNoCall = errors.New("host services need the context of a call for an installation, not older than five minutes")
	// ErrLimit says that something is larger than allowed, or there is no room left.
	ErrLimit = errors.New("a limit of the host is reached")
	// ErrNotFound says that the installation has nothing of that name.
	ErrNotFound = errors.New("the installation has no such thing")
)

// Services are what the host does for a plugin. Each method works for the
// installation whose call ctx belongs to, and for no other: there is no way to
// name one. A context that was derived from a call's works for five minutes
// after the call began, also in another goroutine.
type Services struct {
	State   State
	Secrets Secrets
	Blobs   Blobs
	Events  Events
}

// StateValue is a small value that the host keeps.
type StateValue struct {
	Data []byte
	// Version grows with each write of the key; 0 means that there is no value.
	Version uint64
}

// State keeps small values of an installation: cursors, provider ids, what was
// seen last. All processes and nodes see the same. A key has at most 200 bytes,
// a value 64 KiB, and an installation 1000 keys and 1 MiB in all; more fails
// with [ErrLimit].
type State interface {
	// Get reads a value. One that is not there has version 0 and is no error.
	Get(ctx context.Context, key string) (StateValue, error)
	// Put writes a value, which is forgotten after ttl; zero keeps it.
	Put(ctx context.Context, key string, data []byte, ttl time.Duration) error
	// PutIf writes a value only if the key still has that version, 0 for a key
	// that is not there. It returns the version there is now and whether the
	// value was written.
	PutIf(ctx context.Context, key string, data []byte, ttl time.Duration, version uint64) (now uint64, written bool, err error)
	// Delete removes a value. One that is not there is no error.
	Delete(ctx context.Context, key string) error
	// DeleteIf removes a value only if it still has that version.
	DeleteIf(ctx context.Context, key string, version uint64) (deleted bool, err error)
	// List names the keys that begin with prefix, in order, at most 100 at a
	// time. page is empty for the first; next is empty after the last.
	List(ctx context.Context, prefix, page string) (keys []string, next string, err error)
}

// Secrets replaces an installation's secrets when the provider rotates them,
// such as a refresh token that works once.
type Secrets interface {
	// Rotate stores secrets by JSON pointer as a new revision; others stay. It
	// does nothing when the settings are no longer of revision from: then
	// somebody changed them, or another process was quicker. It returns the
	// revision in force and whether the secrets were stored. The instance that
	// called it is replaced by one with the new secrets at the next call.
	Rotate(ctx context.Context, from uint64, secrets map[string]string) (revision uint64, stored bool, err error)
}

// Blob is what the host knows of a stored file.
type Blob struct {
	ID, MIMEType string
	Size         uint64
	// SHA256 is in lower-case hex; empty when the blob is read.
	SHA256 string
}

// Blobs keeps files of an installation for 30 days: at most 64 MiB each and
// 1 GiB in all. More fails with [ErrLimit].
type Blobs interface {
	// Write stores a file.
	Write(ctx context.Context, mimeType string, body io.Reader) (Blob, error)
	// Read opens a file. The caller closes it.
	Read(ctx context.Context, id string) (Blob, io.ReadCloser, error)
}

// Events takes events that did not come by webhook: of plugins that poll, or
// hold a connection to the provider.
type Events interface {
	// Publish stores events, at most 500, each with a dedupe key. They go the
	// way of a webhook's events: one that is known changes nothing, and one that
	// names another's account is dropped.
	Publish(ctx context.Context, events ...Event) error
}
