package archtest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestThisModule is what this package is for.
func TestThisModule(t *testing.T) {
	problems, err := check(filepath.Join("..", ".."), house())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
}

// bad is a small tree under testdata, what it is checked against, and what is
// wrong with it.
type bad struct {
	rows       []row
	exceptions []exception
	want       []string
}

func trees() map[string]bad {
	return map[string]bad{
		"good": {
			rows: []row{{"low", 0, "", ""}, {"lowtest", 1, "low", ""}, {"mid", 1, "low", "http"}, {"cmd", 2, "mid low", "clock"}},
		},
		"imports": {
			rows: []row{{"low", 0, "", ""}, {"mid", 1, "low", ""}, {"other", 1, "low", ""}},
			want: []string{
				"low/low.go:4: low may not import mid",
				"mid/mid.go:6: mid may not import other",
				"other/other.go:4: other may not import nowhere",
			},
		},
		"leave": {
			rows: []row{{"pure", 0, "", "net"}},
			want: []string{
				"pure/pure.go:15: time.Now in a package without leave to use the clock: now is an argument",
				"pure/pure.go:5: pure has no leave to use http: it imports net/http/httptest",
				"pure/pure.go:6: pure has no leave to use os: it imports os",
				"pure/pure.go:9: pure has no leave to use libp2p: it imports github.com/libp2p/go-libp2p/core/peer",
			},
		},
		"comment": {
			rows: []row{{"none", 0, "", ""}, {"wrong", 0, "", ""}, {"alltests", 0, "", ""}},
			want: []string{
				`none: no file has a package comment that begins with "Package none"`,
				`wrong: no file has a package comment that begins with "Package wrong"`,
			},
		},
		"initfunc": {
			rows: []row{{"low", 0, "", ""}},
			want: []string{"low/low.go:4: an init function: whoever needs it calls it"},
		},
		"vars": {
			rows:       []row{{"low", 0, "", ""}},
			exceptions: []exception{{"low/low.go", "allowed", "to test"}},
			want: []string{
				"low/low.go:12: package variable count: only errors and assertions may be",
				"low/low.go:12: package variable total: only errors and assertions may be",
				"low/low.go:13: package variable ErrNamed: only errors and assertions may be",
				"low/low.go:14: package variable ErrMade: only errors and assertions may be",
				"low/low.go:15: package variable errand: only errors and assertions may be",
				"low/low.go:16: package variable table: only errors and assertions may be",
				"low/low.go:9: package variable registry: only errors and assertions may be",
			},
		},
		"contexts": {
			rows:       []row{{"low", 0, "", ""}, {"lowtest", 1, "low", ""}, {"cmd", 2, "", ""}},
			exceptions: []exception{{"low/close.go", "context.Background", "to test"}},
			want: []string{
				"low/low.go:8: context.Background outside main and tests",
				"low/low.go:9: context.TODO outside main and tests",
			},
		},
	}
}

func TestBadTrees(t *testing.T) {
	dirs, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if _, known := trees()[d.Name()]; !known {
			t.Errorf("testdata/%s is tested by nothing", d.Name())
		}
	}
	for name, b := range trees() {
		expect(t, filepath.Join("testdata", name), rules{"example.org/house", b.rows, b.exceptions}, b.want)
	}
}

func expect(t *testing.T, root string, r rules, want []string) {
	t.Helper()
	got, err := check(root, r)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n  %s\nwant\n  %s", root, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// TestBadTables: a table that contradicts itself, or the tree, is of no use.
func TestBadTables(t *testing.T) {
	root := filepath.Join("testdata", "imports")
	for name, c := range map[string]struct {
		rows       []row
		exceptions []exception
		want       []string
	}{
		"a package is missing": {
			rows: []row{{"low", 0, "", ""}, {"mid", 1, "low", ""}},
			want: []string{"other: the package is not in the table of internal/archtest"},
		},
		"a row is for nothing": {
			rows: []row{{"gone", 0, "", ""}},
			want: []string{"gone: is in the table, but there is no such package"},
		},
		"a row is there twice": {
			rows: []row{{"low", 0, "", ""}, {"low", 0, "", ""}},
			want: []string{"low: is twice in the table"},
		},
		"leave is given within a tier, upwards and to nobody": {
			rows: []row{{"low", 0, "mid", ""}, {"mid", 1, "other nowhere", ""}, {"other", 1, "", ""}},
			want: []string{
				"low: of tier 0 may import mid of tier 1: imports point down",
				"mid: of tier 1 may import other of tier 1: imports point down",
				"mid: may import nowhere, which is not in the table",
			},
		},
		"leave is given for what nothing guards": {
			rows: []row{{"low", 0, "", "clock magic"}},
			want: []string{"low: has leave to use magic, which nothing guards"},
		},
		"an exception is needed no more": {
			rows:       []row{{"low", 0, "", ""}},
			exceptions: []exception{{"low/low.go", "registry", "to test"}},
			want:       []string{"low/low.go: nothing here needs the exception for registry"},
		},
	} {
		got, err := check(root, rules{"example.org/house", c.rows, c.exceptions})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range c.want {
			if !slices.Contains(got, w) {
				t.Errorf("%s:\n  %s\nwant among them\n  %s", name, strings.Join(got, "\n  "), w)
			}
		}
	}
}

func TestLongFiles(t *testing.T) {
	root := t.TempDir()
	write := func(name string, lines int) {
		t.Helper()
		text := "// Package long is long.\npackage long\n" + strings.Repeat("\n", lines-2)
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("fits.go", maxLines)
	write("long.go", maxLines+1)
	write("long_test.go", maxLines+1)
	write("long.pb.go", maxLines+1)
	expect(t, root, rules{module: "example.org/house", rows: []row{{".", 0, "", ""}}},
		[]string{"long.go: 701 lines, at most 700"})
}

func TestFilesThatDoNotParse(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "x.go"), []byte("package"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := check(root, rules{}); err == nil {
		t.Error("no error")
	}
}
