package ingress

import (
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	// bodyMax is the largest webhook, 3 MiB: Meta documents 3 MB with up to 1000
	// updates, the most of all providers. A plugin takes messages of 8 MiB.
	bodyMax = 3 << 20
	// bodyDeadline is what a sender gets to send it.
	bodyDeadline = 10 * time.Second
	// Bodies larger than smallBody share largeMax of memory: anybody may send
	// them, for their signatures can be looked at only when they are there.
	smallBody = 64 << 10
	largeMax  = 128 << 20
)

// body reads a webhook's body. free gives its room back, and is to be called in
// any case when the webhook has been answered.
func (h *Handler) body(w http.ResponseWriter, r *http.Request) (body []byte, free func(), err error) {
	free = func() {}
	size := r.ContentLength
	if size < 0 || size > bodyMax {
		size = bodyMax
	}
	if size > smallBody {
		free = func() { h.large.Add(-size) }
		if h.large.Add(size) > largeMax {
			return nil, free, ErrFull
		}
	}
	clock := http.NewResponseController(w)
	_ = clock.SetReadDeadline(time.Now().Add(bodyDeadline)) // not every writer can
	defer func() { _ = clock.SetReadDeadline(time.Time{}) }()
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, free, ErrTooLarge
	}
	if err != nil {
		return nil, free, ErrMalformed.With(err)
	}
	return body, free, nil
}
