// Package admission decides whether a call of a plugin may be made now: how many
// a plugin gets at once, how many of them one tenant has, and what the plugin's
// manifest says that its provider takes. It waits shortly where waiting helps,
// and refuses what would only pile up.
package admission

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/settings"
)

// Class is a kind of work of which a tenant has so much at once.
type Class int

// The classes.
const (
	// Requests are what a person waits for, and everything else.
	Requests Class = iota
	// Webhooks that are verified and translated. They are kept when refused.
	Webhooks
	// Sends of messages. They stay in the outbox when refused.
	Sends
	// Streams of files and speech.
	Streams
)

// Call is a call that wants to be made.
type Call struct {
	Release host.Release
	// Shard is of which process: empty for the one that tenants share.
	Shard string
	// Tenant and Installation are empty for calls of no tenant.
	Tenant, Installation string
	Class                Class
	// Method as on the wire, such as "Send", and the kind of content that it
	// carries, such as "template"; empty for none.
	Method, Content string
	// From is the account that sends, Recipient who gets it, where that is known.
	From      Address
	Recipient string
}

// Address is an account at a provider.
type Address struct{ Kind, Value string }

// Reason is why a call was refused, from a closed set fit for a metric label.
type Reason string

// The reasons.
const (
	// ReasonFull: too many wait already.
	ReasonFull Reason = "full"
	// ReasonLate: its turn did not come in time.
	ReasonLate Reason = "late"
	// ReasonRate: a rate limit of the plugin's, or its provider's word.
	ReasonRate Reason = "rate"
)

// Refused says that a call was not made.
type Refused struct {
	Reason Reason
	// After is when another try makes sense.
	After time.Duration
	cause error
}

// Error implements error.
func (r *Refused) Error() string {
	return fmt.Sprintf("the call was not let in (%s), try again after %s", r.Reason, r.After)
}

// Unwrap returns the end of the caller's context, if that ended the wait.
func (r *Refused) Unwrap() error { return r.cause }

// Desk admits the calls of all plugins. It is safe for concurrent use.
type Desk struct {
	overrides Overrides
	observe   Observer

	mu      sync.Mutex
	plugins map[string]*plugin
}

// Observer hears of each decision, from the goroutine that asked.
type Observer struct {
	// Waited is told how long a call that was let in waited.
	Waited func(plugin string, d time.Duration)
	// Refused is told of a call that was not.
	Refused func(plugin, tenant string, r Reason)
}

// plugin is what is remembered of one.
type plugin struct {
	manifest string // the digest of the manifest that the limits are from
	limits   Limits
	rates    *rates
	gates    map[string]*gate // by shard
}

// New returns a desk. Nil functions of the observer are not called.
func New(o Overrides, observe Observer) *Desk {
	if observe.Waited == nil {
		observe.Waited = func(string, time.Duration) {}
	}
	if observe.Refused == nil {
		observe.Refused = func(string, string, Reason) {}
	}
	return &Desk{overrides: o, observe: observe, plugins: map[string]*plugin{}}
}

// Enter lets a call in, after half a second at most, or refuses it with a
// [*Refused]. The function returned ends the call; it is called once.
func (d *Desk) Enter(ctx context.Context, c *Call) (func(), error) {
	g, l, rates := d.of(c)
	began := time.Now()
	lane, err := g.enter(ctx, laneKey{c.Tenant, c.Class}, l)
	if err != nil {
		d.observe.Refused(c.Release.Name, c.Tenant, err.(*Refused).Reason) //nolint:errorlint,forcetypeassert // it gives no other
		return nil, err
	}
	taken, err := d.rated(ctx, rates, c, began)
	if err != nil {
		g.leave(lane)
		d.observe.Refused(c.Release.Name, c.Tenant, ReasonRate)
		return nil, err
	}
	d.observe.Waited(c.Release.Name, time.Since(began))
	return func() {
		rates.leave(taken)
		g.leave(lane)
	}, nil
}

// rated takes what the call needs of the rate limits. A message does not wait
// for them: its worker has others to send.
func (d *Desk) rated(ctx context.Context, r *rates, c *Call, began time.Time) ([]*bucket, error) {
	for {
		now := time.Now()
		taken, after := r.enter(c, now)
		if after <= 0 {
			return taken, nil
		}
		if c.Class == Sends || now.Add(after).Sub(began) > patience {
			return nil, &Refused{Reason: ReasonRate, After: after}
		}
		again := time.NewTimer(after)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return nil, &Refused{Reason: ReasonRate, After: after, cause: ctx.Err()}
		}
	}
}

// Pause keeps calls like c back for a while, because the provider said so. limit
// names the manifest's rate limit that it enforced; empty takes the widest that
// c falls under.
func (d *Desk) Pause(c *Call, limit string, after time.Duration) {
	_, _, rates := d.of(c)
	rates.pause(c, limit, time.Now().Add(after))
}

// of finds a plugin's gate and rates. Another manifest has other limits.
func (d *Desk) of(c *Call) (*gate, Limits, *rates) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.plugins[c.Release.Name]
	if p == nil {
		p = &plugin{gates: map[string]*gate{}}
		d.plugins[c.Release.Name] = p
	}
	if p.rates == nil || p.manifest != c.Release.ManifestSHA256 {
		var declared settings.Manifest
		if c.Release.Manifest != nil {
			declared = *c.Release.Manifest
		}
		p.manifest = c.Release.ManifestSHA256
		p.limits, p.rates = d.overrides.limits(&declared), newRates(d.overrides.rates(&declared))
	}
	g := p.gates[c.Shard]
	if g == nil {
		g = newGate()
		p.gates[c.Shard] = g
	}
	return g, p.limits, p.rates
}
