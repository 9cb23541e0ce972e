package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/rest"
	"github.com/stratohub/strato/core/internal/tenant"
)

// UseCase is what a domain package offers: one tenant's scope, who asks, an
// input bound from the request, an output to encode. The input is a struct whose
// fields have the tags path, query or header, and possibly a field Body. A GET
// runs in [tenant.Pool.Read], anything else in one transaction of
// [tenant.Pool.Do].
type UseCase[In, Out any] func(ctx context.Context, s tenant.Scope, a rbac.Actor, in *In) (Out, error)

// ControlCase is a use case of somebody signed in that needs no tenant's rows.
type ControlCase[In, Out any] func(ctx context.Context, a rbac.Actor, in *In) (Out, error)

// OpenCase is a use case that is open to everybody.
type OpenCase[In, Out any] func(ctx context.Context, c rest.Client, in *In) (Out, error)

// Cookied is an output that sets cookies.
type Cookied interface{ Cookies() []*http.Cookie }

// Handle serves f to actors that hold the permission in the tenant. A POST may
// carry an Idempotency-Key, which makes it run once however often it is sent.
// It panics if the policy does not know the permission.
func Handle[In, Out any](r *Router, method, path string, need rbac.Permission, f UseCase[In, Out], options ...Option) {
	op := operationOf[In, Out](r, Route{Method: method, Path: path, Kind: KindTenant, Permission: need}, options)
	huma.Register(r.api, *op.huma, func(ctx context.Context, in *In) (*reply, error) {
		return r.respond(ctx, func(ctx context.Context) (*answer, error) {
			c := callOf(ctx)
			run := r.Pool.Do
			if method == http.MethodGet {
				run = r.Pool.Read
			}
			var answered *answer
			err := run(ctx, c.actor.Tenant, func(ctx context.Context, s tenant.Scope) error {
				once, done, err := begin(ctx, s, c, method+" "+path)
				if err != nil || done != nil {
					answered = done
					return err
				}
				out, err := f(ctx, s, c.actor, in)
				if err != nil {
					return err
				}
				if answered, err = encode(out, op.status); err != nil {
					return err
				}
				return once.finish(ctx, s, answered)
			})
			return answered, err
		})
	})
}

// HandleControl serves f to actors that hold the permission, without opening a
// tenant. The zero permission is held by everybody who is signed in.
func HandleControl[In, Out any](r *Router, method, path string, need rbac.Permission, f ControlCase[In, Out], options ...Option) {
	op := operationOf[In, Out](r, Route{Method: method, Path: path, Kind: KindControl, Permission: need}, options)
	huma.Register(r.api, *op.huma, func(ctx context.Context, in *In) (*reply, error) {
		return r.respond(ctx, func(ctx context.Context) (*answer, error) {
			c := callOf(ctx)
			return r.apart(ctx, c, method+" "+path, func(ctx context.Context) (*answer, error) {
				out, err := f(ctx, c.actor, in)
				if err != nil {
					return nil, err
				}
				return encode(out, op.status)
			})
		})
	})
}

// HandleOpen serves f to everybody. Other websites cannot call it from a
// browser.
func HandleOpen[In, Out any](r *Router, method, path string, f OpenCase[In, Out], options ...Option) {
	op := operationOf[In, Out](r, Route{Method: method, Path: path, Kind: KindOpen}, options)
	huma.Register(r.api, *op.huma, func(ctx context.Context, in *In) (*reply, error) {
		return r.respond(ctx, func(ctx context.Context) (*answer, error) {
			out, err := f(ctx, callOf(ctx).client, in)
			if err != nil {
				return nil, err
			}
			return encode(out, op.status)
		})
	})
}

// respond runs f within the deadline and answers.
func (r *Router) respond(ctx context.Context, f func(context.Context) (*answer, error)) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Deadline)
	defer cancel()
	a, err := f(ctx)
	if err != nil {
		return nil, r.problem(ctx, err)
	}
	return a.reply(), nil
}

// answer is an encoded success.
type answer struct {
	status   int
	body     []byte // nil for none
	tag      string
	cookies  []*http.Cookie
	replayed bool
}

func encode(out any, status int) (*answer, error) {
	a := &answer{status: status}
	if c, ok := out.(Cookied); ok {
		a.cookies = c.Cookies()
	}
	if t, ok := out.(rest.Tagged); ok && !isNil(out) {
		a.tag = t.Tag()
	}
	if _, ok := out.(rest.Empty); ok {
		a.status = http.StatusNoContent
		return a, nil
	}
	body, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", out, err)
	}
	a.body = body
	return a, nil
}

func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// reply is huma's output: a function that writes the answer itself.
type reply struct{ Body func(huma.Context) }

func (a *answer) reply() *reply {
	return &reply{Body: func(ctx huma.Context) {
		for _, cookie := range a.cookies {
			ctx.AppendHeader("Set-Cookie", cookie.String())
		}
		// Answers depend on who asks; only their owner may keep them, and must ask
		// whether they still hold.
		ctx.SetHeader("Cache-Control", "private, no-cache")
		ctx.SetHeader("Vary", "Authorization, Cookie")
		if a.replayed {
			ctx.SetHeader("Idempotency-Replayed", "true")
		}
		if a.tag != "" {
			ctx.SetHeader("ETag", a.tag)
			if none := ctx.Header("If-None-Match"); ctx.Method() == http.MethodGet && none != "" && rest.Matches(none, a.tag) {
				ctx.SetStatus(http.StatusNotModified)
				return
			}
		}
		if a.body == nil {
			ctx.SetStatus(a.status)
			return
		}
		ctx.SetHeader("Content-Type", "application/json")
		ctx.SetStatus(a.status)
		_, _ = ctx.BodyWriter().Write(a.body) // the client may be gone
	}}
}
