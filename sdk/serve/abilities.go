package serve

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/internal/handshake"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/settings"
)

// methods are what a capability takes.
type methods struct {
	capability settings.Capability
	of         reflect.Type
}

// capabilities lists what can be done, each with its interface.
func capabilities() []methods {
	return []methods{
		{settings.Channel, reflect.TypeFor[sdk.Channel]()},
		{settings.Webhook, reflect.TypeFor[sdk.WebhookHandler]()},
		{settings.Templates, reflect.TypeFor[sdk.TemplateManager]()},
		{settings.Voice, reflect.TypeFor[sdk.Speaker]()},
		{settings.Calls, reflect.TypeFor[sdk.Caller]()},
		{settings.LeadSource, reflect.TypeFor[sdk.LeadSource]()},
		{settings.Media, reflect.TypeFor[sdk.MediaFetcher]()},
		{settings.Signals, reflect.TypeFor[sdk.Signaler]()},
	}
}

// abilities lists what T can do, in the manifest's words.
func abilities[T any]() []settings.Capability {
	var out []settings.Capability
	for _, c := range capabilities() {
		if reflect.TypeFor[T]().Implements(c.of) {
			out = append(out, c.capability)
		}
	}
	return out
}

// lacking says what T needs for a capability that it has not, such as
// "EndCall, GetCall (sdk.Caller)".
func lacking[T any](capability settings.Capability) string {
	t := reflect.TypeFor[T]()
	for _, c := range capabilities() {
		if c.capability != capability {
			continue
		}
		var names []string
		for m := range c.of.Methods() {
			has, ok := t.MethodByName(m.Name)
			switch {
			case !ok:
				names = append(names, m.Name)
			case !sameSignature(has.Type, m.Type):
				names = append(names, m.Name+" of the right signature")
			}
		}
		return strings.Join(names, ", ") + " (" + c.of.String() + ")"
	}
	return "any method for it"
}

// sameSignature compares a method of a type, whose first parameter is the
// receiver, with one of an interface.
func sameSignature(method, wanted reflect.Type) bool {
	if method.NumIn() != wanted.NumIn()+1 || method.NumOut() != wanted.NumOut() {
		return false
	}
	for i := range wanted.NumIn() {
		if method.In(i+1) != wanted.In(i) {
			return false
		}
	}
	for i := range wanted.NumOut() {
		if method.Out(i) != wanted.Out(i) {
			return false
		}
	}
	return true
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
			errs = append(errs, fmt.Errorf("the manifest declares %s, but %s does not have %s", c, reflect.TypeFor[T](), lacking[T](c)))
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
