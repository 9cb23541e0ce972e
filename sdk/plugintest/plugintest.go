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
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/host"
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
	// Source is the folder of the plugin's source, for the checks of it; [RunBinary]
	// sets it when it builds. Empty skips them.
	Source string
	// Simulator makes a simulator in this process, in place of the one that the
	// binary runs when it is called with the word simulate.
	Simulator func() (simulator.Provider, error)
	// Operator has settings that only the operator gives. The kit sets base_url.
	Operator map[string]string
	// Say makes the simulator's request that has a person write text to an
	// account. Nil means {"to": account, "text": text}.
	Say func(account, text string) any
	// Contents has examples of the kinds of content that the manifest names, in
	// place of the kit's. It has none of "template"; a kind without an example fails.
	Contents map[string]sdk.Content
	// SayFile makes the simulator's request that has a person send a file, for the
	// check of fetching it. Nil skips the check.
	SayFile func(account string) any
	// Speech is what a plugin with the capability voice is asked to say. The kit
	// has a text in the format "voice_note".
	Speech sdk.Speech
	// SignsTime says that the provider signs the time with its webhooks, so that
	// an old one must be refused.
	SignsTime bool
	// OldSettings has settings of each version before the manifest's, as they were
	// stored, secrets among them.
	OldSettings map[uint32]string
	// Skip has checks that do not apply, "group/check" or a whole "group", and why.
	Skip map[string]string
}

// Run makes every check a subtest of t, in process if c has a Plugin.
func Run(t *testing.T, c Config) {
	t.Helper()
	s, err := open(c)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s, "")
}

// RunBinary is Run with the program alone, which it builds from the package in
// the working directory if c names no Folder.
func RunBinary(t *testing.T, c Config) {
	t.Helper()
	c.Plugin, c.Simulator = nil, nil
	save := ""
	if c.Folder == "" {
		c.Source = "."
		if save = os.Getenv(EnvFolder); save != "" {
			c.Folder = save
		} else {
			folder, err := Build(t.Context(), ".", t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			c.Folder = folder
		}
	}
	s, err := open(c)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s, save)
}

// run makes the checks and saves the report in a folder, unless that is empty.
func run(t *testing.T, s *subject, save string) {
	t.Helper()
	report := s.report()
	for _, one := range checks {
		report.Results = append(report.Results, Result{Group: one.group, Check: one.name, Skipped: "not asked for"})
	}
	t.Cleanup(func() { // after all subtests
		var words strings.Builder
		if report.printMatrix(&words) == nil {
			t.Log(words.String())
		}
		if save == "" {
			return
		}
		if err := report.Save(save); err != nil {
			t.Error(err)
		}
	})
	for i, one := range checks {
		t.Run(one.group+"/"+one.name, func(t *testing.T) {
			t.Parallel()
			r := s.examine(t.Context(), one)
			report.Results[i] = r
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
	r := s.report()
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
	// timing is the host's, where its own would take too long.
	timing host.Timing
	// alone says that not even a plugin that runs is needed.
	alone func(*subject) error
	try   func(context.Context, *world) error
}

// checks in the order of plugins' life.
var checks = []check{
	{group: "manifest", name: "contents", alone: manifestContents},
	{group: "manifest", name: "simulator", alone: manifestSimulator},
	{group: "source", name: "state", alone: sourceState},
	{group: "settings", name: "accepted", try: settingsAccepted},
	{group: "settings", name: "nonsense", try: settingsNonsense},
	{group: "settings", name: "migrated", try: settingsMigrated},
	{group: "settings", name: "check", try: settingsCheck},
	{group: "settings", name: "revision", needs: channel, try: settingsRevision},
	{group: "webhooks", name: "accepted", needs: webhook, try: webhookAccepted},
	{group: "webhooks", name: "own keys", needs: webhook, try: webhookKeys},
	{group: "webhooks", name: "unsigned", needs: webhook, try: webhookUnsigned},
	{group: "webhooks", name: "changed", needs: webhook, try: webhookChanged},
	{group: "webhooks", name: "changed body", needs: webhook, try: webhookBody},
	{group: "webhooks", name: "other account", needs: webhook, try: webhookOther},
	{group: "webhooks", name: "again", needs: webhook, try: webhookAgain},
	{group: "webhooks", name: "stale", needs: webhook, try: webhookStale},
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
	{group: "streams", name: "speech", needs: voice, try: streamSpeech},
	{group: "streams", name: "refused", needs: voice, try: streamRefused},
	{group: "streams", name: "broken", needs: voice, try: streamBroken},
	{group: "streams", name: "cancelled", needs: voice, try: streamCancelled},
	{group: "streams", name: "file", needs: media, try: streamFile},
	{group: "process", name: "start", process: true, try: processStart},
	{group: "process", name: "hung", needs: channel, process: true, timing: brisk, try: processHung},
	{group: "process", name: "crash", needs: channel, process: true, timing: brisk, try: processCrash},
	{group: "process", name: "leak", needs: channel, process: true, try: processLeak},
	{group: "process", name: "replaced", needs: channel, process: true, try: processReplaced},
	{group: "process", name: "memory", needs: channel, process: true, try: processMemory},
}

var (
	webhook = []settings.Capability{settings.Webhook}
	channel = []settings.Capability{settings.Channel, settings.Webhook}
	voice   = []settings.Capability{settings.Voice}
	media   = []settings.Capability{settings.Media, settings.Webhook}
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
		r.conclude(c.alone(s))
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, checkDeadline)
	defer cancel()
	w, err := s.world(ctx, c.timing)
	if err != nil {
		r.Err = err
		return r
	}
	r.conclude(c.try(ctx, w))
	r.Err = errors.Join(r.Err, w.close())
	return r
}

// conclude takes what a check returned.
func (r *Result) conclude(err error) {
	if why, ok := errors.AsType[skip](err); ok {
		r.Skipped = string(why)
		return
	}
	r.Err = err
}

// skip is what a check returns that finds nothing to try.
type skip string

// Error implements error.
func (s skip) Error() string { return string(s) }
