package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// tree is a module's packages.
type tree struct {
	fset     *token.FileSet
	packages []*pkg // sorted by directory
}

// pkg is the Go files of one directory.
type pkg struct {
	dir   string // slash-separated, from the root; "." is the root itself
	files []*file
}

// file is one Go file.
type file struct {
	*ast.File
	path  string // slash-separated, from the root
	lines int
}

// test reports whether the file belongs to tests: its own, or, in a package whose
// name ends in "test", those of others.
func (f *file) test() bool {
	return strings.HasSuffix(f.path, "_test.go") || strings.HasSuffix(f.Name.Name, "test")
}

// generated reports whether the file was written by a program.
func (f *file) generated() bool { return strings.HasSuffix(f.path, ".pb.go") }

// name is the package's name.
func (p *pkg) name() string { return strings.TrimSuffix(p.files[0].Name.Name, "_test") }

// load parses all Go files below root, except in directories that the go tool
// passes over.
func load(root string) (*tree, error) {
	t := &tree{fset: token.NewFileSet()}
	byDir := make(map[string]*pkg)
	err := filepath.WalkDir(root, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return passOver(root, at, d.Name())
		}
		if filepath.Ext(at) != ".go" {
			return nil
		}
		f, err := t.parse(root, at)
		if err != nil {
			return err
		}
		dir := path.Dir(f.path)
		if byDir[dir] == nil {
			byDir[dir] = &pkg{dir: dir}
			t.packages = append(t.packages, byDir[dir])
		}
		byDir[dir].files = append(byDir[dir].files, f)
		return nil
	})
	slices.SortFunc(t.packages, func(a, b *pkg) int { return strings.Compare(a.dir, b.dir) })
	return t, err
}

func passOver(root, at, name string) error {
	if at != root && (name == "testdata" || name == "vendor" || name[0] == '.' || name[0] == '_') {
		return filepath.SkipDir
	}
	return nil
}

func (t *tree) parse(root, at string) (*file, error) {
	rel, err := filepath.Rel(root, at)
	if err != nil {
		return nil, err
	}
	src, err := os.ReadFile(at)
	if err != nil {
		return nil, err
	}
	rel = filepath.ToSlash(rel)
	f, err := parser.ParseFile(t.fset, rel, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	return &file{File: f, path: rel, lines: bytes.Count(src, []byte("\n"))}, nil
}
