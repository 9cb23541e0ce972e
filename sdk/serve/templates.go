package serve

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/internal/wire"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// templates serves the management of templates.
type templates[T any] struct {
	pluginv1.UnimplementedTemplateServiceServer
	server *server[T]
}

// manager finds the instance for a call. The failure is what to answer if there
// is none, the error if this plugin manages no templates.
func (t *templates[T]) manager(ctx context.Context, method string, i *pluginv1.Installation) (sdk.TemplateManager, func(), *pluginv1.Failure, error) {
	value, release, err := t.server.instance(ctx, i)
	if err != nil {
		return nil, nil, refusal(t.server.logFor(ctx, i), method, err, failure.NotSent), nil
	}
	m, ok := any(value).(sdk.TemplateManager)
	if !ok {
		release()
		return nil, nil, nil, status.Error(codes.Unimplemented, "this plugin manages no templates")
	}
	return m, release, nil, nil
}

// ListTemplates implements the service.
func (t *templates[T]) ListTemplates(ctx context.Context, r *pluginv1.ListTemplatesRequest) (*pluginv1.ListTemplatesResponse, error) {
	m, release, refused, err := t.manager(ctx, "ListTemplates", r.GetInstallation())
	if err != nil || refused != nil {
		return &pluginv1.ListTemplatesResponse{Failure: refused}, err
	}
	defer release()
	page, next, err := m.ListTemplates(ctx, r.GetPageToken())
	if err != nil {
		return &pluginv1.ListTemplatesResponse{Failure: refusal(t.server.logFor(ctx, r.GetInstallation()), "ListTemplates", err, failure.NotSent)}, nil
	}
	return &pluginv1.ListTemplatesResponse{Templates: wire.FromTemplateInfos(page), NextPageToken: next}, nil
}

// SubmitTemplate implements the service.
func (t *templates[T]) SubmitTemplate(ctx context.Context, r *pluginv1.SubmitTemplateRequest) (*pluginv1.SubmitTemplateResponse, error) {
	m, release, refused, err := t.manager(ctx, "SubmitTemplate", r.GetInstallation())
	if err != nil || refused != nil {
		return &pluginv1.SubmitTemplateResponse{Failure: refused}, err
	}
	defer release()
	made, err := m.SubmitTemplate(ctx, r.GetIdempotencyKey(), wire.ToTemplateInfo(r.GetTemplate()))
	if err != nil {
		return &pluginv1.SubmitTemplateResponse{Failure: refusal(t.server.logFor(ctx, r.GetInstallation()), "SubmitTemplate", err, failure.Unknown)}, nil
	}
	return &pluginv1.SubmitTemplateResponse{Template: wire.FromTemplateInfo(made)}, nil
}

// DeleteTemplate implements the service.
func (t *templates[T]) DeleteTemplate(ctx context.Context, r *pluginv1.DeleteTemplateRequest) (*pluginv1.DeleteTemplateResponse, error) {
	m, release, refused, err := t.manager(ctx, "DeleteTemplate", r.GetInstallation())
	if err != nil || refused != nil {
		return &pluginv1.DeleteTemplateResponse{Failure: refused}, err
	}
	defer release()
	if err := m.DeleteTemplate(ctx, r.GetName(), r.GetLanguage()); err != nil {
		return &pluginv1.DeleteTemplateResponse{Failure: refusal(t.server.logFor(ctx, r.GetInstallation()), "DeleteTemplate", err, failure.Unknown)}, nil
	}
	return &pluginv1.DeleteTemplateResponse{}, nil
}
