// Package serve turns an author's type into a plugin program. A plugin's main is
//
//	//go:embed plugin.json
//	var manifest []byte
//
//	func main() {
//		serve.Main(serve.Plugin[*channel]{Manifest: manifest, New: newChannel})
//	}
//
// where *channel has the methods of the capabilities that the manifest names:
// [sdk.WebhookHandler], [sdk.Channel], [sdk.Signaler], [sdk.MediaFetcher],
// [sdk.TemplateManager], [sdk.Speaker], [sdk.Caller], [sdk.LeadSource], and
// optionally [sdk.Checker], [sdk.Validator], [sdk.OptionLister], [sdk.Closer].
package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/httpx"
	"github.com/stratohub/strato/sdk/internal/handshake"
	"github.com/stratohub/strato/sdk/settings"
)

// Plugin describes a plugin whose instances are of type T, one for each
// installation and revision of its settings. T is usually a pointer.
type Plugin[T any] struct {
	// Manifest is the content of plugin.json, embedded, so that the host can
	// compare it with the file on disk.
	Manifest []byte
	// Settings is a value of the struct that New decodes the settings into, for
	// authors who let its tags be the schema; see [settings.SchemaOf]. The
	// manifest's settings_schema must then be the struct's, or be left out;
	// called as "manifest plugin.json" the program writes it there. Nil for a
	// schema by hand.
	Settings any
	// New makes the instance that serves one installation. It reads the
	// settings with [settings.Decode] and keeps what calls need; it must not
	// ask the network for more than two seconds. An error is remembered for a
	// second, so that a broken installation burns no time. Each call must
	// return a value of its own.
	New func(ctx context.Context, i sdk.Installation, env Env) (T, error)
	// Route answers requests to the provider-level URL, which names no
	// installation: it verifies them with the operator's secrets and cuts them
	// into parts by routing key. Nil for plugins that have no such URL.
	Route func(ctx context.Context, env Env, endpoint string, r sdk.Request) (sdk.Routing, error)
	// Migrate brings settings of an older settings version to the manifest's.
	// It returns the document without secrets and the secrets by pointer. Nil
	// while there was only one version.
	Migrate func(ctx context.Context, i sdk.Installation) (document []byte, secrets map[string]string, err error)
	// Start is called once, before any other call, when the operator's settings
	// are known. An error refuses the start. Nil for nothing to do.
	Start func(ctx context.Context, env Env) error
	// Simulate runs the simulator of the provider with the words that followed
	// "simulate" on the command line, and returns the exit code. Nil for none.
	Simulate func(args []string) int
}

// Env is what a plugin gets from its surroundings. It does not change while
// the process lives; copies share the client and the logger.
type Env struct {
	// Operator holds the settings that only the operator gives, such as the
	// application's secret, by the names of the manifest. It is not to be changed.
	Operator map[string]string
	// Log writes to the core's log. Secrets of installations are masked in it.
	Log *slog.Logger
	// Metrics counts and measures what only the plugin knows; the core adds it to
	// its own metrics. All installations share it.
	Metrics *Metrics
	// HTTP reaches the hosts of the manifest's egress, or the operator's
	// setting "base_url" in place of them.
	HTTP *httpx.Client
	// Host does what a plugin cannot do by itself: it keeps state, rotates
	// secrets, holds files and takes events. What this host does not offer fails
	// with [sdk.ErrNoService].
	Host sdk.Services
	// HostVersion and NodeID tell which core this is.
	HostVersion, NodeID string
}

// Main serves p until the core lets go, and exits. Called by hand the program
// explains itself, prints its manifest or writes it to a file (manifest [FILE]),
// simulates its provider (simulate WORDS…), or waits for a core that is told to
// attach to it, so that it can run under a debugger (-debug).
func Main[T any](p Plugin[T]) {
	os.Exit(run(p, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code.
func run[T any](p Plugin[T], args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "manifest" {
		return printManifest(p, args[1:], stdout, stderr)
	}
	p, m, err := prepare(p)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "This plugin cannot be served: %v\n", err)
		return 2
	}
	switch {
	case len(args) > 0 && args[0] == "simulate":
		if p.Simulate == nil {
			_, _ = fmt.Fprintf(stderr, "The plugin %s has no simulator.\n", m.ID)
			return 2
		}
		return p.Simulate(args[1:])
	case len(args) == 1 && (args[0] == "-debug" || args[0] == "--debug"):
		return serveDebug(p, m, os.Stdout, os.Stderr)
	case os.Getenv(handshake.CookieKey) != handshake.CookieValue || len(args) > 0:
		_, _ = fmt.Fprintf(stderr, "This is the Strato plugin %s %s. Strato starts it by itself from its plugin folder, "+
			"bin/plugins/%s; there is nothing to run by hand but:\n  %s manifest [FILE]\n  %s -debug", m.ID, m.Version, m.ID, m.ID, m.ID)
		if p.Simulate != nil {
			_, _ = fmt.Fprintf(stderr, "\n  %s simulate WORDS…", m.ID)
		}
		_, _ = fmt.Fprintln(stderr)
		return 2
	}
	return serve(p, m)
}

// prepare completes the manifest by the settings' struct, reads it, and
// compares it with what is there.
func prepare[T any](p Plugin[T]) (Plugin[T], *settings.Manifest, error) {
	if p.Settings != nil {
		complete, err := completed(p)
		if err != nil {
			return p, nil, err
		}
		var given struct {
			Schema json.RawMessage `json:"settings_schema"`
		}
		if json.Unmarshal(p.Manifest, &given) == nil && given.Schema != nil && !sameJSON(p.Manifest, complete) {
			return p, nil, errors.New("the manifest's settings_schema is not that of Settings; " +
				"run the plugin with the words: manifest plugin.json, and build it again")
		}
		if given.Schema == nil {
			p.Manifest = complete
		}
	}
	m, err := settings.Parse(p.Manifest)
	if err != nil {
		return p, nil, err
	}
	return p, m, check(p, m)
}

// completed is the manifest with the schema of the settings' struct, if there is one.
func completed[T any](p Plugin[T]) ([]byte, error) {
	if p.Settings == nil {
		return p.Manifest, nil
	}
	schema, err := settings.SchemaOf(p.Settings)
	if err != nil {
		return nil, err
	}
	return settings.WithSchema(p.Manifest, schema)
}

// sameJSON compares two documents whatever their spaces and the order of their keys.
func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// printManifest prints the manifest, or writes it to the file that args name.
// It returns the exit code.
func printManifest[T any](p Plugin[T], args []string, stdout, stderr io.Writer) int {
	document, err := completed(p)
	var m *settings.Manifest
	if err == nil {
		m, err = settings.Parse(document)
	}
	switch {
	case err != nil:
	case len(args) == 0:
		_, err = stdout.Write(document)
	case len(args) == 1:
		err = os.WriteFile(args[0], document, 0o644) //nolint:gosec // it is for everyone to read
	default:
		err = errors.New("manifest takes one file at most")
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "The plugin's manifest: %v\n", err)
		return 2
	}
	for _, k := range m.Unknown {
		_, _ = fmt.Fprintf(stderr, "The manifest's key %q is not known.\n", k)
	}
	return 0
}
