package serve

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/internal/handshake"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/settings"
)

// abilities lists what T can do, in the manifest's words.
func abilities[T any]() []settings.Capability {
	t := reflect.TypeFor[T]()
	var out []settings.Capability
	for _, a := range []struct {
		capability settings.Capability
		methods    reflect.Type
	}{
		{settings.Channel, reflect.TypeFor[sdk.Channel]()},
		{settings.Webhook, reflect.TypeFor[sdk.WebhookHandler]()},
		{settings.Media, reflect.TypeFor[sdk.MediaFetcher]()},
		{settings.Signals, reflect.TypeFor[sdk.Signaler]()},
	} {
		if t.Implements(a.methods) {
			out = append(out, a.capability)
		}
	}
	return out
}

// onWire are the numbers of the capabilities.
func onWire(cs []settings.Capability) []pluginv1.Capability {
	numbers := map[settings.Capability]pluginv1.Capability{
		settings.Channel:    pluginv1.Capability_CAPABILITY_CHANNEL,
		settings.Webhook:    pluginv1.Capability_CAPABILITY_WEBHOOK,
		settings.Templates:  pluginv1.Capability_CAPABILITY_TEMPLATES,
		settings.Voice:      pluginv1.Capability_CAPABILITY_VOICE,
		settings.Calls:      pluginv1.Capability_CAPABILITY_CALLS,
		settings.LeadSource: pluginv1.Capability_CAPABILITY_LEAD_SOURCE,
		settings.Media:      pluginv1.Capability_CAPABILITY_MEDIA,
		settings.Signals:    pluginv1.Capability_CAPABILITY_SIGNALS,
	}
	out := make([]pluginv1.Capability, len(cs))
	for i, c := range cs {
		out[i] = numbers[c]
	}
	return out
}

// check compares what the manifest promises with what is there.
func check[T any](p Plugin[T], m *settings.Manifest) error {
	var errs []error
	if m.Protocol != handshake.Version {
		errs = append(errs, fmt.Errorf("the manifest's protocol is %d, this SDK speaks %d", m.Protocol, handshake.Version))
	}
	if p.New == nil {
		errs = append(errs, errors.New("there is no New"))
	}
	can := abilities[T]()
	for _, c := range m.Capabilities {
		if !slices.Contains(can, c) {
			errs = append(errs, fmt.Errorf("the manifest declares %s, but %s has no method for it", c, reflect.TypeFor[T]()))
		}
	}
	for _, c := range can {
		if !m.Has(c) {
			errs = append(errs, fmt.Errorf("%s can do %s, but the manifest does not declare it", reflect.TypeFor[T](), c))
		}
	}
	if p.Route != nil && !m.Has(settings.Webhook) {
		errs = append(errs, errors.New("there is a Route, but the manifest declares no webhook"))
	}
	if m.Simulator != (p.Simulate != nil) {
		errs = append(errs, errors.New("the manifest's simulator and Simulate disagree"))
	}
	return errors.Join(errs...)
}
