package nix

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestIndexNarReadsWhatIsDumped: whatever part of a NAR is read, it is what DumpNar writes there.
func TestIndexNarReadsWhatIsDumped(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	trees := []*NarNode{oddTree(), {Type: 'f', Data: []byte("root file")}, {Type: 'x'}, {Type: 'l', Target: "nowhere"}, {Type: 'd'}}
	for range 30 {
		trees = append(trees, randomTree(rng, 4))
	}
	for i, tree := range trees {
		path := filepath.Join(t.TempDir(), "root")
		unpack(t, tree, path)
		var want bytes.Buffer
		if err := DumpNar(&want, path); err != nil {
			t.Fatal(err)
		}
		n, err := IndexNar(path)
		if err != nil {
			t.Fatal(err)
		}
		if n.Size() != int64(want.Len()) || n.Cost() < len(n.frame) {
			t.Fatalf("tree %d: a size of %d, not %d, and a cost of %d", i, n.Size(), want.Len(), n.Cost())
		}
		nar, err := io.ReadAll(io.NewSectionReader(n, 0, n.Size()))
		if err != nil || !bytes.Equal(nar, want.Bytes()) {
			t.Fatalf("tree %d: another NAR, or %v", i, err)
		}
		for range 200 {
			from := rng.IntN(want.Len())
			part := make([]byte, rng.IntN(min(want.Len()-from, 1+rng.IntN(narBuffer))+1))
			if got, err := n.ReadAt(part, int64(from)); err != nil || got != len(part) || !bytes.Equal(part, want.Bytes()[from:from+len(part)]) {
				t.Fatalf("tree %d: %d+%d: %d bytes, %v", i, from, len(part), got, err)
			}
		}
		if got, err := n.ReadAt(make([]byte, 10), n.Size()-4); got != 4 || err != io.EOF {
			t.Errorf("beyond the end: %d, %v", got, err)
		}
		if _, err := n.ReadAt(make([]byte, 1), -1); err == nil {
			t.Error("before the beginning")
		}
	}
}

// TestNarFileNotices: a file that is gone, that has another size or that is no file any more is an error, and never other bytes
// or a wait.
func TestNarFileNotices(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"gone":    os.Remove,
		"shorter": func(path string) error { return os.WriteFile(path, []byte("ab"), 0o644) },
		"longer":  func(path string) error { return os.WriteFile(path, []byte("abcdef"), 0o644) },
		"a link": func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(path+"2", []byte("abcd"), 0o644), os.Symlink(path+"2", path))
		},
		"a directory": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o755)) },
	} {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte("abcd"), 0o644); err != nil {
			t.Fatal(err)
		}
		n, err := IndexNar(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := change(path); err != nil {
			t.Fatal(err)
		}
		if _, err := n.ReadAt(make([]byte, n.Size()), 0); err == nil || !strings.Contains(err.Error(), "file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestIndexNarIsBounded: a path with more files than memory is given for is refused, and so is what cannot be dumped.
func TestIndexNarIsBounded(t *testing.T) {
	if _, err := IndexNar(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	dir := t.TempDir()
	for i := range MaxNarFrame/(MaxNarTarget+100) + 1 {
		if err := os.Symlink(strings.Repeat("x", MaxNarTarget-1), filepath.Join(dir, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := IndexNar(dir); !errors.Is(err, ErrManyFiles) {
		t.Errorf("%v", err)
	}
}
