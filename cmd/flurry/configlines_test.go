package main

import (
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

func TestKeyLines(t *testing.T) {
	const text = `# a comment = 1
a = 1 # b = 2
"b" = "x = 1 # no"
'c.d' = '''
e = 2
'''
[ f . "g.h" ]
i = [ # several
  "j = 1",
  'k',
] # l = 1
m = """
n = \""" 1
""""" # o = 1
p = { q = 1,
r = 2 }
[[s]]
t.u = 1
"v\tw" = 2024-01-01
`
	lines := keyLines(text)
	for key, want := range map[string]int{"a": 2, "b": 3, "c.d": 4, "f": 7, "f|g.h": 7, "f|g.h|i": 8, "f|g.h|m": 12, "f|g.h|p": 15, "s": 17, "s|t": 18, "s|t|u": 18, "s|v\tw": 19} {
		if got := lines[strings.ReplaceAll(key, "|", "\x00")]; got != want {
			t.Errorf("%q stands on line %d, not %d", key, got, want)
		}
	}
	for key := range lines {
		for _, none := range []string{"comment", "e", "j", "k", "l", "n", "o", "q", "r"} {
			if key == none || strings.HasSuffix(key, "\x00"+none) {
				t.Errorf("%q is no key", key)
			}
		}
	}
	if got := lineOf([]byte(text), "f", "g.h", "unheard of"); got != 7 {
		t.Errorf("a key that is not found stands on its table's line, not %d", got)
	}
	if got := lineOf([]byte(text), "nothing"); got != 0 {
		t.Errorf("line %d", got)
	}
}

// FuzzKeyLines: the scanner ends, and of a text that is TOML it finds every key and table outside of inline ones on a line
// that there is.
func FuzzKeyLines(f *testing.F) {
	for _, s := range []string{"a = 1", "[a.b]\nc = \"\"\"\n\"\"\"", "'a' = [1, [2,\n3]] # x", "[[x]]\n\"y\" . z = '''a'''", "a = \"\\", "[", "=", "\"", "a.b.c = {d = 1}\r\n[e]", "a = '''''"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := keyLines(text)
		last := strings.Count(text, "\n") + 1
		for key, line := range lines {
			if line < 1 || line > last {
				t.Fatalf("%q stands on line %d of %d", key, line, last)
			}
		}
		var v map[string]any
		meta, err := toml.Decode(text, &v)
		if err != nil || strings.Contains(text, "{") || strings.Contains(text, `\u`) || strings.Contains(text, `\U`) || strings.Contains(text, `\x`) || strings.Contains(text, `\e`) {
			return
		}
		for _, key := range meta.Keys() {
			if lineOf([]byte(text), key...) == 0 {
				t.Fatalf("%q is not found in %q: %v", []string(key), text, lines)
			}
		}
	})
}
