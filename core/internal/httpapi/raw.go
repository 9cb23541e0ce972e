package httpapi

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/stratohub/strato/core/internal/rbac"
)

// RawHandler answers a request itself, as a stream does. Path parameters are
// found with [http.Request.PathValue].
type RawHandler func(w http.ResponseWriter, req *http.Request, a rbac.Actor) error

// HandleRaw serves h to actors that hold the permission in the tenant. An error
// that h returns before it has written anything is answered like any other.
// media is the type of its answer, for the document.
func (r *Router) HandleRaw(method, path string, need rbac.Permission, media string, h RawHandler, options ...Option) {
	route := Route{Method: method, Path: path, Kind: KindTenant, Permission: need, Raw: true}
	r.raw(route, media, options, func(g *gin.Context) error {
		c := callOf(g.Request.Context())
		c.stream = true
		return h(g.Writer, g.Request, c.actor)
	})
}

// HandleWebhook serves h to everybody, on the address of any tenant or none. The
// handler finds out by itself who calls and for whom, and bounds the body itself.
// An error that it returns before it has written anything is answered like any
// other.
func (r *Router) HandleWebhook(method, path string, h func(w http.ResponseWriter, req *http.Request) error, options ...Option) {
	route := Route{Method: method, Path: path, Kind: KindOpen, Raw: true}
	r.raw(route, "", options, func(g *gin.Context) error {
		return h(g.Writer, g.Request)
	})
}

func (r *Router) raw(route Route, media string, options []Option, h func(*gin.Context) error) {
	o := &operation{status: http.StatusOK, huma: describe(route)}
	for _, option := range options {
		option(o)
	}
	r.register(route)
	success := &huma.Response{Description: "Answered by the handler itself."}
	if media != "" {
		success.Content = map[string]*huma.MediaType{media: {Schema: &huma.Schema{Type: huma.TypeString}}}
	}
	o.huma.Responses = map[string]*huma.Response{"200": success}
	o.huma.Parameters = pathParams(route.Path)
	r.specifyErrors(o, route, false)
	r.api.OpenAPI().AddOperation(o.huma)

	path := strings.NewReplacer("{", ":", "}", "").Replace(route.Path)
	r.gin.Handle(route.Method, path, func(g *gin.Context) {
		// A webhook comes from a provider's server, on whatever host it was given.
		if route.Kind != KindOpen {
			if err := r.admit(g, route, nil); err != nil {
				r.fail(g.Writer, g.Request, err)
				return
			}
		}
		for _, p := range g.Params {
			g.Request.SetPathValue(p.Key, p.Value)
		}
		if err := h(g); err != nil && !g.Writer.Written() {
			r.fail(g.Writer, g.Request, err)
		}
	})
}

func pathParams(path string) []*huma.Param {
	var params []*huma.Param
	for part := range strings.SplitSeq(path, "/") {
		if strings.HasPrefix(part, "{") {
			params = append(params, &huma.Param{
				Name: strings.Trim(part, "{}"), In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString},
			})
		}
	}
	return params
}
