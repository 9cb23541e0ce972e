package serve

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/internal/wire"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/settings"
)

// Describe implements the service.
func (s *server[T]) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	m := s.manifest
	digest := sha256.Sum256(s.plugin.Manifest)
	d := &pluginv1.DescribeResponse{
		PluginId: m.ID, Version: m.Version, SdkVersion: sdkVersion(), Capabilities: onWire(abilities[T]()),
		ManifestJson: s.plugin.Manifest, ManifestSha256: digest[:], SettingsVersion: m.SettingsVersion,
		SettingsSchemaJson: m.SettingsSchema, SecretPointers: s.schema.Secrets(), ContentKinds: m.ContentKinds,
	}
	for _, l := range m.RateLimits {
		d.RateLimits = append(d.RateLimits, &pluginv1.RateLimit{
			Name: l.Name, PerSecond: l.PerSecond, Burst: uint32(l.Burst), MaxConcurrency: uint32(l.MaxConcurrency),
			Scope: l.Scope, Methods: l.Methods,
		})
	}
	return d, nil
}

// sdkVersion is that of the module, as the build recorded it.
func sdkVersion() string {
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	const module = "github.com/stratohub/strato"
	for _, d := range b.Deps {
		if d.Path == module || d.Path == module+"/sdk" {
			return d.Version
		}
	}
	return b.Main.Version
}

// Start implements the service.
func (s *server[T]) Start(ctx context.Context, r *pluginv1.StartRequest) (*pluginv1.StartResponse, error) {
	if err := s.start(ctx, r); err != nil {
		return nil, err
	}
	return &pluginv1.StartResponse{}, nil
}

// Health implements the service.
func (s *server[T]) Health(context.Context, *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	n, _ := s.instances.size()
	return &pluginv1.HealthResponse{InFlight: s.othersInFlight(), Instances: uint32(n)}, nil
}

// othersInFlight counts calls without the one that asks.
func (s *server[T]) othersInFlight() uint32 { return uint32(max(s.inFlight.Load()-1, 0)) }

// ValidateSettings implements the service: the schema, then the instance's own checks.
func (s *server[T]) ValidateSettings(ctx context.Context, r *pluginv1.ValidateSettingsRequest) (*pluginv1.ValidateSettingsResponse, error) {
	i := wire.ToInstallation(r.GetInstallation())
	document, err := settings.Merge(i.Settings, i.Secrets)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if found := s.schema.Validate(document); len(found) > 0 {
		return &pluginv1.ValidateSettingsResponse{Diagnostics: wire.FromDiagnostics(found)}, nil
	}
	value, release, err := s.private(ctx, r.GetInstallation())
	if err != nil {
		d := sdk.Diagnostic{Severity: sdk.SeverityError, Summary: "the plugin does not accept these settings"}
		if f, ok := errors.AsType[*failure.Failure](err); ok {
			d.Detail = f.Message
		} else {
			s.logFor(ctx, r.GetInstallation()).Warn("settings refused", "error", err)
		}
		return &pluginv1.ValidateSettingsResponse{Diagnostics: wire.FromDiagnostics([]sdk.Diagnostic{d})}, nil
	}
	defer release()
	v, ok := any(value).(sdk.Validator)
	if !ok {
		return &pluginv1.ValidateSettingsResponse{}, nil
	}
	found, keys := v.Validate(ctx)
	return &pluginv1.ValidateSettingsResponse{Diagnostics: wire.FromDiagnostics(found), RouteKeys: wire.FromRouteKeys(keys)}, nil
}

// MigrateSettings implements the service. Settings of the current version stay as they are.
func (s *server[T]) MigrateSettings(ctx context.Context, r *pluginv1.MigrateSettingsRequest) (*pluginv1.MigrateSettingsResponse, error) {
	i := wire.ToInstallation(r.GetInstallation())
	if r.GetToVersion() != s.manifest.SettingsVersion {
		return nil, status.Errorf(codes.InvalidArgument, "this plugin's settings are of version %d, not %d", s.manifest.SettingsVersion, r.GetToVersion())
	}
	out := &pluginv1.MigrateSettingsResponse{SettingsJson: i.Settings, Secrets: i.Secrets}
	if i.SettingsVersion != r.GetToVersion() {
		if s.plugin.Migrate == nil {
			return nil, status.Errorf(codes.Unimplemented, "this plugin cannot migrate settings of version %d", i.SettingsVersion)
		}
		s.secrets.Add("private "+i.ID, i.Revision, i.Secrets)
		document, secrets, err := s.plugin.Migrate(ctx, i)
		if err != nil {
			s.logFor(ctx, r.GetInstallation()).Error("settings were not migrated", "error", err)
			return nil, status.Error(codes.Internal, "the plugin could not migrate the settings; its log says why")
		}
		out.SettingsJson, out.Secrets = document, secrets
	}
	i.Settings, i.Secrets = out.GetSettingsJson(), out.GetSecrets()
	document, err := settings.Merge(i.Settings, i.Secrets)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	out.Diagnostics = wire.FromDiagnostics(s.schema.Validate(document))
	return out, nil
}

// ListOptions implements the service, for settings that may not be saved yet.
func (s *server[T]) ListOptions(ctx context.Context, r *pluginv1.ListOptionsRequest) (*pluginv1.ListOptionsResponse, error) {
	value, release, err := s.private(ctx, r.GetInstallation())
	if err != nil {
		return &pluginv1.ListOptionsResponse{Failure: refusal(s.logFor(ctx, r.GetInstallation()), "ListOptions", err, failure.NotSent)}, nil
	}
	defer release()
	l, ok := any(value).(sdk.OptionLister)
	if !ok {
		return nil, status.Error(codes.Unimplemented, "this plugin lists no options")
	}
	options, next, err := l.Options(ctx, sdk.OptionQuery{Source: r.GetSource(), Query: r.GetQuery(), PageToken: r.GetPageToken()})
	if err != nil {
		return &pluginv1.ListOptionsResponse{Failure: refusal(s.logFor(ctx, r.GetInstallation()), "ListOptions", err, failure.NotSent)}, nil
	}
	return &pluginv1.ListOptionsResponse{Options: wire.FromOptions(options), NextPageToken: next}, nil
}

// CheckInstallation implements the service. Without a Checker, settings that
// make an instance are healthy. A deep check is for settings that are not in
// force yet.
func (s *server[T]) CheckInstallation(ctx context.Context, r *pluginv1.CheckInstallationRequest) (*pluginv1.CheckInstallationResponse, error) {
	acquire := s.instance
	if r.GetDeep() {
		acquire = s.private
	}
	value, release, err := acquire(ctx, r.GetInstallation())
	if err != nil {
		return s.failedCheck(ctx, r, "settings", err), nil
	}
	defer release()
	c, ok := any(value).(sdk.Checker)
	if !ok {
		return &pluginv1.CheckInstallationResponse{State: pluginv1.HealthState_HEALTH_STATE_OK}, nil
	}
	result, err := c.Check(ctx, r.GetDeep())
	if err != nil {
		return s.failedCheck(ctx, r, "provider", err), nil
	}
	return wire.FromCheckResult(result), nil
}

func (s *server[T]) failedCheck(ctx context.Context, r *pluginv1.CheckInstallationRequest, name string, err error) *pluginv1.CheckInstallationResponse {
	f := refusal(s.logFor(ctx, r.GetInstallation()), "CheckInstallation", err, failure.NotSent)
	state := pluginv1.HealthState_HEALTH_STATE_FAILED
	return &pluginv1.CheckInstallationResponse{
		State: state, Checks: []*pluginv1.HealthCheck{{Name: name, State: state, Message: f.GetMessage(), Failure: f}},
	}
}

// ForgetInstallation implements the service.
func (s *server[T]) ForgetInstallation(_ context.Context, r *pluginv1.ForgetInstallationRequest) (*pluginv1.ForgetInstallationResponse, error) {
	s.instances.forget(r.GetInstallationId())
	return &pluginv1.ForgetInstallationResponse{}, nil
}

// CollectMetrics implements the service with the SDK's own figures and the
// plugin's. Secrets that a plugin put into a label are masked.
func (s *server[T]) CollectMetrics(context.Context, *pluginv1.CollectMetricsRequest) (*pluginv1.CollectMetricsResponse, error) {
	n, c := s.instances.size()
	var b strings.Builder
	for _, m := range []struct {
		name, kind string
		value      uint64
	}{
		{"instances", "gauge", uint64(n)},
		{"calls_in_flight", "gauge", uint64(s.othersInFlight())},
		{"goroutines", "gauge", uint64(runtime.NumGoroutine())}, //nolint:gosec // never negative
		{"instances_built_total", "counter", c.Built},
		{"instance_failures_total", "counter", c.Failed},
		{"instances_evicted_total", "counter", c.Evicted},
		{"late_revisions_total", "counter", c.Late},
	} {
		_, _ = fmt.Fprintf(&b, "# TYPE %s %s\n%s %d\n", m.name, m.kind, m.name, m.value)
	}
	s.metrics.text(&b)
	return &pluginv1.CollectMetricsResponse{PrometheusText: []byte(s.secrets.String(b.String()))}, nil
}

// Drain implements the service. Instances are closed when the host lets go,
// after the calls that it still waits for.
func (s *server[T]) Drain(context.Context, *pluginv1.DrainRequest) (*pluginv1.DrainResponse, error) {
	return &pluginv1.DrainResponse{InFlight: s.othersInFlight()}, nil
}
