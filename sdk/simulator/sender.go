package simulator

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Defaults of [Sender].
const (
	postTimeout  = 20 * time.Second
	firstRetry   = time.Second
	lastRetry    = 10 * time.Minute
	maxDelivered = 8
)

// Delivery is one webhook, ready to be posted.
type Delivery struct {
	URL    string
	Header http.Header
	Body   []byte
}

// Sender posts webhooks as providers do: again, with growing pauses, while the
// answer is not of the 200s. Any number of goroutines may use it.
type Sender struct {
	// Scheduler runs deliveries and retries.
	Scheduler *Scheduler
	// FirstRetry is the pause before the second attempt; each later one is
	// twice as long, up to ten minutes. Zero means a second.
	FirstRetry time.Duration
	// Attempts is how often a webhook is posted at most; zero means eight.
	Attempts int

	client *http.Client
}

// NewSender returns a sender that works through s.
func NewSender(s *Scheduler) *Sender {
	return &Sender{Scheduler: s, client: &http.Client{
		Timeout:       postTimeout,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: 30 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Deliver posts d now and tells the status of the answer. If that is not of the
// 200s, or there is none, the retries follow by themselves.
func (s *Sender) Deliver(ctx context.Context, d Delivery) (status int, err error) {
	status, err = s.post(ctx, d)
	if err != nil || status < 200 || status > 299 {
		s.retry(d, 2)
	}
	return status, err
}

// Enqueue delivers d after a pause, with retries, without telling how it went.
func (s *Sender) Enqueue(after time.Duration, d Delivery) {
	s.Scheduler.After(after, func(ctx context.Context) { _, _ = s.Deliver(ctx, d) })
}

// Close lets go of idle connections.
func (s *Sender) Close() { s.client.CloseIdleConnections() }

func (s *Sender) retry(d Delivery, attempt int) {
	limit, pause := s.Attempts, s.FirstRetry
	if limit == 0 {
		limit = maxDelivered
	}
	if pause == 0 {
		pause = firstRetry
	}
	if attempt > limit {
		return
	}
	for range attempt - 2 {
		pause = min(2*pause, lastRetry)
	}
	s.Scheduler.After(pause, func(ctx context.Context) {
		status, err := s.post(ctx, d)
		if err != nil || status < 200 || status > 299 {
			s.retry(d, attempt+1)
		}
	})
}

func (s *Sender) post(ctx context.Context, d Delivery) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		return 0, fmt.Errorf("the webhook's address is not valid: %w", err)
	}
	req.Header = d.Header.Clone()
	resp, err := s.client.Do(req)
	if err != nil {
		// Without the address: it has the webhook's token in it.
		return 0, cause(err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is used again
	return resp.StatusCode, nil
}
