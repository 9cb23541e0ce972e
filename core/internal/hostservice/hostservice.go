// Package hostservice does for plugins what they cannot do themselves: it keeps
// small values and files of an installation, replaces its secrets, and takes
// events that came without a webhook. For which installation a request is, the
// plugin cannot say: that follows from the call on which it works.
package hostservice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/hostv1"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// Services serve plugins. All fields are required. It is safe for concurrent use.
type Services struct {
	Pool      *tenant.Pool
	Directory *installation.Directory
	// Secrets names the secret settings of a plugin, as JSON pointers.
	Secrets func(plugin string) ([]string, error)
	// Publish takes events into the inbox, and says how many.
	Publish func(context.Context, installation.Target, []*pluginv1.Event) (int, error)
	// Changed tells all nodes to forget what they remember of an installation.
	Changed func(context.Context, installation.Target)
	// Blobs is the folder of files, which is made when it is needed. Nodes that
	// serve the same tenants must share it.
	Blobs string
	Log   *slog.Logger
}

// Register adds the services to a server of the plugin host.
func (v *Services) Register(r grpc.ServiceRegistrar) {
	hostv1.RegisterStateServiceServer(r, &states{Services: v})
	hostv1.RegisterSecretServiceServer(r, &secrets{Services: v})
	hostv1.RegisterEventServiceServer(r, &events{Services: v})
	hostv1.RegisterBlobServiceServer(r, &blobs{Services: v})
}

// target is the installation on whose behalf the plugin asks.
func target(ctx context.Context) (installation.Target, host.Caller, error) {
	c, ok := host.CallerOf(ctx)
	if !ok {
		return installation.Target{}, c, status.Error(codes.Unauthenticated, "the request belongs to no call")
	}
	t, err := id.Parse[tenant.Tenant](c.Tenant)
	if err != nil {
		return installation.Target{}, c, status.Error(codes.Unauthenticated, "the call names no tenant")
	}
	i, err := id.Parse[installation.Installation](c.Installation)
	if err != nil {
		return installation.Target{}, c, status.Error(codes.Unauthenticated, "the call names no installation")
	}
	return installation.Target{Tenant: t, Installation: i}, c, nil
}

// refusal is an error as the plugin may hear it. What is inside the core goes to
// the core's log.
func (v *Services) refusal(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if s, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err); ok {
		return s
	}
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	switch {
	case errors.Is(err, installation.ErrNotFound):
		return status.Error(codes.NotFound, "there is no such installation any more")
	case errors.Is(err, os.ErrNotExist):
		return status.Error(codes.NotFound, "there is no such file")
	}
	switch f := fault.Of(err); {
	case f != nil && f.Kind == fault.Conflict:
		return status.Error(codes.FailedPrecondition, f.Words)
	case f != nil && f.Kind == fault.Unavailable:
		return status.Error(codes.Unavailable, f.Words)
	}
	c, _ := host.CallerOf(ctx)
	v.Log.ErrorContext(ctx, "a plugin's request failed", "what", what, "plugin", c.Plugin, "installation", c.Installation, "error", err)
	return status.Error(codes.Internal, "the core could not do it; its log says why")
}

// lock keeps other requests of the installation of the same kind waiting until
// the transaction ends, so that limits hold.
func lock(ctx context.Context, s tenant.Scope, kind string, i installation.ID) error {
	if _, err := s.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended($1, 0))`, kind+":"+i.String()); err != nil {
		return fmt.Errorf("wait for others of installation %s: %w", i, err)
	}
	return nil
}
