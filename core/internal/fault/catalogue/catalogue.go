// Package catalogue reads which faults the source declares and which of them a
// document explains, so that a test can compare the two.
package catalogue

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Declaration is a call of fault.New in the source.
type Declaration struct {
	Code     string
	Words    string // empty if they are not a plain text
	Position string // file:line
}

// Declared finds all calls of fault.New below a folder, tests left out, in the
// order of their codes. A code that is not a plain text is an error: codes must
// be greppable.
func Declared(root string) ([]Declaration, error) {
	var found []Declaration
	files := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "testdata" || entry.Name() == "node_modules") {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse %s: %w", path, err)
		}
		list, err := inFile(files, file)
		found = append(found, list...)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b Declaration) int {
		return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Position, b.Position))
	})
	return found, nil
}

func inFile(files *token.FileSet, file *ast.File) (found []Declaration, err error) {
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || !isNew(call.Fun) || len(call.Args) != 3 {
			return true
		}
		at := files.Position(call.Pos())
		d := Declaration{Position: fmt.Sprintf("%s:%d", at.Filename, at.Line), Words: text(call.Args[2])}
		if d.Code = text(call.Args[1]); d.Code == "" {
			err = fmt.Errorf("%s: the code of a fault must be a plain text", d.Position)
			return false
		}
		found = append(found, d)
		return true
	})
	return found, err
}

func isNew(f ast.Expr) bool {
	s, ok := f.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != "New" {
		return false
	}
	pkg, ok := s.X.(*ast.Ident)
	return ok && pkg.Name == "fault"
}

// text is a literal's value, or "".
func text(e ast.Expr) string {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return ""
	}
	s, err := strconv.Unquote(l.Value)
	if err != nil {
		return ""
	}
	return s
}

var row = regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)` \\|[^|]*\\|[^|\n]*\\S[^|\n]*\\|[^|\n]*\\S[^|\n]*\\|$")

// Explained lists the codes that have a row in a document's tables: code, status,
// meaning, what to do. Rows with an empty cell do not count.
func Explained(document string) []string {
	var codes []string
	for _, m := range row.FindAllStringSubmatch(document, -1) {
		codes = append(codes, m[1])
	}
	return codes
}
