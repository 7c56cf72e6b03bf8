package nix

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// words spells strings as a NAR does, independently of the writer under test.
func words(list ...string) string {
	var b strings.Builder
	for _, s := range list {
		var length [8]byte
		binary.LittleEndian.PutUint64(length[:], uint64(len(s)))
		b.Write(length[:])
		b.WriteString(s)
		for b.Len()%8 != 0 {
			b.WriteByte(0)
		}
	}
	return b.String()
}

func archive(node string) string { return words("nix-archive-1") + node }
func regular(data string) string { return words("(", "type", "regular", "contents", data, ")") }
func symlink(to string) string   { return words("(", "type", "symlink", "target", to, ")") }
func directory(e ...string) string {
	return words("(", "type", "directory") + strings.Join(e, "") + words(")")
}
func entry(name, node string) string {
	return words("entry", "(", "name", name, "node") + node + words(")")
}

// nested is a directory in a directory …, levels nodes in all.
func nested(levels int) string {
	node := directory()
	for range levels - 1 {
		node = directory(entry("d", node))
	}
	return node
}

// check writes the archive to a checker in pieces of the given size.
func check(nar string, piece int) error {
	var c NarChecker
	for rest := nar; rest != ""; {
		n := min(piece, len(rest))
		if _, err := io.WriteString(&c, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return c.Close()
}

var goodNars = map[string]string{
	"file":                       archive(regular("hello")),
	"empty file":                 archive(regular("")),
	"file without padding":       archive(regular("12345678")),
	"executable":                 archive(words("(", "type", "regular", "executable", "", "contents", "#!/bin/sh\n", ")")),
	"link":                       archive(symlink("../x")),
	"longest link":               archive(symlink(strings.Repeat("t", MaxNarTarget))),
	"empty directory":            archive(directory()),
	"names in byte order":        archive(directory(entry("A", regular("")), entry("B", regular("")), entry("a", regular("")), entry("a.b", regular("")), entry("a0", regular("")), entry("\xff", regular("")))),
	"names that look like words": archive(directory(entry("(", regular(")")), entry(")", regular("(")), entry("...", regular("")), entry("..a", regular("")), entry("entry", symlink(")")), entry("node", directory()))),
	"longest name":               archive(directory(entry(strings.Repeat("n", MaxNarName), regular("")))),
	"deepest":                    archive(nested(MaxNarDepth)),
	"directories after each other": archive(directory(entry("a", directory(entry("z", regular("")))), entry("b", directory(entry("a", regular("")))),
		entry("c", directory(entry("a", directory(entry("a", directory()))))))),
}

var hostileNars = []struct{ name, nar, says string }{
	{"empty", "",
		"ends in the middle, after 0 bytes"},
	{"magic alone", words("nix-archive-1"),
		"ends in the middle, after 24 bytes"},
	{"other magic", words("nix-archive-2") + regular(""),
		`"nix-archive-2" where "nix-archive-1" is expected`},
	{"magic in capitals", words("Nix-archive-1") + regular(""),
		`"Nix-archive-1" where "nix-archive-1" is expected`},
	{"no magic", regular(""),
		`"(" where "nix-archive-1" is expected`},
	{"length of the magic is enormous", "\xff\xff\xff\xff\xff\xff\xff\xff" + archive(regular("")),
		"a string of 18446744073709551615 bytes where at most 32 are allowed"},
	{"word of 33 bytes", words(strings.Repeat("n", maxNarTag+1)),
		"a string of 33 bytes where at most 32 are allowed"},
	{"no bracket", archive(words("type", "regular", "contents", "", ")")),
		`"type" where "(" is expected`},
	{"no type", archive(words("(", "regular", "contents", "", ")")),
		`"regular" where "type" is expected`},
	{"type of nothing", archive(words("(", "type", "", ")")),
		`type "" is not known`},
	{"unknown type", archive(words("(", "type", "fifo", ")")),
		`type "fifo" is not known`},
	{"type given twice", archive(words("(", "type", "regular", "type", "regular", "contents", "", ")")),
		`"type" where "contents" is expected`},
	{"file without contents", archive(words("(", "type", "regular", ")")),
		`")" where "contents" is expected`},
	{"executable without contents", archive(words("(", "type", "regular", "executable", "", ")")),
		`")" where "contents" is expected`},
	{"executable after the contents", archive(words("(", "type", "regular", "contents", "", "executable", "", ")")),
		`"executable" where ")" is expected`},
	{"executable twice", archive(words("(", "type", "regular", "executable", "", "executable", "", "contents", "", ")")),
		`"executable" where "contents" is expected`},
	{"executable mark with a value", archive(words("(", "type", "regular", "executable", "1", "contents", "", ")")),
		"a string of 1 bytes where at most 0 are allowed"},
	{"contents twice", archive(words("(", "type", "regular", "contents", "", "contents", "", ")")),
		`"contents" where ")" is expected`},
	{"contents beyond the limit", archive(words("(", "type", "regular", "contents")) + "\x01\x00\x00\x00\x00\x01\x00\x00",
		"a string of 1099511627777 bytes where at most 1099511627776 are allowed"},
	{"contents of 2^64-1 bytes", archive(words("(", "type", "regular", "contents")) + "\xff\xff\xff\xff\xff\xff\xff\xff",
		"a string of 18446744073709551615 bytes where at most 1099511627776 are allowed"},
	{"file that does not end", archive(words("(", "type", "regular", "contents", "", "(")),
		`"(" where ")" is expected`},
	{"target in a file", archive(words("(", "type", "regular", "target", "x", ")")),
		`"target" where "contents" is expected`},
	{"padding of the contents", strings.Replace(archive(regular("hello")), "hello\x00\x00\x00", "hello\x00\x00\x01", 1),
		"padding that is not zero"},
	{"padding of a word", strings.Replace(archive(regular("")), "type\x00\x00\x00\x00", "type\x00\x01\x00\x00", 1),
		"padding that is not zero"},
	{"padding of a name", strings.Replace(archive(directory(entry("a", regular("")))), "\x00a\x00\x00\x00\x00\x00\x00\x00", "\x00a\x00\x00\x00\x00\x00\x00\x80", 1),
		"padding that is not zero"},
	{"padding of a target", strings.Replace(archive(symlink("x")), "\x00x\x00", "\x00xy", 1),
		"padding that is not zero"},
	{"link without a target", archive(words("(", "type", "symlink", ")")),
		`")" where "target" is expected`},
	{"empty target", archive(symlink("")),
		"a link target of 0 bytes, allowed are 1 to 4095"},
	{"target too long", archive(symlink(strings.Repeat("t", MaxNarTarget+1))),
		"a string of 4096 bytes where at most 4095 are allowed"},
	{"NUL in a target", archive(symlink("a\x00b")),
		`a NUL in the link target "a\x00b"`},
	{"contents in a link", archive(words("(", "type", "symlink", "contents", "x", ")")),
		`"contents" where "target" is expected`},
	{"two targets", archive(words("(", "type", "symlink", "target", "x", "target", "y", ")")),
		`"target" where ")" is expected`},
	{"name of nothing", archive(directory(entry("", regular("")))),
		"a name of 0 bytes, allowed are 1 to 255"},
	{"name .", archive(directory(entry(".", regular("")))),
		`the name "." is not allowed`},
	{"name ..", archive(directory(entry("..", regular("")))),
		`the name ".." is not allowed`},
	{"name with a slash", archive(directory(entry("a/b", regular("")))),
		`the name "a/b" is not allowed`},
	{"absolute name", archive(directory(entry("/etc", regular("")))),
		`the name "/etc" is not allowed`},
	{"NUL in a name", archive(directory(entry("a\x00", regular("")))),
		`the name "a\x00" is not allowed`},
	{"name too long", archive(directory(entry(strings.Repeat("n", MaxNarName+1), regular("")))),
		"a string of 256 bytes where at most 255 are allowed"},
	{"case hack", archive(directory(entry("a~nix~case~hack~1", regular("")))),
		`the name "a~nix~case~hack~1" is not allowed`},
	{"one name twice", archive(directory(entry("a", regular("")), entry("a", regular("")))),
		`the name "a" after "a": not sorted`},
	{"names out of order", archive(directory(entry("b", regular("")), entry("a", regular("")))),
		`the name "a" after "b": not sorted`},
	{"longer name first", archive(directory(entry("aa", regular("")), entry("a", regular("")))),
		`the name "a" after "aa": not sorted`},
	{"names in the order of a locale", archive(directory(entry("a", regular("")), entry("B", regular("")))),
		`the name "B" after "a": not sorted`},
	{"out of order after a directory", archive(directory(entry("b", directory(entry("c", regular("")))), entry("b", regular("")))),
		`the name "b" after "b": not sorted`},
	{"entry without a name", archive(directory(words("entry", "(", "node") + regular("") + words(")"))),
		`"node" where "name" is expected`},
	{"entry without a node", archive(directory(words("entry", "(", "name", "a", ")"))),
		`")" where "node" is expected`},
	{"node before the name", archive(directory(words("entry", "(", "node") + regular("") + words("name", "a", ")"))),
		`"node" where "name" is expected`},
	{"entry with two nodes", archive(directory(words("entry", "(", "name", "a", "node") + regular("") + words("node") + regular("") + words(")"))),
		`"node" where ")" is expected`},
	{"entry without brackets", archive(directory(words("entry", "name", "a", "node") + regular(""))),
		`"name" where "(" is expected`},
	{"entry that does not end", archive(words("(", "type", "directory") + words("entry", "(", "name", "a", "node") + regular("")),
		"ends in the middle, after 248 bytes"},
	{"junk in a directory", archive(directory(words("junk"))),
		`"junk" where "entry" is expected`},
	{"one level too deep", archive(nested(MaxNarDepth + 1)),
		"more than 64 levels"},
	{"a thousand levels", archive(nested(1000)),
		"more than 64 levels"},
	{"bytes after the end", archive(regular("")) + "\x00",
		"bytes after the end"},
	{"two archives", archive(regular("")) + archive(regular("")),
		"bytes after the end"},
	{"bracket after the end", archive(regular("") + words(")")),
		"bytes after the end"},
	{"length that is not minimal", "\x0d\x00\x00\x00\x00\x00\x00\x01nix-archive-1\x00\x00\x00",
		"a string of 72057594037927949 bytes where at most 32 are allowed"},
}

func TestCheckerAcceptsGoodNars(t *testing.T) {
	for name, nar := range goodNars {
		for _, piece := range []int{1, 3, 8, 1 << 20} {
			if err := check(nar, piece); err != nil {
				t.Errorf("%s, in pieces of %d: %v", name, piece, err)
			}
		}
		if err := parseNar(nar); err != nil {
			t.Errorf("%s: the test's own parser refuses it: %v", name, err)
		}
	}
}

func TestCheckerRefusesHostileNars(t *testing.T) {
	for _, h := range hostileNars {
		whole := check(h.nar, 1<<20)
		if whole == nil || !strings.HasSuffix(whole.Error(), ": "+h.says) {
			t.Errorf("%s: %v", h.name, whole)
			continue
		}
		if got := check(h.nar, 1); got == nil || got.Error() != whole.Error() {
			t.Errorf("%s: byte by byte it says %v, whole %v", h.name, got, whole)
		}
		if parseNar(h.nar) == nil {
			t.Errorf("%s: the test's own parser accepts it", h.name)
		}
	}
}

func TestEveryTruncationIsAnError(t *testing.T) {
	for name, nar := range goodNars {
		for n := range len(nar) {
			if n > 4096 && n < len(nar)-4096 && n%61 != 0 {
				continue // the deepest has 20 KB of the same
			}
			if err := check(nar[:n], 1<<20); err == nil {
				t.Fatalf("%s: accepted with %d of %d bytes", name, n, len(nar))
			} else if !strings.Contains(err.Error(), fmt.Sprintf("after %d bytes", n)) {
				t.Fatalf("%s, %d bytes: %v", name, n, err)
			}
		}
	}
}

func TestCheckerAfterAnError(t *testing.T) {
	var c NarChecker
	n, err := io.WriteString(&c, words("nix-archive-1", "(", "junk", "type"))
	if err == nil || n >= len(words("nix-archive-1", "(", "junk", "type")) {
		t.Fatalf("wrote %d, %v", n, err)
	}
	if n, again := c.Write([]byte{1}); n != 0 || again != err {
		t.Errorf("a later Write says %d, %v", n, again)
	}
	if again := c.Close(); again != err {
		t.Errorf("Close says %v", again)
	}

	var cut NarChecker
	nar := goodNars["file"]
	io.WriteString(&cut, nar[:50])
	err = cut.Close()
	if _, again := io.WriteString(&cut, nar[50:]); err == nil || again != err {
		t.Errorf("Close says %v, a Write after it %v", err, again)
	}
	if err := new(NarChecker).Close(); err == nil {
		t.Error("a checker to which nothing was written is content")
	}
}

// The checker remembers the names of one path through the tree, not the tree.
func TestCheckerMemory(t *testing.T) {
	var c NarChecker
	io.WriteString(&c, words("nix-archive-1", "(", "type", "directory"))
	data := regular(strings.Repeat("x", 100_000))
	for i := range 100 {
		if _, err := io.WriteString(&c, entry(fmt.Sprintf("%08d", i), directory(entry("a", data)))); err != nil {
			t.Fatal(err)
		}
	}
	if held := cap(c.word) + len(c.names)*MaxNarName; held > 2048 {
		t.Errorf("it holds %d bytes", held)
	}
	if c.names = c.names[:cap(c.names)]; len(c.names) > 4 {
		t.Errorf("it holds the names of %d directories", len(c.names))
	}
}

// parseNar is a parser of the same language written in another way: recursive,
// over the whole archive.
func parseNar(nar string) error {
	p := simpleParser{rest: nar}
	p.expect("nix-archive-1")
	p.node(1)
	if p.err == nil && p.rest != "" {
		return errors.New("trailing bytes")
	}
	return p.err
}

type simpleParser struct {
	rest string
	err  error
}

func (p *simpleParser) string() string {
	if p.err != nil {
		return ""
	}
	if len(p.rest) < 8 {
		p.err = io.ErrUnexpectedEOF
		return ""
	}
	size := binary.LittleEndian.Uint64([]byte(p.rest))
	padded := (size + 7) / 8 * 8
	if size > 1<<40 || padded > uint64(len(p.rest)-8) {
		p.err = io.ErrUnexpectedEOF
		return ""
	}
	s, pad := p.rest[8:8+size], p.rest[8+size:8+padded]
	p.rest = p.rest[8+padded:]
	if strings.Trim(pad, "\x00") != "" {
		p.err = errors.New("padding")
	}
	return s
}

func (p *simpleParser) expect(want string) {
	if got := p.string(); got != want && p.err == nil {
		p.err = fmt.Errorf("%q instead of %q", got, want)
	}
}

func (p *simpleParser) node(depth int) {
	if depth > 64 && p.err == nil {
		p.err = errors.New("too deep")
	}
	if p.err != nil {
		return
	}
	p.expect("(")
	p.expect("type")
	switch kind := p.string(); kind {
	case "regular":
		word := p.string()
		if word == "executable" {
			p.expect("")
			word = p.string()
		}
		if word != "contents" && p.err == nil {
			p.err = errors.New("no contents")
		}
		p.string()
		p.expect(")")
	case "symlink":
		p.expect("target")
		target := p.string()
		if (len(target) < 1 || len(target) > 4095 || strings.Contains(target, "\x00")) && p.err == nil {
			p.err = errors.New("target")
		}
		p.expect(")")
	case "directory":
		for last := ""; p.err == nil; {
			word := p.string()
			if word == ")" || p.err != nil {
				return
			}
			if word != "entry" {
				p.err = errors.New("no entry")
			}
			p.expect("(")
			p.expect("name")
			name := p.string()
			if p.err == nil && (name <= last || len(name) > 255 || name == "." || name == ".." || strings.Contains(name, "/") ||
				strings.Contains(name, "\x00") || strings.Contains(name, "~nix~case~hack~")) {
				p.err = errors.New("name")
			}
			last = name
			p.expect("node")
			p.node(depth + 1)
			p.expect(")")
		}
	default:
		if p.err == nil {
			p.err = errors.New("type")
		}
	}
}

func FuzzNarChecker(f *testing.F) {
	for _, nar := range goodNars {
		f.Add([]byte(nar), uint16(7))
	}
	for _, h := range hostileNars {
		f.Add([]byte(h.nar), uint16(7))
	}
	f.Fuzz(func(t *testing.T, nar []byte, piece uint16) {
		got, want := check(string(nar), int(piece)+1), parseNar(string(nar))
		if (got == nil) != (want == nil) {
			t.Fatalf("the checker says %v, the simple parser %v", got, want)
		}
	})
}

// Every archive one edit away from a good one: checker and parser agree.
func TestCheckerAgreesOnMutations(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	accepted := 0
	for range 5_000 {
		var b bytes.Buffer
		if err := randomTree(rng, 3).WriteNar(&b); err != nil {
			t.Fatal(err)
		}
		nar := b.Bytes()
		for range rng.IntN(3) {
			i := rng.IntN(len(nar))
			switch rng.IntN(4) {
			case 0:
				nar[i] ^= 1 << rng.IntN(8)
			case 1:
				nar = append(nar[:i:i], nar[min(i+8, len(nar)):]...)
			case 2:
				nar = append(nar[:i:i], append(bytes.Clone(nar[max(0, i-8):i]), nar[i:]...)...)
			case 3:
				nar[i] = byte(rng.Uint32())
			}
		}
		got, want := check(string(nar), 1+rng.IntN(50)), parseNar(string(nar))
		if (got == nil) != (want == nil) {
			t.Fatalf("the checker says %v, the simple parser %v of\n%q", got, want, nar)
		}
		if got == nil {
			accepted++
		}
	}
	if accepted < 1_000 || accepted > 4_500 {
		t.Errorf("%d of 5000 accepted: the test tests one side alone", accepted)
	}
}

func TestNarNodeWritesTheFormat(t *testing.T) {
	tree := &NarNode{Type: 'd', Entries: map[string]*NarNode{
		"z":  {Type: 'l', Target: "a"},
		"a":  {Type: 'f', Data: []byte("hello")},
		"a0": {Type: 'x'},
		"A":  {Type: 'd'},
	}}
	want := archive(directory(entry("A", directory()), entry("a", regular("hello")),
		entry("a0", words("(", "type", "regular", "executable", "", "contents", "", ")")), entry("z", symlink("a"))))
	var got bytes.Buffer
	if err := tree.WriteNar(&got); err != nil || got.String() != want {
		t.Errorf("%v, got\n%q\nwant\n%q", err, got.String(), want)
	}

	wide := &NarNode{Type: 'd', Entries: map[string]*NarNode{}}
	var entries []string
	for i := range 2 * MaxNarDepth {
		name := fmt.Sprintf("%04d", i)
		wide.Entries[name] = &NarNode{Type: 'd'}
		entries = append(entries, entry(name, directory()))
	}
	got.Reset()
	if err := wide.WriteNar(&got); err != nil || got.String() != archive(directory(entries...)) {
		t.Errorf("a wide directory: %v", err)
	}

	for _, size := range []int{narBuffer - 100, narBuffer, narBuffer + 1, 3*narBuffer + 5} {
		got.Reset()
		data := strings.Repeat("d", size)
		if err := (&NarNode{Type: 'f', Data: []byte(data)}).WriteNar(&got); err != nil || got.String() != archive(regular(data)) {
			t.Errorf("a file of %d bytes: %v", size, err)
		}
	}
}

func TestNarNodeErrors(t *testing.T) {
	in := func(name string, node *NarNode) *NarNode {
		return &NarNode{Type: 'd', Entries: map[string]*NarNode{name: node}}
	}
	cycle := in("a", nil)
	cycle.Entries["a"] = cycle
	for name, tree := range map[string]*NarNode{
		"no node":         nil,
		"no type":         {},
		"unknown type":    {Type: 'p'},
		"nil entry":       in("a", nil),
		"empty name":      in("", &NarNode{Type: 'f'}),
		"name ..":         in("..", &NarNode{Type: 'f'}),
		"name with slash": in("a/b", &NarNode{Type: 'f'}),
		"case hack":       in("a"+caseHack, &NarNode{Type: 'f'}),
		"empty target":    in("a", &NarNode{Type: 'l'}),
		"cycle":           cycle,
	} {
		if err := tree.WriteNar(io.Discard); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	broken := errors.New("broken pipe")
	for _, size := range []int{1, narBuffer * 2} {
		tree := in("a", &NarNode{Type: 'f', Data: make([]byte, size)})
		if err := tree.WriteNar(errWriter{broken}); err != broken {
			t.Errorf("a writer that fails: %v", err)
		}
	}
}

type errWriter struct{ err error }

func (w errWriter) Write([]byte) (int, error) { return 0, w.err }

// randomTree makes a tree with the names that sorting and quoting trip over.
func randomTree(rng *rand.Rand, depth int) *NarNode {
	switch kind := rng.IntN(6); {
	case kind == 0:
		return &NarNode{Type: 'l', Target: oddName(rng)}
	case kind <= 2 || depth == 0:
		data := make([]byte, rng.IntN(40))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		return &NarNode{Type: "fx"[rng.IntN(2)], Data: data}
	}
	dir := &NarNode{Type: 'd', Entries: map[string]*NarNode{}}
	for range rng.IntN(5) {
		dir.Entries[oddName(rng)] = randomTree(rng, depth-1)
	}
	return dir
}

func oddName(rng *rand.Rand) string {
	odd := []string{"a", "A", "a b", "a.b", "a0", "-", "...", "..x", ".x", "(", ")", "é", "\xff\xfe", "\n", "'\"", "~", "entry", "*", "\\",
		strings.Repeat("n", 200), "aaaaaaaa", "aaaaaaa"}
	return odd[rng.IntN(len(odd))]
}
