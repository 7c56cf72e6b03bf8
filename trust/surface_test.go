package trust_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/trust"
)

// TestNobodyElseMakesThem: the types that say "verified" have no field that
// another package could set, also not through one that is embedded.
func TestNobodyElseMakesThem(t *testing.T) {
	for _, v := range []any{trust.Verified{}, trust.Publication{}, trust.Document{}, trust.Policy{}, trust.Verifier{}, trust.Receipt{}} {
		typ := reflect.TypeOf(v)
		for i := range typ.NumField() {
			if f := typ.Field(i); f.IsExported() || f.Anonymous {
				t.Errorf("%s.%s can be set from outside", typ, f.Name)
			}
		}
		// Nor can a decoder fill one.
		for _, m := range []string{"UnmarshalJSON", "UnmarshalText", "UnmarshalBinary", "GobDecode", "Scan"} {
			if _, has := reflect.PointerTo(typ).MethodByName(m); has {
				t.Errorf("%s has %s", typ, m)
			}
		}
	}
}

// TestWhereTheyComeFrom lists every exported function that gives out such a
// type. One more is one more door, and belongs into this list.
func TestWhereTheyComeFrom(t *testing.T) {
	want := map[string][]string{
		"Document":    {"Policy.Document", "VerifyDocument"},
		"Publication": {"Policy.VerifyPublication", "Verifier.VerifyPublication"},
		"Verified":    {"Policy.Readmit", "Policy.Recall", "Policy.VerifyNarInfo", "Publication.Entries"},
		"Policy":      {"NewPolicy", "NewUpstreamPolicy"},
		"Receipt":     {"VerifyReceipt"},
	}
	have := map[string][]string{}
	for _, file := range parsePackage(t) {
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() || f.Type.Results == nil {
				continue
			}
			for _, result := range f.Type.Results.List {
				ast.Inspect(result.Type, func(n ast.Node) bool {
					if _, foreign := n.(*ast.SelectorExpr); foreign {
						return false
					}
					if id, ok := n.(*ast.Ident); ok && want[id.Name] != nil {
						have[id.Name] = append(have[id.Name], receiver(f)+f.Name.Name)
					}
					return true
				})
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		slices.Sort(have[name])
		if !slices.Equal(have[name], want[name]) {
			t.Errorf("%s comes from %v, want %v", name, have[name], want[name])
		}
	}
}

// TestNoPackageVariables: nothing that could be swapped from outside or keeps
// state, but the sentinel error.
func TestNoPackageVariables(t *testing.T) {
	for _, file := range parsePackage(t) {
		for _, decl := range file.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if name.Name != "ErrUntrusted" {
						t.Errorf("variable %s", name.Name)
					}
				}
			}
		}
	}
}

func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	typ := f.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	return typ.(*ast.Ident).Name + "."
}

// parsePackage parses the package's own files, without its tests.
func parsePackage(t *testing.T) []*ast.File {
	t.Helper()
	names := must(os.ReadDir("."))(t)
	var files []*ast.File
	for _, entry := range names {
		if name := entry.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			files = append(files, must(parser.ParseFile(token.NewFileSet(), name, nil, 0))(t))
		}
	}
	if len(files) < 5 {
		t.Fatalf("%d files of the package found", len(files))
	}
	return files
}
