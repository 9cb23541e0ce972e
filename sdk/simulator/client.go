package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"
)

// EnvSimulator is the variable that names the file in which the demo wrote
// where the simulator listens.
const EnvSimulator = "STRATO_SIMULATOR"

// Client drives a running simulator.
type Client struct {
	base string
	http *http.Client
}

// NewClient returns a client for the simulator at a base URL.
func NewClient(baseURL string) *Client {
	return &Client{base: baseURL, http: &http.Client{Timeout: 30 * time.Second}}
}

// FindClient returns a client for the simulator that the file at path announces.
func FindClient(path string) (*Client, error) {
	const hint = "start the demo first, with: make run"
	if path == "" {
		return nil, fmt.Errorf("no simulator is running (%s is not set); %s", EnvSimulator, hint)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("no simulator is running (there is no %s); %s", path, hint)
	}
	var a Announcement
	if err := json.Unmarshal(raw, &a); err != nil || a.BaseURL == "" {
		return nil, fmt.Errorf("the file %s does not say where the simulator is; %s", path, hint)
	}
	return NewClient(a.BaseURL), nil
}

// Account opens an account; see [Provider].
func (c *Client) Account(ctx context.Context, r AccountRequest) (Account, error) {
	var out Account
	return out, c.post(ctx, "accounts", nil, r, &out)
}

// Say lets a person write. The request is the provider's own.
func (c *Client) Say(ctx context.Context, request any) (Said, error) {
	var out Said
	return out, c.post(ctx, "say", nil, request, &out)
}

// Replay posts a webhook body of one's own.
func (c *Client) Replay(ctx context.Context, to string, asIs bool, body []byte) (Said, error) {
	q := url.Values{"to": {to}}
	if asIs {
		q.Set("as_is", "true")
	}
	var out Said
	return out, c.do(ctx, http.MethodPost, "replay", q, body, &out)
}

// Messages lists what phones show; phone may be empty.
func (c *Client) Messages(ctx context.Context, account, phone string) ([]Message, error) {
	var out struct {
		Items []Message `json:"items"`
	}
	err := c.do(ctx, http.MethodGet, "messages", url.Values{"account": {account}, "phone": {phone}}, nil, &out)
	return out.Items, err
}

// Faults reads the switches into out, a pointer.
func (c *Client) Faults(ctx context.Context, out any) error {
	return c.do(ctx, http.MethodGet, "faults", nil, nil, out)
}

// SetFaults turns the switches that patch names and reads all of them into out.
func (c *Client) SetFaults(ctx context.Context, patch, out any) error {
	return c.post(ctx, "faults", nil, patch, out)
}

// ClearFaults puts all switches back.
func (c *Client) ClearFaults(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "faults", nil, nil, &json.RawMessage{})
}

func (c *Client) post(ctx context.Context, path string, q url.Values, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	return c.do(ctx, http.MethodPost, path, q, body, out)
}

func (c *Client) do(ctx context.Context, method, path string, q url.Values, body []byte, out any) error {
	at := c.base + controlPath + path
	if len(q) > 0 {
		at += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the simulator's address is not valid: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("the simulator does not answer at %s; is the demo still running? (%w)", c.base, cause(err))
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("the simulator's answer broke off: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var refused struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(raw, &refused) != nil || refused.Error == "" {
			refused.Error = fmt.Sprintf("the simulator answered HTTP %d", resp.StatusCode)
		}
		return &Refusal{Status: resp.StatusCode, Words: refused.Error}
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("the simulator's answer cannot be read: %w", err)
	}
	return nil
}

// cause takes the URL out of an error of net/http.
func cause(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
