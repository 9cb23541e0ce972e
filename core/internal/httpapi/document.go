package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/rest"
)

const (
	schemaPrefix = "#/components/schemas/"
	openAPIType  = "application/openapi+json"
)

// Document returns the API's OpenAPI 3.1 document as indented JSON. It is the
// same for the same routes, so that it can be committed and compared. Call it
// after all routes are registered.
func (r *Router) Document() ([]byte, error) { return r.document() }

func (r *Router) buildDocument() ([]byte, error) {
	text, err := json.Marshal(r.api.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("encode the API's document: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return nil, fmt.Errorf("indent the API's document: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func (r *Router) serveDocument(g *gin.Context) {
	text, err := r.Document()
	if err != nil {
		r.fail(g.Writer, g.Request, err)
		return
	}
	g.Header("Cache-Control", "no-cache")
	g.Data(http.StatusOK, openAPIType, text)
}

func documentConfig(version string) huma.Config {
	registry := huma.NewMapRegistry(schemaPrefix, schemaName)
	problem := registry.Schema(reflect.TypeFor[Problem](), true, "")
	responses := map[string]*huma.Response{}
	for code, words := range documented {
		responses[responseName(code)] = &huma.Response{
			Description: words,
			Content:     map[string]*huma.MediaType{problemType: {Schema: problem}},
		}
	}
	json := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: huma.DefaultJSONFormat.Unmarshal}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Strato", Version: version,
				Description: "The API of Strato, a CRM for real-estate agencies. Errors are RFC 9457 problems with a stable `code`. " +
					"Lists are pages: give `next` as `after`. The agency is that of the access token; " +
					"its subdomain or the path prefix `/t/{agency}` may name it too and must agree.",
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Components: &huma.Components{
				Schemas:   registry,
				Responses: responses,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "The access_token of POST /api/session."},
					"cookie": {Type: "apiKey", In: "cookie", Name: "strato_access", Description: "Set by POST /api/session."},
				},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": json, "json": json},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
}

// documented are the problems that operations may answer.
var documented = map[int]string{
	http.StatusBadRequest:          "The body is not valid JSON.",
	http.StatusUnauthorized:        "Nobody is signed in, or no longer.",
	http.StatusForbidden:           "The role does not allow it, or the address belongs to another agency.",
	http.StatusNotFound:            "There is no such thing in this agency.",
	http.StatusConflict:            "The state of things does not allow it, or the Idempotency-Key was used for another request.",
	http.StatusPreconditionFailed:  "It has changed since the version in If-Match.",
	http.StatusUnprocessableEntity: "Parts of the request are not valid; `errors` names them.",
	http.StatusTooManyRequests:     "Too many requests; see Retry-After.",
	http.StatusInternalServerError: "Something failed on Strato's side.",
	http.StatusServiceUnavailable:  "Something that Strato needs is down; see Retry-After.",
}

func responseName(code int) string { return strings.ReplaceAll(http.StatusText(code), " ", "") }

// describe begins an operation of the document.
func describe(route Route) *huma.Operation {
	words := []string{strings.ToLower(route.Method)}
	tag := ""
	for part := range strings.SplitSeq(strings.TrimPrefix(route.Path, "/api"), "/") {
		if part == "" {
			continue
		}
		if tag == "" {
			tag = part
		}
		words = append(words, strings.Trim(part, "{}"))
	}
	op := &huma.Operation{
		Method: route.Method, Path: route.Path, OperationID: strings.Join(words, "-"), Tags: []string{tag},
		Security: []map[string][]string{{"bearer": {}}, {"cookie": {}}},
	}
	if route.Kind == KindOpen {
		op.Security = []map[string][]string{{}}
	}
	if route.Permission != (rbac.Permission{}) {
		op.Extensions = map[string]any{"x-strato-permission": route.Permission.String()}
	}
	return op
}

// specify documents what an operation answers.
func (r *Router) specify(o *operation, route Route, out reflect.Type, hasParams bool) {
	registry := r.api.OpenAPI().Components.Schemas
	success := &huma.Response{Description: http.StatusText(o.status), Headers: map[string]*huma.Param{}}
	if out != reflect.TypeFor[rest.Empty]() {
		success.Content = map[string]*huma.MediaType{"application/json": {Schema: registry.Schema(out, true, o.huma.OperationID)}}
	}
	if out.Implements(reflect.TypeFor[rest.Tagged]()) {
		success.Headers["ETag"] = &huma.Param{Description: "Version, for If-Match.", Schema: &huma.Schema{Type: huma.TypeString}}
	}
	o.huma.DefaultStatus = o.status
	o.huma.Responses = map[string]*huma.Response{strconv.Itoa(o.status): success}
	if route.onceable() {
		o.huma.Parameters = append(o.huma.Parameters, &huma.Param{
			Name: "Idempotency-Key", In: "header", Example: "0190f3a0-7b6c-7d2e-9f0a-3c1d5e7f9a2b",
			Description: "Any text of the client's that is new for each thing it wants done; a repetition is answered like the first time.",
			Schema:      &huma.Schema{Type: huma.TypeString, MaxLength: new(128)},
		})
	}
	r.specifyErrors(o, route, hasParams)
}

func (r *Router) specifyErrors(o *operation, route Route, hasParams bool) {
	codes := []int{http.StatusInternalServerError, http.StatusServiceUnavailable}
	if route.Kind != KindOpen {
		codes = append(codes, http.StatusUnauthorized, http.StatusForbidden)
	} else {
		codes = append(codes, http.StatusTooManyRequests)
	}
	if strings.Contains(route.Path, "{") {
		codes = append(codes, http.StatusNotFound)
	}
	if hasParams || o.bodyType != nil {
		codes = append(codes, http.StatusUnprocessableEntity)
	}
	if o.bodyType != nil {
		codes = append(codes, http.StatusBadRequest)
	}
	if route.Method != http.MethodGet && route.Kind != KindOpen {
		codes = append(codes, http.StatusConflict)
	}
	for _, code := range append(codes, o.errors...) {
		o.huma.Responses[strconv.Itoa(code)] = &huma.Response{Ref: "#/components/responses/" + responseName(code)}
	}
}

// hasMatch reports whether an input heeds the version that the caller saw.
func hasMatch(in reflect.Type) bool {
	return slices.ContainsFunc(reflect.VisibleFields(in), func(f reflect.StructField) bool { return f.Tag.Get("header") == "If-Match" })
}

// hasParams reports whether an input takes anything besides a body.
func hasParams(in reflect.Type) bool {
	for _, f := range reflect.VisibleFields(in) {
		for _, tag := range []string{"path", "query", "header", "cookie"} {
			if f.Tag.Get(tag) != "" {
				return true
			}
		}
	}
	return false
}

// schemaName names a type in the document after its package and itself, since
// several packages have an Input: lead.Input is LeadInput, lead.Lead is Lead, a
// page of them PageLead.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := t.Name()
	if name == "" {
		return huma.DefaultSchemaNamer(t, hint)
	}
	base, argument, generic := strings.Cut(name, "[")
	full := withPackage(t.PkgPath(), base)
	if !generic {
		return full
	}
	for arg := range strings.SplitSeq(strings.TrimSuffix(argument, "]"), ",") {
		arg = strings.TrimLeft(arg, "*[]")
		dot := strings.LastIndex(arg, ".")
		if dot < 0 {
			full += title(arg)
			continue
		}
		full += withPackage(arg[:dot], arg[dot+1:])
	}
	return full
}

func withPackage(pkg, name string) string {
	pkg = path.Base(pkg)
	if slices.Contains([]string{"rest", "httpapi", "app"}, pkg) || strings.EqualFold(pkg, name) || strings.HasPrefix(strings.ToLower(name), pkg) {
		return title(name)
	}
	return title(pkg) + title(name)
}

func title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
