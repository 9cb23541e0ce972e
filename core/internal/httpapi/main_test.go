package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/httpapi"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/rest"
	"github.com/stratohub/strato/core/internal/telemetry"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// thing is what the test's API is about.
type thing struct {
	ID    id.Of[thing] `json:"id" format:"uuid"`
	Name  string       `json:"name"`
	Of    string       `json:"of"`
	Runs  int64        `json:"runs"`
	Owner *tenant.ID   `json:"owner"`
}

func (t *thing) Tag() string { return rest.TagInt(7) }

type path struct {
	ID id.Of[thing] `path:"id"`
}

type input struct {
	Body struct {
		Name  string            `json:"name" minLength:"1" maxLength:"20"`
		Count int               `json:"count,omitempty" minimum:"0"`
		Ref   *id.Of[thing]     `json:"ref,omitempty"`
		Tags  []string          `json:"tags,omitempty"`
		Refs  []id.Of[thing]    `json:"refs,omitempty"`
		Extra map[string]string `json:"extra,omitempty"`
	}
}

type list struct {
	rest.PageQuery
	Stage string `query:"stage" enum:"new,won"`
}

var errThing = fault.New(fault.NotFound, "thing.not_found", "There is no such thing.")

// world is an API with two tenants and its log.
type world struct {
	*httptest.Server

	acme, norte tenant.Tenant
	pool        *tenant.Pool
	router      *httpapi.Router
	runs        atomic.Int64
	gate        chan struct{} // what blocks the use case "slow"
	log         *journal
}

type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// Tokens of the test: role@tenant.
func (w *world) authenticate(_ context.Context, token string) (rbac.Actor, error) {
	role, at, _ := strings.Cut(token, "@")
	a := rbac.Actor{User: rbac.NewUserID(), Role: rbac.Role(role)}
	a.User.UUID = uuid.NewSHA1(uuid.Nil, []byte(token))
	switch at {
	case "acme":
		a.Tenant = w.acme.ID
	case "norte":
		a.Tenant = w.norte.ID
	case "platform":
		a.Role, a.Operator = "", true
	default:
		return rbac.Actor{}, httpapi.ErrUnauthenticated
	}
	return a, nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{log: &journal{}, gate: make(chan struct{})}
	w.pool, w.acme = tenanttest.New(t)
	w.norte = tenanttest.Create(t, w.pool, dbtest.Database(t).Name)
	policy, err := rbac.New()
	require.NoError(t, err)
	w.router, err = httpapi.New(httpapi.Options{
		Pool: w.pool, Policy: policy, Log: telemetry.NewLogger(w.log, slog.LevelDebug, false), Authenticate: w.authenticate,
		Cookie: "strato_access", BaseDomain: "strato.test", PublicURL: "https://app.example", Deadline: 5 * time.Second,
		Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")},
	})
	require.NoError(t, err)
	w.routes(w.router)
	w.Server = httptest.NewServer(w.router)
	t.Cleanup(w.Close)
	return w
}

func (w *world) routes(r *httpapi.Router) {
	httpapi.Handle(r, "GET", "/api/things", rbac.Read("lead"), func(_ context.Context, s tenant.Scope, _ rbac.Actor, in *list) (rest.Page[*thing], error) {
		if _, err := rest.Key[struct{ N int }](in.PageQuery); err != nil {
			return rest.Page[*thing]{}, err
		}
		return rest.NewPage(in.PageQuery, []*thing{{Name: in.Stage, Of: s.Tenant().String()}}, func(*thing) int { return 0 }), nil
	}, httpapi.Summary("List things"))
	httpapi.Handle(r, "GET", "/api/things/{id}", rbac.Read("lead"), func(_ context.Context, s tenant.Scope, _ rbac.Actor, in *path) (*thing, error) {
		return &thing{ID: in.ID, Of: s.Tenant().String()}, nil
	})
	httpapi.Handle(r, "POST", "/api/things", rbac.Write("lead"), func(ctx context.Context, s tenant.Scope, _ rbac.Actor, in *input) (*thing, error) {
		n := w.runs.Add(1)
		if strings.HasPrefix(in.Body.Name, "slow") {
			select {
			case <-w.gate:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if strings.HasPrefix(in.Body.Name, "fail") {
			return nil, errThing.With(errors.New("row 7"))
		}
		return &thing{Name: in.Body.Name, Of: s.Tenant().String(), Runs: n}, nil
	})
	httpapi.Handle(r, "DELETE", "/api/things/{id}", rbac.Write("lead"), func(context.Context, tenant.Scope, rbac.Actor, *path) (rest.Empty, error) {
		return rest.Empty{}, nil
	})
	httpapi.Handle(r, "PUT", "/api/things/{id}", rbac.Write("lead"), func(_ context.Context, _ tenant.Scope, _ rbac.Actor, in *struct {
		path
		rest.Match
	}) (*thing, error) {
		t := &thing{ID: in.ID}
		return t, in.Check(t.Tag())
	})
	httpapi.HandleControl(r, "POST", "/api/set-ups", rbac.Manage("installation"), func(ctx context.Context, a rbac.Actor, in *input) (*thing, error) {
		n := w.runs.Add(1)
		if strings.HasPrefix(in.Body.Name, "fail") {
			return nil, errThing
		}
		if strings.HasPrefix(in.Body.Name, "slow") {
			select {
			case <-w.gate:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return &thing{Name: in.Body.Name, Of: a.Tenant.String(), Runs: n}, nil
	})
	httpapi.HandleControl(r, "GET", "/api/me", rbac.Permission{}, func(_ context.Context, a rbac.Actor, _ *struct{}) (map[string]string, error) {
		return map[string]string{"tenant": a.Tenant.String(), "role": string(a.Role)}, nil
	})
	httpapi.HandleControl(r, "GET", "/api/platform", rbac.Platform(rbac.Read("tenant")), func(context.Context, rbac.Actor, *struct{}) (map[string]string, error) {
		return map[string]string{}, nil
	})
	httpapi.HandleOpen(r, "POST", "/api/open", func(_ context.Context, c rest.Client, _ *struct{}) (map[string]any, error) {
		return map[string]any{"address": c.Address.String(), "secure": c.Secure, "tenant": c.Tenant, "token": c.Token}, nil
	})
	httpapi.Handle(r, "GET", "/api/broken/{how}", rbac.Read("lead"), func(ctx context.Context, _ tenant.Scope, _ rbac.Actor, in *struct {
		How string `path:"how"`
	}) (*thing, error) {
		switch in.How {
		case "panic":
			panic("password is hunter2")
		case "deadline":
			return nil, context.DeadlineExceeded
		case "throttled":
			return nil, fault.New(fault.Throttled, "thing.throttled", "Slower.").After(1500 * time.Millisecond)
		case "choice":
			return nil, fault.New(fault.Conflict, "thing.choice", "Choose.").Adding("choices", []string{"a", "b"}).Adding("status", 1)
		default:
			return nil, errors.New("connect to 10.0.0.7: password is hunter2")
		}
	})
	r.HandleRaw("GET", "/api/raw/{what}", rbac.Read("event"), "text/plain", func(w http.ResponseWriter, req *http.Request, a rbac.Actor) error {
		if req.PathValue("what") == "fail" {
			return errThing
		}
		_, err := io.WriteString(w, req.PathValue("what")+" "+a.Tenant.String())
		return err
	})
	r.HandleWebhook("POST", "/api/hooks/{plugin}", func(w http.ResponseWriter, req *http.Request) error {
		body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, 3<<20))
		if err != nil {
			return httpapi.ErrTooLarge
		}
		_, err = io.WriteString(w, req.PathValue("plugin")+" "+string(body))
		return err
	})
	r.Fallback(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { _, _ = io.WriteString(w, "page "+req.URL.Path) }))
}

// ask is one request of a test.
type ask struct {
	method, path, token, cookie, host, body string
	header                                  http.Header
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

func (w *world) do(t *testing.T, a ask) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), a.method, w.URL+a.path, strings.NewReader(a.body))
	require.NoError(t, err)
	maps.Copy(req.Header, a.header)
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	if a.cookie != "" {
		req.AddCookie(&http.Cookie{Name: "strato_access", Value: a.cookie})
	}
	if a.body != "" && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if a.host != "" {
		req.Host = a.host
	}
	res, err := w.Client().Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	out := answer{status: res.StatusCode, header: res.Header, body: string(body)}
	_ = json.Unmarshal(body, &out.json)
	return out
}

// refused checks that an answer is a problem with a status and a code.
func (a answer) refused(t *testing.T, status int, code string) {
	t.Helper()
	require.Equal(t, status, a.status, a.body)
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"))
	require.Equal(t, code, a.json["code"], a.body)
	require.Equal(t, "/errors/"+code, a.json["type"])
	require.InEpsilon(t, float64(status), a.json["status"], 0)
	require.NotEmpty(t, a.json["title"])
	require.NotEmpty(t, a.json["detail"])
	require.Equal(t, a.header.Get("X-Request-Id"), a.json["request_id"])
	require.NotEmpty(t, a.json["request_id"])
}

// fields are the places that a problem names, as "in pointer".
func (a answer) fields() []string {
	var names []string
	list, _ := a.json["errors"].([]any)
	for _, item := range list {
		f := item.(map[string]any)
		names = append(names, f["in"].(string)+" "+f["pointer"].(string))
	}
	return names
}
