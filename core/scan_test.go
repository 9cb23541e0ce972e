package core

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// module is what import paths of this repository begin with.
const module = "github.com/stratohub/strato/"

// file is a Go source file. path is relative to the repository.
type file struct {
	path string
	ast  *ast.File
	fset *token.FileSet
}

func (f *file) test() bool      { return strings.HasSuffix(f.path, "_test.go") }
func (f *file) generated() bool { return strings.HasSuffix(f.path, ".pb.go") }

// pkg is the package of core/internal that the file belongs to, or "".
func (f *file) pkg() string {
	rest, ok := strings.CutPrefix(f.path, "core/internal/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// at says where in the file something is wrong, and what.
func (f *file) at(n ast.Node, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: ", f.path, f.fset.Position(n.Pos()).Line) + fmt.Sprintf(format, args...)
}

// sources reads every Go file of the repository.
func sources(t *testing.T) []*file {
	t.Helper()
	var files []*file
	for _, top := range []string{"core", "plugins", "sdk", "migrations"} {
		err := filepath.WalkDir(filepath.Join("..", top), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata") {
				return filepath.SkipDir
			}
			if filepath.Ext(path) == ".go" {
				rel, err := filepath.Rel("..", path)
				if err != nil {
					return err
				}
				files = append(files, parse(t, filepath.ToSlash(rel), nil))
			}
			return nil
		})
		require.NoError(t, err)
	}
	require.Greater(t, len(files), 100, "most of the sources were not found")
	return files
}

// parse reads source, or the file itself when source is nil.
func parse(t *testing.T, path string, source any) *file {
	t.Helper()
	f := &file{path: path, fset: token.NewFileSet()}
	var err error
	f.ast, err = parser.ParseFile(f.fset, filepath.Join("..", path), source, parser.SkipObjectResolution)
	require.NoError(t, err)
	return f
}

// present lists the packages of core/internal that have code.
func present(files []*file) []string {
	var names []string
	for _, f := range files {
		if f.pkg() != "" && !f.test() {
			names = append(names, f.pkg())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func checkImports(f *file) []string {
	var wrong []string
	for _, spec := range f.ast.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil || !f.mayImport(path) {
			wrong = append(wrong, f.at(spec, "may not import %s", path))
		}
	}
	return wrong
}

func (f *file) mayImport(path string) bool {
	ours, isOurs := strings.CutPrefix(path, module)
	top, rest, _ := strings.Cut(f.path, "/")
	switch {
	case top == "sdk" && isOurs:
		return ours == "sdk" || strings.HasPrefix(ours, "sdk/")
	case top == "sdk":
		return f.test() || standard(path) || slices.ContainsFunc(inherited, func(m string) bool { return within(path, m) })
	case top == "plugins" && isOurs:
		name, _, _ := strings.Cut(rest, "/")
		return within(ours, "plugins/"+name) || within(ours, "sdk")
	case top == "migrations":
		return !isOurs
	case top != "core":
		return true
	case strings.HasPrefix(f.path, "core/cmd/") && isOurs:
		return ours == "core/internal/cli"
	case f.pkg() == "":
		return true // benchmarks and these tests
	case f.test():
		// Tests may use what they like of the core, never a plugin's code: they run
		// its program, as the core does.
		return !within(ours, "plugins")
	}
	return packages[f.pkg()].allows(f.pkg(), path, ours, isOurs)
}

func (g grant) allows(pkg, path, ours string, isOurs bool) bool {
	if !isOurs {
		return g.http || path != "net/http" && !within(path, "github.com/gin-gonic") && !within(path, "github.com/danielgtaylor/huma")
	}
	if inner, ok := strings.CutPrefix(ours, "core/internal/"); ok {
		return inner == pkg || slices.Contains(strings.Fields(g.imports), inner)
	}
	if ours == "sdk" {
		return slices.Contains(strings.Fields(g.sdk), ".")
	}
	if inner, ok := strings.CutPrefix(ours, "sdk/"); ok {
		return slices.Contains(strings.Fields(g.sdk), inner)
	}
	return ours == "migrations" && pkg == "postgres"
}

// within reports whether path is root or below it.
func within(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

// standard reports whether path is of the standard library.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func checkSystem(f *file) []string {
	if f.pkg() == "" || f.test() || packages[f.pkg()].system {
		return nil
	}
	return f.find(func(n ast.Node) string {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "System" {
			return "may not use Pool.System: work in a tenant's scope"
		}
		return ""
	})
}

func checkEnv(f *file) []string {
	if f.test() || !strings.HasPrefix(f.path, "core/") || strings.HasPrefix(f.path, "core/cmd/") || strings.HasPrefix(f.path, "core/bench/") || f.pkg() == "config" {
		return nil // main hands the environment to config; a benchmark hands its own on
	}
	granted := strings.Fields(packages[f.pkg()].env)
	allowed := map[ast.Node]bool{}
	return f.find(func(n ast.Node) string {
		if call, ok := n.(*ast.CallExpr); ok && len(call.Args) == 1 {
			if v, ok := call.Args[0].(*ast.BasicLit); ok && f.envFunc(call.Fun) == "Getenv" {
				name, _ := strconv.Unquote(v.Value)
				if !slices.Contains(granted, name) {
					return "may not read " + name + ": add it to config.Config"
				}
				allowed[call.Fun] = true
			}
		}
		if e, ok := n.(ast.Expr); ok && !allowed[e] && f.envFunc(e) != "" {
			return "may not use os." + f.envFunc(e) + ": config reads the environment, once"
		}
		return ""
	})
}

// envFunc names the function of os that e is, if it reads the environment.
func (f *file) envFunc(e ast.Expr) string {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := s.X.(*ast.Ident)
	if !ok || x.Name != f.nameOf("os") {
		return ""
	}
	switch s.Sel.Name {
	case "Getenv", "LookupEnv", "Environ", "ExpandEnv":
		return s.Sel.Name
	}
	return ""
}

// nameOf is what the file calls an imported package.
func (f *file) nameOf(path string) string {
	for _, spec := range f.ast.Imports {
		if spec.Path.Value == strconv.Quote(path) && spec.Name != nil {
			return spec.Name.Name
		}
	}
	return path
}

func checkProviders(f *file) []string {
	if _, ok := named[f.path]; ok {
		return nil
	}
	return providersIn(f)
}

// providersIn finds providers' names in a file's identifiers and strings.
// Comments and tags explain; they decide nothing.
func providersIn(f *file) []string {
	if f.test() || f.pkg() == "" {
		return nil
	}
	tags := map[ast.Node]bool{}
	return f.find(func(n ast.Node) string {
		text := ""
		switch n := n.(type) {
		case *ast.Field:
			tags[n.Tag] = true
		case *ast.Ident:
			text = n.Name
		case *ast.BasicLit:
			if !tags[n] {
				text = n.Value
			}
		}
		for _, name := range []string{"whatsapp", "manychat", "uchat", "elevenlabs"} {
			if strings.Contains(strings.ToLower(text), name) {
				return "names " + name + ": the core learns of plugins from their manifests"
			}
		}
		return ""
	})
}

func checkInit(f *file) []string {
	if f.test() || f.generated() || within(f.path, "sdk/internal/bufferpool") {
		return nil // gRPC's buffers can be set only before anything else runs
	}
	return f.find(func(n ast.Node) string {
		if d, ok := n.(*ast.FuncDecl); ok && d.Recv == nil && d.Name.Name == "init" {
			return "init runs without being asked: use a constructor"
		}
		return ""
	})
}

// find collects what look says of the nodes of a file.
func (f *file) find(look func(ast.Node) string) []string {
	var wrong []string
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if n == nil {
			return true
		}
		if words := look(n); words != "" {
			wrong = append(wrong, f.at(n, "%s", words))
		}
		return true
	})
	return wrong
}
