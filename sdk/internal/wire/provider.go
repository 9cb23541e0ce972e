package wire

import (
	"errors"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// ToDiagnostic reads a finding.
func ToDiagnostic(p *pluginv1.Diagnostic) sdk.Diagnostic {
	return sdk.Diagnostic{Severity: sdk.Severity(p.GetSeverity()), Pointer: p.GetPointer(), Summary: p.GetSummary(), Detail: p.GetDetail()}
}

// FromDiagnostic writes a finding.
func FromDiagnostic(d sdk.Diagnostic) *pluginv1.Diagnostic {
	return &pluginv1.Diagnostic{Severity: pluginv1.Severity(d.Severity), Pointer: d.Pointer, Summary: d.Summary, Detail: d.Detail}
}

// FromDiagnostics writes findings.
func FromDiagnostics(d []sdk.Diagnostic) []*pluginv1.Diagnostic { return each(d, FromDiagnostic) }

// ToOption reads a choice.
func ToOption(p *pluginv1.Option) sdk.Option {
	return sdk.Option{Value: p.GetValue(), Label: p.GetLabel(), Description: p.GetDescription(), Disabled: p.GetDisabled()}
}

// FromOption writes a choice.
func FromOption(o sdk.Option) *pluginv1.Option {
	return &pluginv1.Option{Value: o.Value, Label: o.Label, Description: o.Description, Disabled: o.Disabled}
}

// FromOptions writes choices.
func FromOptions(o []sdk.Option) []*pluginv1.Option { return each(o, FromOption) }

// ToCheck reads one check.
func ToCheck(p *pluginv1.HealthCheck) sdk.Check {
	c := sdk.Check{
		Name: p.GetName(), Message: p.GetMessage(), Pointer: p.GetPointer(), State: sdk.Health(p.GetState()),
		ExpiresAt: toTime(p.GetExpiresAt()),
	}
	if f := ToFailure(p.GetFailure()); f != nil {
		c.Err = f
	}
	return c
}

// FromCheck writes one check. An error that is no failure is not written: its
// words are not for tenants.
func FromCheck(c sdk.Check) *pluginv1.HealthCheck {
	p := &pluginv1.HealthCheck{
		Name: c.Name, Message: c.Message, Pointer: c.Pointer, State: pluginv1.HealthState(c.State), ExpiresAt: fromTime(c.ExpiresAt),
	}
	if f, ok := errors.AsType[*failure.Failure](c.Err); ok {
		p.Failure = FromFailure(f)
	}
	return p
}

// ToCheckResult reads the health of an installation.
func ToCheckResult(p *pluginv1.CheckInstallationResponse) sdk.CheckResult {
	return sdk.CheckResult{
		State: sdk.Health(p.GetState()), Checks: each(p.GetChecks(), ToCheck),
		ConfirmedKeys: ToRouteKeys(p.GetConfirmedRouteKeys()), AccountLabel: p.GetAccountLabel(),
	}
}

// FromCheckResult writes the health of an installation.
func FromCheckResult(r sdk.CheckResult) *pluginv1.CheckInstallationResponse {
	return &pluginv1.CheckInstallationResponse{
		State: pluginv1.HealthState(r.State), Checks: each(r.Checks, FromCheck),
		ConfirmedRouteKeys: FromRouteKeys(r.ConfirmedKeys), AccountLabel: r.AccountLabel,
	}
}
