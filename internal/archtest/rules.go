package archtest

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// maxLines is how long a file may be: what one can still keep in view.
const maxLines = 700

// guarded is what a package may use only with leave, by the names that stand in the
// table: import paths, or, ending in a slash or a dot, beginnings of them.
func guarded() map[string][]string {
	return map[string][]string{
		"exec":   {"os/exec"},
		"http":   {"net/http", "net/http/"},
		"libp2p": {"github.com/libp2p/", "github.com/ipfs/"},
		"net":    {"net"},
		"os":     {"os", "os/signal", "os/user", "syscall", "golang.org/x/sys/"},
		"pebble": {"github.com/cockroachdb/"},
	}
}

// clock is the name, in the table, of leave to ask what time it is and to wait.
const clock = "clock"

// clockFuncs are the functions of package time that need it.
func clockFuncs() []string {
	return []string{"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"}
}

// checkTable checks that the table agrees with itself and with the tree.
func (c *checker) checkTable() {
	for i, r := range c.rows {
		if slices.ContainsFunc(c.rows[:i], func(o row) bool { return o.dir == r.dir }) {
			c.report(r.dir, "is twice in the table")
		}
		if !slices.ContainsFunc(c.tree.packages, func(p *pkg) bool { return p.dir == r.dir }) {
			c.report(r.dir, "is in the table, but there is no such package")
		}
		for _, dir := range strings.Fields(r.ours) {
			if o, ok := c.rowOf(dir); !ok {
				c.report(r.dir, "may import %s, which is not in the table", dir)
			} else if o.tier >= r.tier {
				c.report(r.dir, "of tier %d may import %s of tier %d: imports point down", r.tier, dir, o.tier)
			}
		}
		for _, name := range strings.Fields(r.leave) {
			if name != clock && !slices.Contains(names(), name) {
				c.report(r.dir, "has leave to use %s, which nothing guards", name)
			}
		}
	}
}

// checkPackage checks what a package imports, and that it says what it is.
func (c *checker) checkPackage(p *pkg) {
	if !documented(p) {
		c.report(p.dir, "no file has a package comment that begins with \"Package %s\"", p.name())
	}
	r, ok := c.rowOf(p.dir)
	if !ok {
		c.report(p.dir, "the package is not in the table of internal/archtest")
		return
	}
	for _, f := range p.files {
		if strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		for _, i := range f.Imports {
			c.checkImport(i, r)
		}
		if !slices.Contains(strings.Fields(r.leave), clock) {
			c.checkClock(f)
		}
	}
}

// documented reports whether a package has a comment. That of a command may begin
// as it likes, and what is all tests may have it in a test.
func documented(p *pkg) bool {
	return slices.ContainsFunc(p.files, func(f *file) bool {
		text := f.Doc.Text()
		return strings.HasPrefix(text, "Package "+p.name()+" ") || text != "" && p.name() == "main"
	})
}

func (c *checker) checkImport(i *ast.ImportSpec, r row) {
	path, err := strconv.Unquote(i.Path.Value)
	if err != nil {
		c.reportAt(i, "import of %s", i.Path.Value)
		return
	}
	if dir, ours := strings.CutPrefix(path, c.module+"/"); ours {
		if !slices.Contains(strings.Fields(r.ours), dir) {
			c.reportAt(i, "%s may not import %s", r.dir, dir)
		}
		return
	}
	for _, name := range names() {
		if matches(path, guarded()[name]) && !slices.Contains(strings.Fields(r.leave), name) {
			c.reportAt(i, "%s has no leave to use %s: it imports %s", r.dir, name, path)
		}
	}
}

func matches(path string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		return path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p)
	})
}

// checkClock finds uses of the clock.
func (c *checker) checkClock(f *file) {
	c.selectors(f, "time", func(at ast.Node, name string) {
		if slices.Contains(clockFuncs(), name) {
			c.reportAt(at, "time.%s in a package without leave to use the clock: now is an argument", name)
		}
	})
}

// selectors calls fn for everything in f that is selected from the package at an
// import path, whatever it is called here.
func (c *checker) selectors(f *file, path string, fn func(at ast.Node, name string)) {
	local := localName(f, path)
	if local == "" {
		return
	}
	ast.Inspect(f.File, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == local {
				fn(s, s.Sel.Name)
			}
		}
		return true
	})
}

// localName is what an import is called in f, "" when it is not imported.
func localName(f *file, path string) string {
	for _, i := range f.Imports {
		if i.Path.Value != strconv.Quote(path) {
			continue
		}
		if i.Name != nil {
			return i.Name.Name
		}
		return path[strings.LastIndexByte(path, '/')+1:]
	}
	return ""
}

func (c *checker) checkLength(f *file) {
	if f.lines > maxLines && !strings.HasSuffix(f.path, "_test.go") {
		c.report(f.path, "%d lines, at most %d", f.lines, maxLines)
	}
}

// checkInit finds functions that run without being called.
func (c *checker) checkInit(f *file) {
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			c.reportAt(fn, "an init function: whoever needs it calls it")
		}
	}
}

// checkVars finds package variables that are neither errors nor assertions.
func (c *checker) checkVars(f *file) {
	if f.test() {
		return
	}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			for i, name := range v.Names {
				if name.Name != "_" && !sentinel(f, v, i) && !c.excepted(f, name.Name) {
					c.reportAt(name, "package variable %s: only errors and assertions may be", name.Name)
				}
			}
		}
	}
}

// sentinel reports whether the i-th name of v is an error that is made once: it is
// called so, and is made by errors.New or fmt.Errorf.
func sentinel(f *file, v *ast.ValueSpec, i int) bool {
	name := v.Names[i].Name
	rest, ok := strings.CutPrefix(name, "Err")
	if !ok {
		rest, ok = strings.CutPrefix(name, "err")
	}
	if !ok || rest == "" || strings.ToUpper(rest[:1]) != rest[:1] || len(v.Values) != len(v.Names) {
		return false
	}
	call, ok := v.Values[i].(*ast.CallExpr)
	if !ok {
		return false
	}
	fn, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	from, ok := fn.X.(*ast.Ident)
	return ok && (from.Name == localName(f, "errors") && fn.Sel.Name == "New" ||
		from.Name == localName(f, "fmt") && fn.Sel.Name == "Errorf")
}

// checkContexts finds contexts that come from nowhere: what is done for a caller
// ends with the caller's.
func (c *checker) checkContexts(f *file) {
	if f.test() || f.Name.Name == "main" {
		return
	}
	c.selectors(f, "context", func(at ast.Node, name string) {
		if (name == "Background" || name == "TODO") && !c.excepted(f, "context."+name) {
			c.reportAt(at, "context.%s outside main and tests", name)
		}
	})
}
