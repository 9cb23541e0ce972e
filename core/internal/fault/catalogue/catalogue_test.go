package catalogue_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/fault/catalogue"
)

// core is the folder of all our packages, seen from this one.
const core = "../../.."

func TestEveryFaultIsExplained(t *testing.T) {
	t.Parallel()

	declared, err := catalogue.Declared(core)
	require.NoError(t, err)
	require.Greater(t, len(declared), 30)
	document, err := os.ReadFile(filepath.Join(core, "..", "docs", "errors.md"))
	require.NoError(t, err)
	explained := catalogue.Explained(string(document))

	var codes []string
	for _, d := range declared {
		codes = append(codes, d.Code)
		require.Contains(t, explained, d.Code, "%s declares it: add a row to docs/errors.md", d.Position)
		require.Regexp(t, `^[a-z][a-z_]*(\.[a-z][a-z_0-9]*)?$`, d.Code, d.Position)
		if d.Words != "" {
			require.Regexp(t, `^[A-Z].*[.]$`, d.Words, "%s: say it in a sentence", d.Position)
		}
	}
	for _, code := range explained {
		require.Contains(t, codes, code, "docs/errors.md explains what nothing declares")
	}
}

func TestCodesAreUnique(t *testing.T) {
	t.Parallel()

	declared, err := catalogue.Declared(core)
	require.NoError(t, err)
	first := map[string]string{}
	for _, d := range declared {
		require.Empty(t, first[d.Code], "%s declares %s too", d.Position, d.Code)
		first[d.Code] = d.Position
	}
}

func TestDeclared(t *testing.T) {
	t.Parallel()

	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("package x\n"+text), 0o600))
	}
	write("a.go", `var a, b = fault.New(fault.Invalid, "b.code", "Words."), fault.New(k, "a.code", words)`)
	write("a_test.go", `var c = fault.New(fault.Invalid, "test.code", "Words.")`)
	write("other.go", `var d = errors.New("x")`)
	got, err := catalogue.Declared(dir)
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, "a.code", got[0].Code)
	require.Equal(t, "Words.", got[1].Words)
	require.True(t, strings.HasSuffix(got[0].Position, "a.go:2"))

	write("bad.go", `var e = fault.New(fault.Invalid, "x."+y, "Words.")`)
	_, err = catalogue.Declared(dir)
	require.ErrorContains(t, err, "plain text")
}

func TestExplained(t *testing.T) {
	t.Parallel()

	got := catalogue.Explained("| code | status | meaning | what to do |\n|---|---|---|---|\n| `a.b` | 404 | Gone. | Look again. |\n| `c.d` | 404 |  | Look. |\n| `e` | 500 | It. | That. |\n")
	require.True(t, slices.Equal([]string{"a.b", "e"}, got), got)
}
