package hostservice

import (
	"context"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/hostv1"
)

// Limits of a rotation.
const (
	maxRotated = 32
	maxSecret  = 64 << 10
)

// secrets replaces an installation's secrets.
type secrets struct {
	hostv1.UnimplementedSecretServiceServer
	*Services
}

// RotateSecrets implements the service. Only secrets that the plugin's settings
// have can be set.
func (v *secrets) RotateSecrets(ctx context.Context, r *hostv1.RotateSecretsRequest) (*hostv1.RotateSecretsResponse, error) {
	t, caller, err := target(ctx)
	if err != nil {
		return nil, err
	}
	if len(r.GetSecrets()) == 0 || len(r.GetSecrets()) > maxRotated {
		return nil, status.Errorf(codes.InvalidArgument, "a rotation has 1 to %d secrets", maxRotated)
	}
	known, err := v.Secrets(caller.Plugin)
	if err != nil {
		return nil, v.refusal(ctx, "rotate secrets", err)
	}
	for pointer, value := range r.GetSecrets() {
		if !slices.Contains(known, pointer) {
			return nil, status.Errorf(codes.InvalidArgument, "the settings have no secret %q", pointer)
		}
		if value == "" || len(value) > maxSecret {
			return nil, status.Errorf(codes.InvalidArgument, "the secret %q has not 1 to %d bytes", pointer, maxSecret)
		}
	}
	out := &hostv1.RotateSecretsResponse{}
	err = v.Pool.Do(ctx, t.Tenant, func(ctx context.Context, s tenant.Scope) (err error) {
		out.Revision, out.Applied, err = v.Directory.Rotate(ctx, s, t.Installation, r.GetFromRevision(), r.GetSecrets())
		return err
	})
	if err != nil {
		return nil, v.refusal(ctx, "rotate secrets", err)
	}
	if out.GetApplied() {
		v.Changed(ctx, t)
	}
	return out, nil
}
