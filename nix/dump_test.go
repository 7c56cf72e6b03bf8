package nix

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// unpack writes a tree to the disk at path.
func unpack(t testing.TB, n *NarNode, path string) {
	t.Helper()
	var err error
	switch n.Type {
	case 'f':
		err = os.WriteFile(path, n.Data, 0o644)
	case 'x':
		err = os.WriteFile(path, n.Data, 0o755)
	case 'l':
		err = os.Symlink(n.Target, path)
	case 'd':
		err = os.Mkdir(path, 0o755)
		for _, name := range slices.Sorted(maps.Keys(n.Entries)) {
			unpack(t, n.Entries[name], path+"/"+name)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// oddTree has one of everything that a NAR can hold and a writer may trip over.
func oddTree() *NarNode {
	file := func(size int) *NarNode { return &NarNode{Type: 'f', Data: bytes.Repeat([]byte{'x'}, size)} }
	return &NarNode{Type: 'd', Entries: map[string]*NarNode{
		"...":                    file(1),
		"..x":                    file(2),
		".hidden":                file(3),
		"(":                      file(4),
		")":                      {Type: 'd', Entries: map[string]*NarNode{")": file(5)}},
		"A":                      file(6),
		"a":                      {Type: 'd', Entries: map[string]*NarNode{}},
		"a.b":                    file(7),
		"a b\n":                  file(8),
		"a0":                     {Type: 'x', Data: []byte("#!/bin/sh\n")},
		"\xff\xfe":               file(9),
		"é":                      {Type: 'x'},
		"empty":                  file(0),
		"link":                   {Type: 'l', Target: "/nix/store/none"},
		"link to dir":            {Type: 'l', Target: "a"},
		strings.Repeat("n", 255): {Type: 'l', Target: strings.Repeat("t/", 2000)},
		"buffer - 1":             file(narBuffer - 1),
		"buffer":                 file(narBuffer),
		"buffer + 1":             file(narBuffer + 1),
		"large":                  file(3*narBuffer + 7),
	}}
}

func TestDumpNarWritesWhatTheTreeIs(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	trees := []*NarNode{oddTree(), {Type: 'f', Data: []byte("root file")}, {Type: 'x'}, {Type: 'l', Target: "nowhere"}, {Type: 'd'}}
	for range 50 {
		trees = append(trees, randomTree(rng, 4))
	}
	for i, tree := range trees {
		path := filepath.Join(t.TempDir(), "root")
		unpack(t, tree, path)
		var want, got bytes.Buffer
		if err := tree.WriteNar(&want); err != nil {
			t.Fatal(err)
		}
		if err := DumpNar(&got, path); err != nil {
			t.Fatalf("tree %d: %v", i, err)
		}
		if !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("tree %d: the NAR of the disk differs from that of the memory", i)
		}
		if err := check(got.String(), 1<<20); err != nil {
			t.Errorf("tree %d: %v", i, err)
		}
	}
}

func TestDumpNarTakesTheOwnersBit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, executable := range map[os.FileMode]bool{0o400: false, 0o411: false, 0o500: true, 0o555: true, 0o4755: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		var nar bytes.Buffer
		if err := DumpNar(&nar, path); err != nil || strings.Contains(nar.String(), "executable") != executable {
			t.Errorf("mode %o: %v, %q", mode, err, nar.String())
		}
	}
}

func TestDumpNarErrors(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(dir+"/fifo", 0o644); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", dir+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, sub := range []string{"with-fifo", "case", "deep"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(dir+"/with-fifo/p", 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/case/a"+caseHack+"1", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	deep := func(levels int) string {
		path := filepath.Join(t.TempDir(), strings.Repeat("d/", levels-1)+"d")
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(path, strings.Repeat("/d", levels-1))
	}
	for path, says := range map[string]string{
		dir + "/none":         "no such file",
		dir + "/fifo":         "is neither a file",
		dir + "/socket":       "is neither a file",
		dir + "/with-fifo":    "is neither a file",
		"/dev/null":           "is neither a file",
		dir + "/case":         "is not allowed",
		deep(MaxNarDepth + 1): "more than 64 levels",
	} {
		if err := DumpNar(io.Discard, path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := DumpNar(io.Discard, deep(MaxNarDepth)); err != nil {
		t.Errorf("%d levels: %v", MaxNarDepth, err)
	}

	broken := errors.New("broken pipe")
	for _, size := range []int{1, 4 * narBuffer} {
		if err := os.WriteFile(dir+"/file", make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := DumpNar(errWriter{broken}, dir+"/file"); !errors.Is(err, broken) {
			t.Errorf("a writer that fails, %d bytes: %v", size, err)
		}
	}
}

// What is in a file's place when it is opened counts, not what the directory
// said before.
func TestReplacedFilesAreNoticed(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(dir+"/fifo", 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", dir+"/dirlink"); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{
		dir + "/link":    0,
		dir + "/fifo":    0, // opening it must not wait for a writer
		dir:              0,
		dir + "/dirlink": os.ModeDir,
	} {
		if err := (dumper{narWriter: newNarWriter(io.Discard)}).node(path, mode); err == nil {
			t.Errorf("%s was dumped as %v", path, mode)
		}
	}
}

func TestFilesThatChangeSizeAreErrors(t *testing.T) {
	for _, size := range []int{0, 1, 100, narBuffer - 1, narBuffer, narBuffer + 1, 3 * narBuffer} {
		for _, have := range []int{0, size - 1, size, size + 1, size + narBuffer} {
			if have < 0 {
				continue
			}
			path := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(path, make([]byte, have), 0o644); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			d := dumper{narWriter: newNarWriter(&got)}
			err = d.contents(f, int64(size))
			d.flush()
			f.Close()
			switch {
			case (err == nil) != (have == size):
				t.Errorf("a file of %d bytes that should have %d: %v", have, size, err)
			case have > size && !strings.Contains(err.Error(), "grew"), have < size && !strings.Contains(err.Error(), "shrank"):
				t.Errorf("a file of %d bytes that should have %d: %v", have, size, err)
			case err == nil && got.Len() != size:
				t.Errorf("%d bytes written, want %d", got.Len(), size)
			}
		}
	}
}

func BenchmarkDumpSmallFiles(b *testing.B) {
	dir := b.TempDir()
	for i := range 1000 {
		if err := os.WriteFile(filepath.Join(dir, string(rune('a'+i%26))+strings.Repeat("x", i/26)), make([]byte, 500), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := DumpNar(io.Discard, dir); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDumpLargeFile(b *testing.B) {
	path := filepath.Join(b.TempDir(), "f")
	if err := os.WriteFile(path, make([]byte, 64<<20), 0o644); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(64 << 20)
	for b.Loop() {
		if err := DumpNar(io.Discard, path); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNarChecker(b *testing.B) {
	small := &NarNode{Type: 'd', Entries: map[string]*NarNode{}}
	for i := range 1000 {
		small.Entries[strings.Repeat("n", i/26+1)+string(rune('a'+i%26))] = &NarNode{Type: 'f', Data: make([]byte, 500)}
	}
	for name, tree := range map[string]*NarNode{"small": small, "large": {Type: 'f', Data: make([]byte, 16<<20)}} {
		b.Run(name, func(b *testing.B) {
			var nar bytes.Buffer
			if err := tree.WriteNar(&nar); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(nar.Len()))
			b.ReportAllocs()
			for b.Loop() {
				var c NarChecker
				if _, err := c.Write(nar.Bytes()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
