// Package core has no code of its own. Its tests hold the house rules about
// who may import whom and who may call what, as tables.
package core

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// grant is what a package of the core may do. Everything else is refused.
type grant struct {
	// imports are the packages of core/internal that it may import.
	imports string
	// sdk are the packages of the SDK that it may import, relative to sdk/.
	sdk string
	// http allows net/http, Gin and huma. Domains do without: what they offer is
	// served by httpapi, and works as well from a job or a command.
	http bool
	// system allows Pool.System, the way around a tenant's scope.
	system bool
	// env are the variables that it may read past config.
	env string
}

// packages is the whole core. A package that is missing here fails.
var packages = map[string]grant{
	// Domains: functions of a scope.
	"assistant":    {imports: "id tenant"},
	"automation":   {imports: "conversation lead queue team tenant"},
	"contact":      {imports: "fault id tenant"},
	"conversation": {imports: "assistant contact event fault id installation lead queue tenant"},
	"event":        {imports: "id tenant"},
	"installation": {imports: "fault id secret tenant", system: true},
	"lead":         {imports: "contact event fault id tenant"},
	"team":         {imports: "tenant"},

	// The way of a message: only these talk to plugins.
	"deadletter":  {imports: "conversation fault id tenant", system: true},
	"hostservice": {imports: "fault id installation postgres tenant", sdk: "host hostv1 pluginv1"},
	"ingress":     {imports: "contact conversation event fault id installation lead pluginhost postgres queue telemetry tenant", sdk: "host pluginv1", http: true, system: true},
	"outbox":      {imports: "contact conversation fault installation pluginhost postgres queue telemetry tenant", sdk: "pluginv1"},
	"admission":   {sdk: "host settings"},
	"pluginhost":  {imports: "admission fault installation telemetry tenant", sdk: ". failure host pluginv1 settings trace"},

	// Tenancy and data.
	"postgres": {},
	"queue":    {imports: "id tenant", system: true},
	"tenant":   {imports: "fault id postgres", system: true},

	// Access.
	"auth":    {imports: "cache fault httpapi id postgres rbac rest secret tenant", http: true, system: true},
	"httpapi": {imports: "fault rbac rest telemetry tenant", sdk: "trace", http: true},
	"live":    {imports: "cache fault httpapi rbac tenant", http: true},
	"rbac":    {imports: "id tenant"},
	"rest":    {imports: "fault tenant"},

	// What all stand on.
	"cache":     {},
	"config":    {imports: "secret"},
	"embedded":  {env: "PATH"}, // programs it starts are found there
	"fault":     {},
	"id":        {},
	"secret":    {},
	"telemetry": {http: true},

	// The program.
	"app": {
		imports: "admission assistant auth automation cache config contact conversation embedded event fault hostservice httpapi id ingress installation lead " +
			"live outbox pluginhost postgres queue rbac rest secret team telemetry tenant",
		sdk: "host", http: true,
	},
	"cli":         {imports: "app auth config deadletter demo embedded id installation pluginhost pluginstore postgres rbac secret simulation telemetry tenant"},
	"demo":        {imports: "app auth config embedded installation postgres rbac simulation tenant", sdk: "simulator"},
	"pluginstore": {sdk: "host"},
	"simulation":  {imports: "embedded", sdk: "simulator", env: "PATH TZ"}, // for the simulators' own programs

	// For tests.
	"dbtest":     {imports: "embedded postgres", env: "STRATO_POSTGRES_BIN STRATO_POSTGRES_PACKAGES"},
	"hosttest":   {imports: "admission hostservice ingress installation pluginhost secret simulation telemetry tenant tenanttest", sdk: "host simulator"},
	"tenanttest": {imports: "assistant dbtest lead tenant"},
}

// inherited are the modules that whoever writes a plugin gets with the SDK.
var inherited = []string{
	"github.com/hashicorp/go-hclog", "github.com/hashicorp/go-plugin", "github.com/santhosh-tekuri/jsonschema/v6",
	"golang.org/x/sys", "golang.org/x/time", "google.golang.org/grpc", "google.golang.org/protobuf",
}

// named are the files of the core in which a provider's name stands, and why.
// The core learns of plugins from their manifests.
var named = map[string]string{
	"core/internal/lead/lead.go":           "where a lead came from is a closed set of the domain",
	"core/internal/conversation/thread.go": "the same set, by the channel of the first message",
	"core/internal/cli/simulate.go":        "an example in a help text",
	"core/internal/cli/demo.go":            "the command to try first, on the demo's screen",
	"core/internal/hosttest/build.go":      "the plugin whose provider the tests simulate",
}

// rules are checks of one file. Each returns what is wrong.
var rules = map[string]func(*file) []string{
	"imports":   checkImports,
	"system":    checkSystem,
	"env":       checkEnv,
	"providers": checkProviders,
	"init":      checkInit,
}

func TestArchitecture(t *testing.T) {
	t.Parallel()

	files := sources(t)
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			for _, f := range files {
				require.Empty(t, rule(f), f.path)
			}
		})
	}
	t.Run("every package is in the table", func(t *testing.T) {
		t.Parallel()

		require.Equal(t, present(files), slices.Sorted(maps.Keys(packages)), "packages of core/internal, and the table of core/arch_test.go")
	})
	t.Run("every exception is needed", func(t *testing.T) {
		t.Parallel()

		for path, reason := range named {
			i := slices.IndexFunc(files, func(f *file) bool { return f.path == path })
			require.GreaterOrEqual(t, i, 0, "%s does not exist", path)
			require.NotEmpty(t, providersIn(files[i]), "%s no longer needs its exception: %s", path, reason)
		}
	})
}

// Each rule must be able to fail.
func TestRulesFail(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		rule, path, source, want string
	}{
		"domain imports HTTP":         {"imports", "core/internal/lead/x.go", `import "net/http"`, "net/http"},
		"domain imports Gin":          {"imports", "core/internal/lead/x.go", `import "github.com/gin-gonic/gin"`, "gin"},
		"domain imports huma":         {"imports", "core/internal/lead/x.go", `import "github.com/danielgtaylor/huma/v2"`, "huma"},
		"domain imports its reader":   {"imports", "core/internal/lead/x.go", `import "github.com/stratohub/strato/core/internal/conversation"`, "conversation"},
		"domain imports a plugin":     {"imports", "core/internal/app/x.go", `import "github.com/stratohub/strato/plugins/line"`, "plugins/line"},
		"domain imports the host":     {"imports", "core/internal/lead/x.go", `import "github.com/stratohub/strato/sdk/host"`, "sdk/host"},
		"domain imports the SDK":      {"imports", "core/internal/lead/x.go", `import "github.com/stratohub/strato/sdk"`, "sdk"},
		"a package nobody granted":    {"imports", "core/internal/util/x.go", `import "github.com/stratohub/strato/core/internal/tenant"`, "tenant"},
		"code imports what tests use": {"imports", "core/internal/lead/x.go", `import "github.com/stratohub/strato/core/internal/dbtest"`, "dbtest"},
		"main does more":              {"imports", "core/cmd/strato/main.go", `import "github.com/stratohub/strato/core/internal/app"`, "app"},
		"plugin imports the core":     {"imports", "plugins/line/x.go", `import "github.com/stratohub/strato/core/internal/lead"`, "lead"},
		"plugin imports a plugin":     {"imports", "plugins/line/x.go", `import "github.com/stratohub/strato/plugins/viber"`, "plugins/viber"},
		"plugin's test does too":      {"imports", "plugins/line/x_test.go", `import "github.com/stratohub/strato/core/internal/lead"`, "lead"},
		"SDK imports the core":        {"imports", "sdk/serve/x.go", `import "github.com/stratohub/strato/core/internal/lead"`, "lead"},
		"SDK brings a module":         {"imports", "sdk/serve/x.go", `import "github.com/spf13/cobra"`, "cobra"},
		"migrations import":           {"imports", "migrations/x.go", `import "github.com/stratohub/strato/core/internal/lead"`, "lead"},
		"lead asks past the scope":    {"system", "core/internal/lead/x.go", `func f(p *Pool) { p.System(ctx, d, "r", fn) }`, "System"},
		"even by a longer way":        {"system", "core/internal/lead/x.go", `func f(a *App) { go a.parts().Pool.System(ctx, d, "r", fn) }`, "System"},
		"and handed on":               {"system", "core/internal/lead/x.go", `func f(p *Pool) { do(p.System) }`, "System"},
		"Getenv":                      {"env", "core/internal/lead/x.go", "import \"os\"\nvar x = os.Getenv(\"HOME\")", "HOME"},
		"Getenv of another variable":  {"env", "core/internal/embedded/x.go", "import \"os\"\nvar x = os.Getenv(\"HOME\")", "HOME"},
		"LookupEnv":                   {"env", "core/internal/lead/x.go", "import \"os\"\nvar x, ok = os.LookupEnv(name)", "LookupEnv"},
		"Environ":                     {"env", "core/internal/lead/x.go", "import \"os\"\nvar x = os.Environ()", "Environ"},
		"renamed":                     {"env", "core/internal/lead/x.go", "import sys \"os\"\nvar x = sys.ExpandEnv(\"$HOME\")", "ExpandEnv"},
		"a provider in a string":      {"providers", "core/internal/outbox/x.go", `var x = "whatsapp"`, "whatsapp"},
		"a provider in a name":        {"providers", "core/internal/outbox/x.go", `func isManyChat() bool { return true }`, "manychat"},
		"init":                        {"init", "core/internal/lead/x.go", `func init() {}`, "init"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			f := parse(t, tt.path, "package x\n"+tt.source)
			require.ElementsMatch(t, []string{tt.rule}, failing(f))
			require.Contains(t, strings.Join(rules[tt.rule](f), "\n"), tt.want)
		})
	}
}

// And must let pass what is right.
func TestRulesPass(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct{ path, source string }{
		"a domain's ordinary imports":  {"core/internal/lead/x.go", "import (\n\"context\"\n\"github.com/uptrace/bun\"\n\"github.com/stratohub/strato/core/internal/tenant\"\n)"},
		"a test reaches further":       {"core/internal/lead/x_test.go", `import "github.com/stratohub/strato/core/internal/dbtest"`},
		"a test names a provider":      {"core/internal/lead/x_test.go", `var x = "whatsapp"`},
		"a comment or a tag names one": {"core/internal/outbox/x.go", "// A WhatsApp number.\ntype x struct { p string `example:\"whatsapp\"` }"},
		"the queue asks past scopes":   {"core/internal/queue/x.go", `func f(p *Pool) { p.System(ctx, d, "r", fn) }`},
		"embedded finds programs":      {"core/internal/embedded/x.go", "import \"os\"\nvar x = os.Getenv(\"PATH\")"},
		"a plugin's own packages":      {"plugins/line/x.go", "import (\n\"github.com/stratohub/strato/plugins/line/simulator\"\n\"github.com/stratohub/strato/sdk/serve\"\n)"},
		"generated code":               {"sdk/pluginv1/x.pb.go", "func init() {}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			require.Empty(t, failing(parse(t, tt.path, "package x\n"+tt.source)))
		})
	}
}

// failing names the rules that a file breaks.
func failing(f *file) []string {
	var broken []string
	for name, rule := range rules {
		if len(rule(f)) > 0 {
			broken = append(broken, name)
		}
	}
	return broken
}
