// Package httpapi serves the API: it turns requests into calls of use cases and
// their results into answers. It alone knows HTTP status codes, writes errors,
// finds out who asks and for which tenant, and refuses what is not permitted.
//
// Every route is registered with the permission it needs, so the route table
// says who may do what.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"

	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/telemetry"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/trace"
)

// Options is what a [Router] needs. All fields without a word on zero are
// required.
type Options struct {
	Pool   *tenant.Pool
	Policy *rbac.Policy
	Log    *slog.Logger
	HTTP   *telemetry.HTTP // nil counts nothing

	// Authenticate returns who holds an access token, or a fault.
	Authenticate func(ctx context.Context, token string) (rbac.Actor, error)
	Cookie       string         // name of the cookie that holds the access token
	BaseDomain   string         // whose subdomains are tenants' short names
	PublicURL    string         // origin that browsers use
	Proxies      []netip.Prefix // whose X-Forwarded headers are believed; nil believes none

	Version   string        // of the API, for its document; empty is "dev"
	BodyLimit int64         // in bytes; zero is 1 MiB
	Deadline  time.Duration // for a use case; zero is 30 s
}

// Router is the API as an [http.Handler]. Register all routes before it serves;
// then it is safe for concurrent use.
type Router struct {
	Options
	gin       *gin.Engine
	api       huma.API
	origins   *http.CrossOriginProtection
	public    string                         // host of PublicURL, without port
	strangers *otter.Cache[string, struct{}] // hosts that are no tenant's
	routes    []Route
	fallback  http.Handler
	document  func() ([]byte, error)
}

// New returns a router without routes. It fails if PublicURL is no origin.
func New(o Options) (*Router, error) {
	if o.BodyLimit == 0 {
		o.BodyLimit = 1 << 20
	}
	if o.Deadline == 0 {
		o.Deadline = 30 * time.Second
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	strangers, err := otter.New(&otter.Options[string, struct{}]{
		MaximumSize: 10_000, ExpiryCalculator: otter.ExpiryWriting[string, struct{}](30 * time.Second),
	})
	if err != nil {
		return nil, fmt.Errorf("remember hosts: %w", err)
	}
	r := &Router{Options: o, origins: http.NewCrossOriginProtection(), strangers: strangers}
	if o.PublicURL != "" {
		u, err := url.Parse(o.PublicURL)
		if err != nil {
			return nil, fmt.Errorf("parse the public URL: %w", err)
		}
		if err := r.origins.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
			return nil, fmt.Errorf("trust the public URL: %w", err)
		}
		r.public = strings.ToLower(u.Hostname())
	}
	gin.SetMode(gin.ReleaseMode)
	r.gin = gin.New()
	r.gin.HandleMethodNotAllowed = true
	r.gin.RedirectTrailingSlash = false
	r.gin.Use(r.observe, r.survive)
	r.gin.NoRoute(r.noRoute)
	r.gin.NoMethod(func(c *gin.Context) { r.fail(c.Writer, c.Request, ErrMethod) })

	installProblems()
	r.api = humagin.New(r.gin, documentConfig(o.Version))
	r.document = sync.OnceValues(r.buildDocument)
	r.register(Route{Method: http.MethodGet, Path: "/api/openapi.json", Kind: KindOpen, Raw: true})
	r.gin.GET("/api/openapi.json", r.serveDocument)
	return r, nil
}

// Fallback serves what no route matches outside /api, such as the dashboard.
func (r *Router) Fallback(h http.Handler) { r.fallback = h }

var (
	prefix    = regexp.MustCompile(`^/t/([a-z0-9][a-z0-9-]{0,39})(/.*)?$`)
	requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)
)

// ServeHTTP answers one request. A path that begins with /t/{slug} names a
// tenant and is then routed without the prefix.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	c := &call{began: time.Now()}
	c.client.UserAgent = clip(req.UserAgent(), 256)
	c.client.Address, c.client.Secure = r.origin(req)
	id := req.Header.Get("X-Request-Id")
	if !requestID.MatchString(id) {
		id = uuid.Must(uuid.NewV7()).String()
	}
	// Whoever calls may have a trace already; what plugins are asked belongs to it.
	parent, _ := trace.Parse(req.Header.Get(trace.Header))
	at := parent.Next()
	ctx := telemetry.WithAttrs(trace.With(telemetry.WithRequest(req.Context(), id), at), slog.String("trace", at.TraceID()))
	req = withCall(req.WithContext(ctx), c)
	if m := prefix.FindStringSubmatch(req.URL.Path); m != nil {
		c.slug = m[1]
		u := *req.URL
		u.Path, u.RawPath = "/"+strings.TrimPrefix(m[2], "/"), ""
		req.URL = &u
	}
	h := w.Header()
	h.Set("X-Request-Id", id)
	secureHeaders(h, c.client.Secure)
	r.gin.ServeHTTP(w, req)
}

// secureHeaders sets what every answer carries. A page that needs more than the
// strict policy sets its own.
func secureHeaders(h http.Header, secure bool) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

func (r *Router) noRoute(c *gin.Context) {
	path := c.Request.URL.Path
	if r.fallback == nil || path == "/api" || strings.HasPrefix(path, "/api/") {
		r.fail(c.Writer, c.Request, ErrNotFound)
		return
	}
	c.Status(http.StatusOK) // gin presets 404
	r.fallback.ServeHTTP(c.Writer, c.Request)
}

// slowRequest is how long an answer takes before it is worth a line of the log.
const slowRequest = time.Second

// observe counts the request once it is answered, and logs it: one that was
// refused, failed or was slow at INFO, any other at DEBUG. Only the route's
// template is logged: paths may hold secrets.
func (r *Router) observe(c *gin.Context) {
	if r.HTTP != nil {
		r.HTTP.Begin()
	}
	k := callOf(c.Request.Context())
	c.Next()
	took, status := time.Since(k.began), c.Writer.Status()
	if c.Request.Context().Err() == context.Canceled && !k.stream && !c.Writer.Written() {
		status = 499 // the client has gone
	}
	if r.HTTP != nil {
		r.HTTP.End(c.Request.Method, c.FullPath(), status, took, k.stream)
	}
	level := slog.LevelDebug
	if status >= http.StatusBadRequest || took >= slowRequest && !k.stream {
		level = slog.LevelInfo
	}
	if !r.Log.Enabled(c.Request.Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", c.Request.Method), slog.String("route", c.FullPath()), slog.Int("status", status),
		slog.Int("bytes", max(c.Writer.Size(), 0)), slog.Float64("duration_ms", float64(took.Microseconds())/1000),
		slog.String("address", k.client.Address.String()),
	}
	if k.code != "" {
		attrs = append(attrs, slog.String("code", k.code))
	}
	if !k.actor.User.IsZero() {
		attrs = append(attrs, slog.String("user", k.actor.User.String()))
	}
	if !k.actor.Tenant.IsZero() {
		attrs = append(attrs, slog.String("tenant", k.actor.Tenant.String()))
	}
	r.Log.LogAttrs(c.Request.Context(), level, "request", attrs...)
}

// survive answers a panic like any other failure and keeps its stack for the
// log.
func (r *Router) survive(c *gin.Context) {
	defer func() {
		if v := recover(); v != nil {
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			r.panicked(c.Writer, c.Request, v)
		}
	}()
	c.Next()
}
