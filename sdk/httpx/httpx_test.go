package httpx_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/httpx"
)

// provider is a server on loopback and a client whose operator points there.
func provider(t *testing.T, c httpx.Config, h http.HandlerFunc) (*httpx.Client, string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c.BaseURL = s.URL
	client, err := httpx.New(c)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client, s.URL
}

// fails asks for the failure in an error.
func fails(t *testing.T, err error) *failure.Failure {
	t.Helper()
	var f *failure.Failure
	require.ErrorAs(t, err, &f)
	return f
}

func TestCall(t *testing.T) {
	t.Parallel()

	c, url := provider(t, httpx.Config{UserAgent: "Test/1"}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", strings.Join([]string{r.Method, r.Header.Get("Content-Type"), r.UserAgent(), r.Header.Get("Authorization")}, " "))
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
	})
	r, err := c.Call(t.Context(), httpx.Request{URL: url, JSON: map[string]string{"a": "b"}, Header: http.Header{"Authorization": {"Bearer x"}}})
	require.NoError(t, err)
	require.Equal(t, 201, r.Status)
	require.True(t, r.OK())
	require.Nil(t, r.Failure())
	require.Equal(t, "POST application/json Test/1 Bearer x", r.Header.Get("X-Seen"))
	var v struct{ A string }
	require.NoError(t, r.Decode(&v))
	require.Equal(t, "b", v.A)

	r, err = c.Call(t.Context(), httpx.Request{URL: url})
	require.NoError(t, err)
	require.Equal(t, "GET  Test/1", r.Header.Get("X-Seen"))
	require.Error(t, r.Decode(&v))
	_, err = c.Call(t.Context(), httpx.Request{URL: url, JSON: func() {}})
	require.Equal(t, failure.NotSent, fails(t, err).Outcome)
}

func TestOnlyAllowedPlaces(t *testing.T) {
	t.Parallel()

	c, err := httpx.New(httpx.Config{Hosts: []string{"api.example.com", "*.cdn.example.com", "localhost", "127.0.0.1", "other.example.com:8443"}})
	require.NoError(t, err)
	for _, url := range []string{
		"https://example.com/", "https://evil.example.com/", "http://api.example.com/", "https://api.example.com:8443/", "https://other.example.com/",
		"https://cdn.example.com/", "https://api.example.com@evil.com/", "https://api.example.com.evil.com/", "https://evilcdn.example.com/",
		"ftp://api.example.com/", "file:///etc/passwd", "https:///", "//api.example.com/",
		// Listed, but private: whoever controls the name server must not get us there.
		"https://localhost/", "https://127.0.0.1/",
	} {
		_, err := c.Call(t.Context(), httpx.Request{URL: url + "?token=s3cret", Body: []byte("x")})
		f := fails(t, err)
		require.Equal(t, failure.InvalidRequest, f.Code, url)
		require.Equal(t, failure.NotSent, f.Outcome, url)
		require.Equal(t, failure.Plugin, f.Blame, url)
		require.NotContains(t, err.Error(), "s3cret")
	}
	for _, bad := range []httpx.Config{{Hosts: []string{"*"}}, {Hosts: []string{"*.com"}}, {Hosts: []string{"https://x.com"}}, {Hosts: []string{""}},
		{BaseURL: "graph.example.com"}, {BaseURL: "ftp://x"}} {
		_, err := httpx.New(bad)
		require.Error(t, err, "%v", bad)
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()

	var posts atomic.Int32
	c, url := provider(t, httpx.Config{}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/here":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/there":
			_, _ = io.WriteString(w, "arrived "+r.Header.Get("Authorization"))
		case "/out":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/post":
			posts.Add(1)
			http.Redirect(w, r, "/post", http.StatusTemporaryRedirect)
		}
	})
	r, err := c.Call(t.Context(), httpx.Request{URL: url + "/here", Header: http.Header{"Authorization": {"key"}}})
	require.NoError(t, err)
	require.Equal(t, "arrived key", string(r.Body))
	_, err = c.Call(t.Context(), httpx.Request{URL: url + "/out"})
	require.Equal(t, failure.InvalidRequest, fails(t, err).Code)
	_, err = c.Call(t.Context(), httpx.Request{URL: url + "/loop"})
	require.ErrorContains(t, err, "too many redirects")
	r, err = c.Call(t.Context(), httpx.Request{URL: url + "/post", Body: []byte("x")})
	require.NoError(t, err)
	require.Equal(t, 307, r.Status)
	require.Equal(t, int32(1), posts.Load(), "a POST was repeated")
}

func TestOutcome(t *testing.T) {
	t.Parallel()

	c, url := provider(t, httpx.Config{Timeout: 5 * time.Second}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/reset":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}
		case "/slow":
			<-r.Context().Done()
		case "/slowbody":
			_, _ = io.WriteString(w, "begin")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "short")
		case "/long":
			_, _ = io.WriteString(w, strings.Repeat("x", 1000))
		}
	})
	refused := "http://" + closedPort(t)
	toRefused, err := httpx.New(httpx.Config{BaseURL: refused})
	require.NoError(t, err)

	for name, tt := range map[string]struct {
		client  *httpx.Client
		request httpx.Request
		want    failure.Outcome
	}{
		"refused":          {toRefused, httpx.Request{URL: refused, Body: []byte("x")}, failure.NotSent},
		"reset":            {c, httpx.Request{URL: url + "/reset", Body: []byte("x")}, failure.Unknown},
		"reset of a GET":   {c, httpx.Request{URL: url + "/reset"}, failure.NotSent},
		"slow headers":     {c, httpx.Request{URL: url + "/slow", Body: []byte("x"), Timeout: 50 * time.Millisecond}, failure.Unknown},
		"slow body":        {c, httpx.Request{URL: url + "/slowbody", Body: []byte("x"), Timeout: 50 * time.Millisecond}, failure.Unknown},
		"cut body":         {c, httpx.Request{URL: url + "/cut", Body: []byte("x")}, failure.Unknown},
		"long body":        {c, httpx.Request{URL: url + "/long", Body: []byte("x"), MaxBody: 999}, failure.Unknown},
		"long body of GET": {c, httpx.Request{URL: url + "/long", MaxBody: 999}, failure.NotSent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			tt.request.URL += "?access_token=s3cret"
			_, err := tt.client.Call(t.Context(), tt.request)
			f := fails(t, err)
			require.Equal(t, failure.Temporary, f.Code)
			require.Equal(t, tt.want, f.Outcome)
			require.NotContains(t, err.Error(), "s3cret")
		})
	}
	t.Run("ended before it began", func(t *testing.T) {
		t.Parallel()

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := c.Call(ctx, httpx.Request{URL: url, Body: []byte("x")})
		require.Equal(t, failure.NotSent, fails(t, err).Outcome)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// A caller that leaves is let go at once, even if the provider hangs.
func TestCancelIsPrompt(t *testing.T) {
	t.Parallel()

	arrived := make(chan struct{})
	c, url := provider(t, httpx.Config{}, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.Call(ctx, httpx.Request{URL: url, Method: http.MethodPost})
		done <- err
	}()
	<-arrived
	cancel()
	began := time.Now()
	require.Equal(t, failure.Unknown, fails(t, <-done).Outcome)
	require.Less(t, time.Since(began), 200*time.Millisecond)
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestStatusBecomesFailure(t *testing.T) {
	t.Parallel()

	for status, want := range map[int]struct {
		code    failure.Code
		outcome failure.Outcome
	}{
		400: {failure.InvalidRequest, failure.NotSent}, 401: {failure.Auth, failure.NotSent}, 402: {failure.QuotaExhausted, failure.NotSent},
		403: {failure.Permission, failure.NotSent}, 404: {failure.InvalidRequest, failure.NotSent}, 408: {failure.Temporary, failure.NotSent},
		429: {failure.RateLimited, failure.NotSent}, 500: {failure.Temporary, failure.Unknown}, 502: {failure.Temporary, failure.Unknown},
		503: {failure.Temporary, failure.Unknown},
	} {
		f := (&httpx.Response{Method: http.MethodPost, Status: status}).Failure()
		require.Equal(t, want.code, f.Code, status)
		require.Equal(t, want.outcome, f.Outcome, status)
		require.Equal(t, status, f.HTTPStatus)
	}
	require.Equal(t, failure.NotSent, (&httpx.Response{Method: http.MethodGet, Status: 503}).Failure().Outcome)
	f := (&httpx.Response{Method: http.MethodPost, Status: 429, Header: http.Header{"Retry-After": {"7"}}}).Failure()
	require.Equal(t, 7*time.Second, f.RetryAfter)
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()

	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "30": 30 * time.Second, " 1.5 ": 1500 * time.Millisecond, "-3": 0, "NaN": 0, "1e99": 24 * time.Hour, "soon": 0,
		"Sun, 01 Mar 2026 12:02:00 GMT": 2 * time.Minute, "Sun, 01 Mar 2026 11:00:00 GMT": 0, "Sun, 01 Mar 2099 11:00:00 GMT": 24 * time.Hour,
	} {
		require.Equal(t, want, httpx.RetryAfter(http.Header{"Retry-After": {value}}, now), value)
	}
}

func TestErrorKeepsItsCause(t *testing.T) {
	t.Parallel()

	c, err := httpx.New(httpx.Config{BaseURL: "http://" + closedPort(t)})
	require.NoError(t, err)
	_, err = c.Call(t.Context(), httpx.Request{URL: "http://" + closedPort(t)})
	var e *httpx.Error
	require.ErrorAs(t, err, &e)
}
