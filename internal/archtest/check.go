package archtest

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
)

// rules is what a tree is checked against.
type rules struct {
	module     string // its import path
	rows       []row
	exceptions []exception
}

// row is one package of the table.
type row struct {
	dir  string
	tier int

	// ours are the directories of this module that it may import, each of a lower
	// tier, separated by spaces.
	ours string

	// leave is which of the guarded things from outside it may use, by their names
	// in [guarded], separated by spaces.
	leave string
}

// exception is a place where a rule about declarations does not hold.
type exception struct {
	path   string // of the file
	what   string // the name declared, or the function called
	reason string
}

// checker gathers what is wrong with a tree.
type checker struct {
	rules
	tree     *tree
	used     map[exception]bool
	problems []string
}

// check returns what is wrong with the tree at root, sorted, one line each.
func check(root string, r rules) ([]string, error) {
	t, err := load(root)
	if err != nil {
		return nil, err
	}
	c := &checker{rules: r, tree: t, used: make(map[exception]bool)}
	c.checkTable()
	for _, p := range t.packages {
		c.checkPackage(p)
		for _, f := range p.files {
			if f.generated() {
				continue
			}
			c.checkLength(f)
			c.checkInit(f)
			c.checkVars(f)
			c.checkContexts(f)
		}
	}
	for _, e := range r.exceptions {
		if !c.used[e] {
			c.report(e.path, "nothing here needs the exception for %s", e.what)
		}
	}
	slices.Sort(c.problems)
	return slices.Compact(c.problems), nil
}

// report notes a problem with a file or directory.
func (c *checker) report(path, format string, args ...any) {
	c.problems = append(c.problems, path+": "+fmt.Sprintf(format, args...))
}

// reportAt notes a problem at a place in a file.
func (c *checker) reportAt(at ast.Node, format string, args ...any) {
	p := c.tree.fset.Position(at.Pos())
	c.report(fmt.Sprintf("%s:%d", p.Filename, p.Line), format, args...)
}

// excepted reports whether an exception is made for what in a file.
func (c *checker) excepted(f *file, what string) bool {
	for _, e := range c.exceptions {
		if e.path == f.path && e.what == what {
			c.used[e] = true
			return true
		}
	}
	return false
}

// rowOf returns the table's row of a directory.
func (c *checker) rowOf(dir string) (row, bool) {
	i := slices.IndexFunc(c.rows, func(r row) bool { return r.dir == dir })
	if i < 0 {
		return row{}, false
	}
	return c.rows[i], true
}

// names are the names of what is guarded, sorted.
func names() []string { return slices.Sorted(maps.Keys(guarded())) }
