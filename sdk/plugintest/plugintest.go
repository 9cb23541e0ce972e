// Package plugintest is the conformance kit: it runs a plugin under the real
// supervisor, with its own simulator in the provider's place, and tries what a
// host and a provider may do to it. The tests of a plugin are
//
//	func TestConformance(t *testing.T) {
//		c := plugintest.Config{Plugin: plugin(), Simulator: newProvider}
//		t.Run("in process", func(t *testing.T) { plugintest.Run(t, c) })
//		t.Run("binary", func(t *testing.T) { plugintest.RunBinary(t, c) })
//	}
//
// In process the plugin is served over a real socket by the test itself, so the
// race detector and the debugger see it and the host at once. As a binary it
// runs under the real supervisor, which can also stop, kill and replace it.
//
// The kit knows nothing of the provider: valid webhooks, signatures included, are
// those that the simulator sends when a person writes, and faults are put between
// the plugin and the simulator.
package plugintest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/serve"
	"github.com/stratohub/strato/sdk/settings"
	"github.com/stratohub/strato/sdk/simulator"
)

// checkDeadline bounds one check, the start of the plugin and of its simulator
// included.
const checkDeadline = 60 * time.Second

// Plugin is a plugin that can be served in this process: a [serve.Plugin].
type Plugin interface {
	Listen(log io.Writer) (*serve.Listening, error)
}

// Config says what is tested. Folder is required, or Plugin and Simulator.
type Config struct {
	// Folder has plugin.json and the binary of the same name as the folder, as in
	// bin/plugins. [RunBinary] builds one where it is empty.
	Folder string
	// Plugin is served in this process, in place of the binary in Folder.
	Plugin Plugin
	// Simulator makes a simulator in this process, in place of the one that the
	// binary runs when it is called with the word simulate.
	Simulator func() (simulator.Provider, error)
	// Operator has settings that only the operator gives. The kit sets base_url.
	Operator map[string]string
	// Say makes the simulator's request that has a person write text to an
	// account. Nil means {"to": account, "text": text}.
	Say func(account, text string) any
	// Contents has an example of each kind of content that the manifest names. The
	// kit has one of "text"; a kind without an example fails.
	Contents map[string]sdk.Content
	// Skip has checks that do not apply, "group/check" or a whole "group", and why.
	Skip map[string]string
}

// Result is what became of one check.
type Result struct {
	Group, Check string
	// Skipped says why the check was not made; empty if it was.
	Skipped string
	// Err is nil if the plugin passed.
	Err error
}

// Name is "group/check".
func (r Result) Name() string { return r.Group + "/" + r.Check }

// Report is what became of all checks, in their order.
type Report struct {
	Plugin, Version string
	Capabilities    []settings.Capability
	Results         []Result
}

// Failed lists the checks that the plugin did not pass.
func (r Report) Failed() []Result {
	var failed []Result
	for _, one := range r.Results {
		if one.Err != nil {
			failed = append(failed, one)
		}
	}
	return failed
}

// Print writes the report as a table.
func (r Report) Print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, one := range r.Results {
		state, why := "ok", ""
		switch {
		case one.Skipped != "":
			state, why = "skip", one.Skipped
		case one.Err != nil:
			state, why = "FAIL", strings.ReplaceAll(one.Err.Error(), "\n", "; ")
		}
		if _, err := fmt.Fprintf(table, "%s\t%s\t%s\n", state, one.Name(), why); err != nil {
			return err
		}
	}
	return table.Flush()
}

// Run makes every check a subtest of t, in process if c has a Plugin.
func Run(t *testing.T, c Config) {
	t.Helper()
	s, err := open(c)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
}

// RunBinary is Run with the program alone, which it builds from the package in
// the working directory if c names no Folder.
func RunBinary(t *testing.T, c Config) {
	t.Helper()
	c.Plugin, c.Simulator = nil, nil
	if c.Folder == "" {
		folder, err := build(t.Context(), ".", t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		c.Folder = folder
	}
	Run(t, c)
}

func run(t *testing.T, s *subject) {
	t.Helper()
	for _, one := range checks {
		t.Run(one.group+"/"+one.name, func(t *testing.T) {
			t.Parallel()
			r := s.examine(t.Context(), one)
			if r.Skipped != "" {
				t.Skip(r.Skipped)
			}
			if r.Err != nil {
				t.Error(r.Err)
			}
		})
	}
}

// Examine makes every check, one after another. An error means that nothing
// could be checked.
func Examine(ctx context.Context, c Config) (Report, error) {
	s, err := open(c)
	if err != nil {
		return Report{}, err
	}
	r := Report{Plugin: s.manifest.ID, Version: s.manifest.Version, Capabilities: s.manifest.Capabilities}
	for _, one := range checks {
		r.Results = append(r.Results, s.examine(ctx, one))
	}
	return r, nil
}

// check is one thing that is tried. needs are the capabilities without which it
// means nothing.
type check struct {
	group, name string
	needs       []settings.Capability
	// process says that it takes a process of the plugin's own.
	process bool
	// alone says that not even a plugin that runs is needed.
	alone func(*subject) error
	try   func(context.Context, *world) error
}

// checks in the order of plugins' life.
var checks = []check{
	{group: "manifest", name: "contents", alone: manifestContents},
	{group: "manifest", name: "simulator", alone: manifestSimulator},
	{group: "settings", name: "accepted", try: settingsAccepted},
	{group: "settings", name: "check", try: settingsCheck},
	{group: "settings", name: "revision", needs: channel, try: settingsRevision},
	{group: "webhooks", name: "accepted", needs: webhook, try: webhookAccepted},
	{group: "webhooks", name: "own keys", needs: webhook, try: webhookKeys},
	{group: "webhooks", name: "unsigned", needs: webhook, try: webhookUnsigned},
	{group: "webhooks", name: "changed", needs: webhook, try: webhookChanged},
	{group: "webhooks", name: "changed body", needs: webhook, try: webhookBody},
	{group: "webhooks", name: "other account", needs: webhook, try: webhookOther},
	{group: "webhooks", name: "again", needs: webhook, try: webhookAgain},
	{group: "webhooks", name: "kept", needs: webhook, try: webhookKept},
	{group: "webhooks", name: "garbage", needs: webhook, try: webhookGarbage},
	{group: "send", name: "contents", needs: channel, try: sendContents},
	{group: "send", name: "refusals", needs: channel, try: sendRefusals},
	{group: "send", name: "retry after", needs: channel, try: sendRetryAfter},
	{group: "send", name: "lost answer", needs: channel, try: sendLost},
	{group: "send", name: "provider away", needs: channel, try: sendAway},
	{group: "send", name: "cancelled", needs: channel, try: sendCancelled},
	{group: "isolation", name: "accounts", needs: channel, try: isolationAccounts},
	{group: "isolation", name: "secrets", needs: channel, try: isolationSecrets},
	{group: "process", name: "replaced", needs: channel, process: true, try: processReplaced},
	{group: "process", name: "memory", needs: channel, process: true, try: processMemory},
}

var (
	webhook = []settings.Capability{settings.Webhook}
	channel = []settings.Capability{settings.Channel, settings.Webhook}
)

func (s *subject) examine(ctx context.Context, c check) Result {
	r := Result{Group: c.group, Check: c.name}
	for _, name := range []string{c.group, r.Name()} {
		if why := s.Skip[name]; why != "" {
			r.Skipped = why
			return r
		}
	}
	for _, n := range c.needs {
		if !s.manifest.Has(n) {
			r.Skipped = fmt.Sprintf("the manifest does not name the capability %s", n)
			return r
		}
	}
	if c.process && s.Plugin != nil {
		r.Skipped = "it takes a process of the plugin's own; RunBinary makes it"
		return r
	}
	if c.alone != nil {
		r.Err = c.alone(s)
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, checkDeadline)
	defer cancel()
	w, err := s.world(ctx)
	if err != nil {
		r.Err = err
		return r
	}
	r.Err = errors.Join(c.try(ctx, w), w.close())
	return r
}
