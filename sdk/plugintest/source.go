package plugintest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

// sourceState: no variable of a package changes after the start. What lives
// longer than a call belongs to an instance, which serves one installation; in
// a variable of a package it would be every agency's.
func sourceState(s *subject) error {
	if s.Source == "" {
		return skip("Config.Source is not set")
	}
	var errs []error
	err := filepath.WalkDir(s.Source, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		switch name := d.Name(); {
		case path != s.Source && (strings.HasPrefix(name, ".") || name == "testdata" || name == "simulator" || name == "vendor"):
			return filepath.SkipDir // the simulator is another program
		}
		errs = append(errs, statefulPackage(path))
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// statefulPackage tells of variables of one package, as far as its text tells.
func statefulPackage(folder string) error {
	set := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return err
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || filepath.Base(name) == "simulator.go" {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			return fmt.Errorf("read the source: %w", err)
		}
		files = append(files, f)
	}
	vars := map[string]bool{}
	var errs []error
	found := func(at token.Pos, name, why string) {
		errs = append(errs, fmt.Errorf("%s: the variable %s of the package %s: agencies would share it", set.Position(at), name, why))
	}
	for _, f := range files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, one := range g.Specs {
				v := one.(*ast.ValueSpec)
				for _, name := range v.Names {
					vars[name.Name] = true
					if guards(v.Type) {
						found(name.Pos(), name.Name, "is there to be changed")
					}
				}
			}
		}
	}
	delete(vars, "_")
	for _, f := range files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				changes(fn.Body, vars, func(n *ast.Ident) { found(n.Pos(), n.Name, "changes after the start") })
			}
		}
	}
	return errors.Join(errs...)
}

// guards reports whether a type is one that only what changes needs, or holds one.
func guards(t ast.Expr) bool {
	found := false
	if t == nil {
		return false
	}
	ast.Inspect(t, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if p, ok := s.X.(*ast.Ident); ok && (p.Name == "sync" || p.Name == "atomic") {
				found = true
			}
		}
		return !found
	})
	return found
}

// changes finds assignments to the variables named, or to what is in them. A
// local variable of the same name hides one.
func changes(body *ast.BlockStmt, vars map[string]bool, found func(*ast.Ident)) {
	target := func(e ast.Expr) {
		for {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
			case *ast.SelectorExpr:
				e = x.X
			case *ast.StarExpr:
				e = x.X
			case *ast.ParenExpr:
				e = x.X
			case *ast.Ident:
				// The parser resolves what is declared in the function itself.
				local := x.Obj != nil && x.Obj.Pos() >= body.Pos() && x.Obj.Pos() < body.End()
				if vars[x.Name] && !local && (x.Obj == nil || isPackageVar(x.Obj)) {
					found(x)
				}
				return
			default:
				return
			}
		}
	}
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, e := range n.Lhs {
					target(e)
				}
			}
		case *ast.IncDecStmt:
			target(n.X)
		case *ast.CallExpr:
			if name, ok := n.Fun.(*ast.Ident); ok && (name.Name == "delete" || name.Name == "clear") && len(n.Args) > 0 {
				target(n.Args[0])
			}
		}
		return true
	})
}

// isPackageVar tells a variable of the file from parameters and receivers.
func isPackageVar(o *ast.Object) bool { //nolint:staticcheck // what the parser knows is enough here, and needs no types
	_, ok := o.Decl.(*ast.ValueSpec)
	return ok
}
