package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/rest"
)

// Kind says who may call a route.
type Kind int

// The kinds of routes.
const (
	KindTenant  Kind = iota // who holds the permission in a tenant, whose rows it opens
	KindControl             // who is signed in and holds the permission, if there is one
	KindOpen                // everybody
)

// Route is a line of the route table.
type Route struct {
	Method     string
	Path       string // with parameters in braces, as in /api/leads/{id}
	Kind       Kind
	Permission rbac.Permission // zero if open, or for whoever is signed in
	Raw        bool            // its handler writes the answer itself
}

// onceable reports whether the route heeds an Idempotency-Key: it creates or
// sends something, and there is a tenant to note the key in.
func (r Route) onceable() bool {
	return r.Method == http.MethodPost && !r.Raw && r.Permission != (rbac.Permission{}) && !r.Permission.OfPlatform()
}

// Routes lists all routes in the order in which they were registered.
func (r *Router) Routes() []Route { return slices.Clone(r.routes) }

// Served lists what the engine below really answers, as "METHOD path" in the
// form of [Route]. A test compares it with [Router.Routes] to find a route that
// went past the table.
func (r *Router) Served() []string {
	var served []string
	for _, info := range r.gin.Routes() {
		parts := strings.Split(info.Path, "/")
		for i, part := range parts {
			if strings.HasPrefix(part, ":") || strings.HasPrefix(part, "*") {
				parts[i] = "{" + part[1:] + "}"
			}
		}
		served = append(served, info.Method+" "+strings.Join(parts, "/"))
	}
	return served
}

func (r *Router) register(route Route) {
	if route.Permission != (rbac.Permission{}) && !r.Policy.Knows(route.Permission) {
		panic(fmt.Sprintf("httpapi: %s %s needs %s, which the policy does not know", route.Method, route.Path, route.Permission))
	}
	if route.Permission == (rbac.Permission{}) && route.Kind == KindTenant {
		panic(fmt.Sprintf("httpapi: %s %s needs a permission", route.Method, route.Path))
	}
	r.routes = append(r.routes, route)
}

// Option describes an operation further.
type Option func(*operation)

// Status sets the status of success. Without it a POST answers 201 and anything
// else 200; an output of [rest.Empty] answers 204.
func Status(code int) Option { return func(o *operation) { o.status = code } }

// Summary says in a few words what the operation does.
func Summary(text string) Option { return func(o *operation) { o.huma.Summary = text } }

// Description explains the operation in Markdown.
func Description(text string) Option { return func(o *operation) { o.huma.Description = text } }

// Tag groups the operation with others; without it the first word of the path
// does.
func Tag(name string) Option { return func(o *operation) { o.huma.Tags = []string{name} } }

// Errors documents further statuses that the operation may answer.
func Errors(codes ...int) Option { return func(o *operation) { o.errors = append(o.errors, codes...) } }

// operation is a route on its way into the router and the document.
type operation struct {
	huma     *huma.Operation
	status   int
	errors   []int // statuses that it may answer besides those that follow from its route
	bodyType reflect.Type
}

func operationOf[In, Out any](r *Router, route Route, options []Option) *operation {
	in := reflect.TypeFor[In]()
	o := &operation{status: http.StatusOK, huma: describe(route)}
	if route.Method == http.MethodPost {
		o.status = http.StatusCreated
	}
	if f, ok := in.FieldByName("Body"); ok {
		o.bodyType = f.Type
	}
	if hasMatch(in) {
		o.errors = append(o.errors, http.StatusPreconditionFailed)
	}
	for _, option := range options {
		option(o)
	}
	if reflect.TypeFor[Out]() == reflect.TypeFor[rest.Empty]() {
		o.status = http.StatusNoContent
	}
	r.register(route)
	r.specify(o, route, reflect.TypeFor[Out](), hasParams(in))
	o.huma.MaxBodyBytes = r.BodyLimit + 1
	o.huma.BodyReadTimeout = -1 // the body has been read before huma sees it
	o.huma.Middlewares = huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		g := humagin.Unwrap(ctx)
		if err := r.admit(g, route, o.bodyType); err != nil {
			r.fail(g.Writer, g.Request, err)
			return
		}
		next(ctx)
	}}
	return o
}

// admit lets a request through that may call the route and whose body arrived.
// The order matters: who may not call learns nothing about the body.
func (r *Router) admit(g *gin.Context, route Route, bodyType reflect.Type) error {
	req := g.Request
	c := callOf(req.Context())
	if route.Kind == KindOpen {
		if err := r.origins.Check(req); err != nil {
			return ErrCrossOrigin.With(err)
		}
		if err := r.locateTenant(req, c); err != nil {
			return err
		}
		c.client.Token, _, _ = r.token(req)
	} else {
		if err := r.identify(req, c); err != nil {
			return err
		}
		if route.Permission != (rbac.Permission{}) {
			if err := r.permit(c.actor, route.Permission); err != nil {
				return err
			}
		}
	}
	if route.Raw {
		return nil
	}
	if err := r.readBody(g, c); err != nil {
		return err
	}
	c.bodyType, c.target = bodyType, req.URL.RequestURI()
	if route.onceable() {
		c.idempotencyKey = req.Header.Get("Idempotency-Key")
		if err := validKey(c.idempotencyKey); err != nil {
			return err
		}
	}
	return storable(req, c.body)
}

// readBody reads the whole body, in bounded size and time, and puts it back.
func (r *Router) readBody(g *gin.Context, c *call) error {
	req := g.Request
	if req.Body == nil || req.Body == http.NoBody || req.ContentLength == 0 {
		return nil
	}
	if req.ContentLength > r.BodyLimit {
		return ErrTooLarge
	}
	clock := http.NewResponseController(g.Writer)
	_ = clock.SetReadDeadline(time.Now().Add(10 * time.Second)) // not every writer can
	body, err := io.ReadAll(http.MaxBytesReader(g.Writer, req.Body, r.BodyLimit))
	_ = clock.SetReadDeadline(time.Time{})
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return ErrTooLarge
		}
		return ErrSlowBody.With(err)
	}
	c.body = body
	req.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}
