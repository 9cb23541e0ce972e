package core

import (
	"bytes"
	"encoding/base64"
	"go/ast"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/stratohub/strato/core/internal/cli"
	"github.com/stratohub/strato/core/internal/config"
	"github.com/stratohub/strato/core/internal/pluginhost"
)

// deployment is what the files under deploy/ say, and what is wrong with it.
type deployment struct {
	files   map[string]string // by path under deploy/
	metrics []string          // names that the program exports
	wrong   []string
}

func TestDeployment(t *testing.T) {
	t.Parallel()

	d := readDeployment(t)
	d.check(t)
	require.Empty(t, d.wrong)
}

// Each mistake in a file must be noticed.
func TestDeploymentFails(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct{ file, old, new, want string }{
		"a command that is not there":  {"compose.yaml", `["migrate"]`, `["migrations"]`, `unknown command "migrations"`},
		"a flag that is not there":     {"systemd/strato.service", "strato serve", "strato serve --port=1", "--port"},
		"a command in the image":       {"Dockerfile", `CMD ["serve"]`, `CMD ["server"]`, `unknown command "server"`},
		"a program elsewhere":          {"systemd/strato.service", "ExecStart=/opt/strato/strato", "ExecStart=/usr/bin/strato", "/usr/bin/strato"},
		"a variable that is not there": {"compose.yaml", "STRATO_REDIS_URL", "STRATO_REDIS", "STRATO_REDIS"},
		"one in a comment":             {"compose.env.example", "STRATO_PUBLIC_URL", "STRATO_URL", "STRATO_URL"},
		"a value that is refused":      {"systemd/strato.env.example", "STRATO_METRICS_ADDR=127.0.0.1:9090", "STRATO_METRICS_ADDR=9090", "STRATO_METRICS_ADDR"},
		"a port nobody listens on":     {"compose.yaml", "127.0.0.1:8080:8080", "127.0.0.1:8080:8081", "8081"},
		"a port left unexposed":        {"Dockerfile", "EXPOSE 8080 9090", "EXPOSE 8080", "EXPOSE"},
		"a health check elsewhere":     {"Dockerfile", ":9090/readyz", ":9091/readyz", "9091"},
		"a health check of nothing":    {"Dockerfile", "9090/readyz", "9090/ready", "/ready"},
		"a database of another name":   {"compose.yaml", "@postgres:5432/strato", "@db:5432/strato", "db"},
		"a scrape of another port":     {"prometheus/prometheus.yml", "127.0.0.1:9090", "127.0.0.1:9091", "9091"},
		"a scrape of another path":     {"prometheus/prometheus.yml", "/metrics", "/stats", "/stats"},
		"rules that are not there":     {"prometheus/prometheus.yml", "strato.rules.yml", "alerts.yml", "alerts.yml"},
		"a metric that is not there":   {"prometheus/strato.rules.yml", "strato_plugin_up ==", "strato_plugins_up ==", "strato_plugins_up"},
		"an alert that says nothing":   {"prometheus/strato.rules.yml", "action:", "note:", "action"},
		"a stop cut short":             {"systemd/strato.service", "TimeoutStopSec=45", "TimeoutStopSec=30", "TimeoutStopSec"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			d := readDeployment(t)
			require.Contains(t, d.files[tt.file], tt.old)
			d.files[tt.file] = strings.Replace(d.files[tt.file], tt.old, tt.new, 1)
			d.check(t)
			require.Contains(t, strings.Join(d.wrong, "\n"), tt.want)
		})
	}
}

func readDeployment(t *testing.T) *deployment {
	t.Helper()
	d := &deployment{files: map[string]string{}, metrics: exported(t)}
	root := filepath.Join("..", "deploy")
	for _, path := range []string{
		"Dockerfile", "compose.yaml", "compose.env.example", "systemd/strato.service", "systemd/strato.env.example",
		"prometheus/prometheus.yml", "prometheus/strato.rules.yml",
	} {
		text, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err)
		d.files[path] = string(text)
	}
	return d
}

func (d *deployment) say(file, words string) { d.wrong = append(d.wrong, file+": "+words) }

func (d *deployment) check(t *testing.T) {
	t.Helper()
	d.variables()
	image := d.dockerfile(t)
	d.compose(t, image)
	d.systemd(t)
	d.prometheus(t)
}

var variable = regexp.MustCompile(`STRATO_[A-Z_]+`)

// variables checks every name of a variable, wherever it stands.
func (d *deployment) variables() {
	known := map[string]bool{}
	for _, v := range config.Vars() {
		known[v.Name] = true
	}
	for file, text := range d.files {
		for _, name := range variable.FindAllString(text, -1) {
			if !known[name] {
				d.say(file, "there is no variable "+name)
			}
		}
	}
}

// load checks that the program takes an environment. What the operator fills in
// gets a value that would do.
func (d *deployment) load(file string, env map[string]string) config.Config {
	for name, value := range map[string]string{
		"STRATO_SECRET_KEYS": "k1:" + base64.StdEncoding.EncodeToString(make([]byte, 32)),
		"STRATO_PUBLIC_URL":  "https://strato.example",
		"STRATO_BASE_DOMAIN": "strato.example",
	} {
		if was, set := env[name]; set && (was == "" || strings.Contains(was, "${")) {
			env[name] = value
		}
	}
	var lines []string
	for name, value := range env {
		lines = append(lines, name+"="+regexp.MustCompile(`\$\{[A-Z_]+[^}]*\}`).ReplaceAllString(value, ""))
	}
	c, err := config.Load(lines)
	if err != nil {
		d.say(file, err.Error())
	}
	return c
}

// command checks a command line of the program: that the command and its flags
// are there. It is asked for its help, so that nothing runs.
func (d *deployment) command(t *testing.T, file string, args []string) {
	t.Helper()
	var help bytes.Buffer
	plain := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return strings.HasPrefix(a, "-") })
	err := cli.Run(t.Context(), append(plain, "--help"), cli.Streams{In: strings.NewReader(""), Out: &help, Err: io.Discard}, nil)
	if err != nil {
		d.say(file, err.Error())
	}
	for _, a := range args {
		flag, _, _ := strings.Cut(a, "=")
		if strings.HasPrefix(a, "-") && !slices.Contains(strings.FieldsFunc(help.String(), func(r rune) bool { return strings.ContainsRune(" ,\n\t=", r) }), flag) {
			d.say(file, "the command has no flag "+flag)
		}
	}
}

// image is what the Dockerfile makes.
type image struct {
	env   map[string]string
	ports []string
}

func (d *deployment) dockerfile(t *testing.T) image {
	t.Helper()
	const file = "Dockerfile"
	i := image{env: map[string]string{}}
	program := ""
	text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(d.files[file], "")
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "ENV":
			for pair := range strings.FieldsSeq(rest) {
				name, value, _ := strings.Cut(pair, "=")
				i.env[name] = value
			}
		case "EXPOSE":
			i.ports = strings.Fields(rest)
		case "ENTRYPOINT":
			program = d.list(file, rest)[0]
		case "CMD":
			d.command(t, file, d.list(file, rest))
		case "HEALTHCHECK":
			d.probe(file, rest, i.env["STRATO_METRICS_ADDR"])
		}
	}
	if program != "/opt/strato/strato" {
		d.say(file, "the program is "+program)
	}
	c := d.load(file, i.env)
	if want := []string{port(c.Addr), port(c.MetricsAddr)}; !slices.Equal(i.ports, want) {
		d.say(file, "EXPOSE names "+strings.Join(i.ports, " ")+", the program listens on "+strings.Join(want, " "))
	}
	return i
}

func (d *deployment) list(file, text string) []string {
	var words []string
	if err := yaml.Unmarshal([]byte(text), &words); err != nil || len(words) == 0 {
		d.say(file, "want a list of words: "+text)
		return []string{""}
	}
	return words
}

// probe checks the URL of a health check against the metrics' address.
func (d *deployment) probe(file, text, addr string) {
	u, err := url.Parse(regexp.MustCompile(`http://\S+`).FindString(text))
	if err != nil || u.Port() != port(addr) {
		d.say(file, "the health check asks "+u.Host+", the program answers on "+addr)
	}
	if u.Path != "/readyz" && u.Path != "/healthz" {
		d.say(file, "the health check asks for "+u.Path)
	}
}

func port(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }

func (d *deployment) compose(t *testing.T, i image) {
	t.Helper()
	const file = "compose.yaml"
	var doc struct {
		Services map[string]struct {
			Command     []string
			Environment map[string]string
			Ports       []string
			Build       *struct{ Context, Dockerfile string }
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(d.files[file]), &doc))
	for _, s := range doc.Services {
		if s.Build == nil {
			continue
		}
		if _, err := os.Stat(filepath.Join("..", "deploy", s.Build.Context, s.Build.Dockerfile)); err != nil {
			d.say(file, err.Error())
		}
		d.command(t, file, s.Command)
		env := map[string]string{}
		maps.Copy(env, i.env)
		maps.Copy(env, s.Environment)
		c := d.load(file, env)
		for _, p := range s.Ports {
			if port(p) != port(c.Addr) {
				d.say(file, "port "+port(p)+" is published, and the API listens on "+c.Addr)
			}
		}
		for server, raw := range map[string]string{"postgres:5432": c.DatabaseURL.Reveal(), "redis:6379": c.RedisURL.Reveal()} {
			u, err := url.Parse(raw)
			if err != nil || u.Host != server || doc.Services[u.Hostname()].Environment == nil && doc.Services[u.Hostname()].Command == nil {
				d.say(file, "there is no service at "+u.Host)
			}
		}
	}
	// What compose interpolates is in the example of its .env.
	for _, name := range regexp.MustCompile(`\$\{([A-Z_]+)`).FindAllStringSubmatch(d.files[file], -1) {
		if !strings.Contains(d.files["compose.env.example"], "\n"+name[1]+"=") {
			d.say("compose.env.example", name[1]+" is missing")
		}
	}
}

func (d *deployment) systemd(t *testing.T) {
	t.Helper()
	const file = "systemd/strato.service"
	for line := range strings.SplitSeq(d.files[file], "\n") {
		key, value, _ := strings.Cut(line, "=")
		switch key {
		case "ExecStart", "ExecStartPre":
			words := strings.Fields(value)
			if words[0] != "/opt/strato/strato" {
				d.say(file, "the program is "+words[0])
			}
			d.command(t, file, words[1:])
		case "TimeoutStopSec":
			if value < "45" {
				d.say(file, "TimeoutStopSec is shorter than an orderly stop, 40 s")
			}
		}
	}
	env := map[string]string{}
	for line := range strings.SplitSeq(d.files["systemd/strato.env.example"], "\n") {
		if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			env[name] = value
		}
	}
	d.load("systemd/strato.env.example", env)
}

func (d *deployment) prometheus(t *testing.T) {
	t.Helper()
	const file, rules = "prometheus/prometheus.yml", "prometheus/strato.rules.yml"
	var doc struct {
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			MetricsPath   string                       `yaml:"metrics_path"`
			StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(d.files[file]), &doc))
	for _, name := range doc.RuleFiles {
		if _, ok := d.files["prometheus/"+name]; !ok {
			d.say(file, "there is no file "+name)
		}
	}
	c, err := config.Load(nil)
	require.NoError(t, err)
	require.NotEmpty(t, doc.ScrapeConfigs)
	for _, s := range doc.ScrapeConfigs {
		if s.MetricsPath != "/metrics" {
			d.say(file, "there are no metrics at "+s.MetricsPath)
		}
		for _, target := range s.StaticConfigs[0].Targets {
			if target != c.MetricsAddr {
				d.say(file, "the metrics are at "+c.MetricsAddr+", not at "+target)
			}
		}
	}
	var alerts struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(d.files[rules]), &alerts))
	for _, r := range alerts.Groups[0].Rules {
		for _, name := range metricNames(r.Expr) {
			if !slices.Contains(d.metrics, name) {
				d.say(rules, r.Alert+" asks for "+name+", which the program does not export")
			}
		}
		if r.Annotations["summary"] == "" || r.Annotations["action"] == "" {
			d.say(rules, r.Alert+" needs a summary and an action")
		}
	}
}

// metricNames finds the program's metrics in a text.
func metricNames(text string) []string {
	var names []string
	for _, name := range regexp.MustCompile(`\bstrato_[a-z_]+`).FindAllString(text, -1) {
		for _, series := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, series)
		}
		names = append(names, name)
	}
	return names
}

// exported lists the program's own metrics: those named in the sources, and
// those of the plugins' collector, which makes up its names.
func exported(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, f := range sources(t) {
		if f.test() || f.pkg() == "" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if lit, ok := n.(*ast.CompositeLit); ok {
				if name := stringField(lit, "Name"); strings.HasPrefix(name, "strato_") && stringField(lit, "Help") != "" {
					names = append(names, name)
				}
			}
			return true
		})
	}
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		pluginhost.Collector(nil).Describe(descs)
		pluginhost.NewOwn(nil).Own(descs)
	}()
	for desc := range descs {
		names = append(names, metricNames(desc.String())...)
	}
	return names
}

// stringField is the text of a field of a literal, or "".
func stringField(lit *ast.CompositeLit, field string) string {
	for _, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		key, isIdent := kv.Key.(*ast.Ident)
		value, isLit := kv.Value.(*ast.BasicLit)
		if isIdent && isLit && key.Name == field {
			return strings.Trim(value.Value, `"`)
		}
	}
	return ""
}

// The operator's page and the program agree on the metrics and the variables.
func TestOperatingPage(t *testing.T) {
	t.Parallel()

	text, err := os.ReadFile(filepath.Join("..", "docs", "operating.md"))
	require.NoError(t, err)
	page := string(text)
	metrics := exported(t)
	for _, name := range metrics {
		require.Contains(t, page, "`"+name+"`")
	}
	for _, name := range regexp.MustCompile("`strato_[a-z_]+`").FindAllString(page, -1) {
		name = strings.Trim(name, "`")
		if !slices.Contains(roles, name) {
			require.Contains(t, metrics, name)
		}
	}
	var vars []string
	for _, v := range config.Vars() {
		require.Contains(t, page, "`"+v.Name+"`")
		vars = append(vars, v.Name)
	}
	require.Subset(t, vars, variable.FindAllString(page, -1))
	for _, line := range regexp.MustCompile("`strato ([a-z ]+)").FindAllStringSubmatch(page, -1) {
		err := cli.Run(t.Context(), append(strings.Fields(line[1]), "--help"), cli.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}, nil)
		require.NoError(t, err, line[1])
	}
}

// roles of the database, whose names look like metrics.
var roles = []string{"strato_owner", "strato_app", "strato_sys", "strato_ingest", "strato_queue", "strato_search"}
