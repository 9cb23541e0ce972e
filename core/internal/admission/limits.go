package admission

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/stratohub/strato/sdk/settings"
)

// Limits are how many calls a plugin has at once.
type Limits struct {
	// InFlight are all of one process: at 300 ms for a provider's answer, 128 are
	// 400 calls a second, and what they hold stays within its memory.
	InFlight int `json:"in_flight"`
	// Webhooks, Sends, Streams and Requests are those of one tenant.
	Webhooks int `json:"webhooks"`
	Sends    int `json:"sends"`
	Streams  int `json:"streams"`
	Requests int `json:"requests"`
}

// defaults of what neither the manifest nor the operator says.
func defaults() Limits {
	return Limits{InFlight: 128, Webhooks: 8, Sends: 8, Streams: 4, Requests: 8}
}

// of is how many calls a lane has at once; 0 for as many as the process takes,
// which is for calls of no tenant.
func (l Limits) of(key laneKey) int {
	if key.tenant == "" {
		return 0
	}
	switch key.class {
	case Webhooks:
		return l.Webhooks
	case Sends:
		return l.Sends
	case Streams:
		return l.Streams
	default:
		return l.Requests
	}
}

// Override is what the operator says of one plugin. Zero fields leave it as the
// manifest has it.
type Override struct {
	Limits
	// Rates by the name that the manifest gives them.
	Rates map[string]RateOverride `json:"rates"`
}

// RateOverride replaces the figures of a rate limit. Absent ones stay; a rate or
// concurrency of 0 lifts it.
type RateOverride struct {
	PerSecond      *float64 `json:"per_second"`
	Burst          *int     `json:"burst"`
	MaxConcurrency *int     `json:"max_concurrency"`
}

// Overrides are the operator's by plugin. Nil overrides nothing.
type Overrides map[string]Override

// ReadOverrides reads the operator's file; an empty path gives none.
func ReadOverrides(path string) (Overrides, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // a slip of the pen would limit nothing
	var o Overrides
	if err := d.Decode(&o); err != nil {
		return nil, fmt.Errorf("%s must hold {\"plugin\":{\"sends\":24,\"rates\":{\"name\":{\"per_second\":10}}}}: %w", path, err)
	}
	for plugin, one := range o {
		if slices.Min([]int{one.InFlight, one.Webhooks, one.Sends, one.Streams, one.Requests}) < 0 {
			return nil, fmt.Errorf("%s: a limit of %s is negative", path, plugin)
		}
		for name, r := range one.Rates {
			if r.PerSecond != nil && *r.PerSecond < 0 || r.Burst != nil && *r.Burst < 0 || r.MaxConcurrency != nil && *r.MaxConcurrency < 0 {
				return nil, fmt.Errorf("%s: the rate limit %s of %s is negative", path, name, plugin)
			}
		}
	}
	return o, nil
}

// limits of a plugin: the operator's, else the manifest's, else the defaults.
func (o Overrides) limits(m *settings.Manifest) Limits {
	one, c := o[m.ID].Limits, m.Concurrency
	pick := func(values ...int) int {
		return values[max(slices.IndexFunc(values, func(n int) bool { return n > 0 }), 0)]
	}
	d := defaults()
	return Limits{
		InFlight: pick(one.InFlight, d.InFlight), Webhooks: pick(one.Webhooks, c.Webhooks, d.Webhooks),
		Sends: pick(one.Sends, c.Sends, d.Sends), Streams: pick(one.Streams, c.Streams, d.Streams), Requests: pick(one.Requests, d.Requests),
	}
}

// rates of a plugin: the manifest's, with the operator's figures.
func (o Overrides) rates(m *settings.Manifest) []settings.RateLimit {
	out := slices.Clone(m.RateLimits)
	for i := range out {
		r := o[m.ID].Rates[out[i].Name]
		if r.PerSecond != nil {
			out[i].PerSecond = *r.PerSecond
			if r.Burst == nil {
				out[i].Burst = 0 // the old one belongs to the old rate
			}
		}
		if r.Burst != nil {
			out[i].Burst = *r.Burst
		}
		if r.MaxConcurrency != nil {
			out[i].MaxConcurrency = *r.MaxConcurrency
		}
	}
	return out
}

// Unknown lists the rate limits that the operator names and the manifest does not.
func (o Overrides) Unknown(m *settings.Manifest) []string {
	var out []string
	for name := range o[m.ID].Rates {
		if !slices.ContainsFunc(m.RateLimits, func(l settings.RateLimit) bool { return l.Name == name }) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
