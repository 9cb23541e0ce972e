package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/httpapi"
)

func TestGate(t *testing.T) {
	t.Parallel()

	var gate httpapi.Gate
	get := func(path string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		gate.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return rec
	}

	closed := get("/api/leads")
	require.Equal(t, 503, closed.Code)
	require.Equal(t, "5", closed.Header().Get("Retry-After"))
	require.Contains(t, closed.Body.String(), "service.maintenance")
	require.Equal(t, 200, get("/healthz").Code)

	gate.Open(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "open") }))
	require.Equal(t, "open", get("/api/leads").Body.String())
	require.Equal(t, 200, get("/healthz").Code)

	gate.Close()
	require.Equal(t, 503, get("/api/leads").Code)
}

func TestReadiness(t *testing.T) {
	t.Parallel()

	up := func(context.Context) error { return nil }
	down := func(context.Context) error { return errors.New("password is hunter2") }
	hangs := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for name, tt := range map[string]struct {
		checks []httpapi.Check
		stop   bool
		code   int
		status string
	}{
		"all up":             {[]httpapi.Check{{Name: "database", Required: true, Probe: up}, {Name: "redis", Probe: up}}, false, 200, "ready"},
		"redis down":         {[]httpapi.Check{{Name: "database", Required: true, Probe: up}, {Name: "redis", Probe: down}}, false, 200, "degraded"},
		"database down":      {[]httpapi.Check{{Name: "database", Required: true, Probe: down}, {Name: "redis", Probe: down}}, false, 503, "unready"},
		"a probe that hangs": {[]httpapi.Check{{Name: "database", Required: true, Probe: hangs}}, false, 503, "unready"},
		"stopping":           {[]httpapi.Check{{Name: "database", Required: true, Probe: up}}, true, 503, "stopping"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			r := httpapi.NewReadiness(slog.New(slog.DiscardHandler), tt.checks...)
			if tt.stop {
				r.Stop()
			}
			rec := httptest.NewRecorder()
			r.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
			require.Equal(t, tt.code, rec.Code)
			require.NotContains(t, rec.Body.String(), "hunter2")
			var got struct {
				Status string
				Checks map[string]struct{ Status string }
			}
			require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &got))
			require.Equal(t, tt.status, got.Status)
			require.Len(t, got.Checks, len(tt.checks))
		})
	}
}
