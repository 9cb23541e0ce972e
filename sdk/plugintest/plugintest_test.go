package plugintest_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/plugintest"
)

// folder has the built parrot; TestMain makes it.
var folder string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "parrot")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	folder = filepath.Join(dir, "parrot")
	if err := os.Mkdir(folder, 0o700); err != nil {
		panic(err)
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(folder, "parrot"), "./internal/parrot")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		panic(err)
	}
	document, err := os.ReadFile("internal/parrot/plugin.json")
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "plugin.json"), document, 0o600)
	}
	if err != nil {
		panic(err)
	}
	return m.Run()
}

// good is the configuration of a parrot that does everything right.
func good() plugintest.Config {
	return plugintest.Config{
		Folder: folder, SignsTime: true,
		SayFile:     func(account string) any { return map[string]string{"to": account, "file": "1"} },
		OldSettings: map[uint32]string{1: `{"name": "acme", "token": "a-long-token", "signing_key": "a-long-key"}`},
	}
}

// bad is that of one that does one thing wrong.
func bad(defect string) plugintest.Config {
	c := good()
	c.Operator = map[string]string{"defect": defect}
	return c
}

func TestAGoodPluginPasses(t *testing.T) {
	t.Parallel()

	plugintest.Run(t, good())
}

// TestDefectsAreNoticed runs a plugin that does one thing wrong for each check
// that talks to a process, and wants exactly that check to tell.
func TestDefectsAreNoticed(t *testing.T) {
	t.Parallel()

	for _, name := range plugintest.Tried() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			r, err := plugintest.Only(t.Context(), bad(name), name)
			require.NoError(t, err)
			require.Empty(t, r.Skipped)
			require.Error(t, r.Err, "the defect is not noticed")
		})
	}
}

func TestManifests(t *testing.T) {
	t.Parallel()

	document, err := os.ReadFile(filepath.Join(folder, "plugin.json"))
	require.NoError(t, err)
	for check, spoil := range map[string]func(m map[string]any){
		"manifest/contents":  func(m map[string]any) { m["content_kinds"] = []string{"text", "template"} },
		"manifest/simulator": func(m map[string]any) { m["simulator"] = false },
	} {
		t.Run(check, func(t *testing.T) {
			t.Parallel()

			var m map[string]any
			require.NoError(t, json.Unmarshal(document, &m))
			spoil(m)
			spoiled, err := json.Marshal(m)
			require.NoError(t, err)
			dir := filepath.Join(t.TempDir(), "parrot")
			require.NoError(t, os.Mkdir(dir, 0o700))
			require.NoError(t, os.Symlink(filepath.Join(folder, "parrot"), filepath.Join(dir, "parrot")))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "plugin.json"), spoiled, 0o600))
			r, err := plugintest.Only(t.Context(), plugintest.Config{Folder: dir}, check)
			require.NoError(t, err)
			require.Error(t, r.Err)
			r, err = plugintest.Only(t.Context(), good(), check)
			require.NoError(t, err)
			require.NoError(t, r.Err)
		})
	}
}

func TestReport(t *testing.T) {
	t.Parallel()

	_, err := plugintest.Examine(t.Context(), plugintest.Config{Folder: t.TempDir()})
	require.ErrorContains(t, err, "read the manifest (build the plugin first)")

	c := bad("webhooks/unsigned")
	c.Skip = map[string]string{
		"send": "it only listens today", "process": "tested elsewhere", "streams": "it is hoarse", "isolation/accounts": "there is one", "isolation/secrets": "there is one",
	}
	r, err := plugintest.Examine(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, "parrot", r.Plugin)
	require.Len(t, r.Failed(), 1)
	require.Equal(t, "webhooks/unsigned", r.Failed()[0].Name())
	var out bytes.Buffer
	require.NoError(t, r.Print(&out))
	require.Regexp(t, `(?m)^FAIL +webhooks/unsigned +a webhook without its signature is verified$`, out.String())
	require.Regexp(t, `(?m)^skip +send/contents +it only listens today$`, out.String())
	require.Regexp(t, `(?m)^ok +webhooks/accepted *$`, out.String())
	require.Regexp(t, `(?m)^ +webhooks +9 +0 +1$`, out.String())
	document, err := json.Marshal(r)
	require.NoError(t, err)
	require.Contains(t, string(document), `{"check":"webhooks/unsigned","state":"fail","why":"a webhook without its signature is verified"}`)
	require.Len(t, r.SHA256, 64)
}

// TestStateIsNoticed shows the kit sources, right and wrong.
func TestStateIsNoticed(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct{ source, want string }{
		"none":       {"var form = 3\n\nfunc f() { form := 4; form++; _ = form }", ""},
		"constants":  {"var words = map[string]int{\"a\": 1}\n\nfunc f(words []int) { words[0] = 2 }", ""},
		"assigned":   {"var last string\n\nfunc f(s string) { last = s }", "the variable last of the package changes after the start"},
		"filled":     {"var seen = map[string]bool{}\n\nfunc f(s string) { seen[s] = true }", "the variable seen"},
		"counted":    {"var calls struct{ n int }\n\nfunc f() { calls.n++ }", "the variable calls"},
		"emptied":    {"var seen = map[string]bool{}\n\nfunc f() { clear(seen) }", "the variable seen"},
		"guarded":    {"import \"sync\"\n\nvar cache struct { sync.Mutex; m map[string]int }", "the variable cache of the package is there to be changed"},
		"in another": {"func f() { other = 2 }", "the variable other"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\n"+tt.source+"\n"), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "other.go"), []byte("package main\n\nvar other int\n"), 0o600))
			c := good()
			c.Source = dir
			r, err := plugintest.Only(t.Context(), c, "source/state")
			require.NoError(t, err)
			if tt.want == "" {
				require.NoError(t, r.Err)
				return
			}
			require.ErrorContains(t, r.Err, tt.want)
		})
	}
	c := good()
	c.Source = "internal/parrot"
	r, err := plugintest.Only(t.Context(), c, "source/state")
	require.NoError(t, err)
	require.ErrorContains(t, r.Err, "the variable seen")
}
