package durable_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/internal/durable/durabletest"
)

var errInjected = errors.New("injected")

// failNth fails the nth operation, counted from 0, with an effect, and sets met.
func failNth(n int, e durabletest.Effect, met *bool) durabletest.Fault {
	return func(durabletest.Op, string) (durabletest.Effect, error) {
		if n--; n == -1 {
			*met = true
			return e, errInjected
		}
		return durabletest.Done, nil
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, want := range []string{"one", "a longer second", "", "3"} {
		if err := durable.WriteFile(durable.OS{}, path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != want {
			t.Errorf("read %q, wrote %q", got, want)
		}
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Mode() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 1 {
		t.Errorf("files left: %v", names)
	}
}

// A leftover with wide permissions must not lend them to a secret.
func TestWriteFileLeftover(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path+".tmp", []byte("a longer leftover"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(durable.OS{}, path, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode() != 0o600 || read(t, path) != "secret" {
		t.Errorf("mode %v, %v, content %q", fi.Mode(), err, read(t, path))
	}
}

// Whichever operation fails, in whichever way, and whatever a loss of power
// takes then: the file is the old one or the new one, and the new one when
// WriteFile said so.
func TestWriteFileFaults(t *testing.T) {
	before, after := bytes.Repeat([]byte("old"), 1000), bytes.Repeat([]byte("new!"), 1000)
	for _, effect := range []durabletest.Effect{durabletest.Undone, durabletest.Half, durabletest.Done} {
		for n := 0; ; n++ {
			path := filepath.Join(t.TempDir(), "f")
			d := durabletest.New()
			if err := durable.WriteFile(d, path, before, 0o600); err != nil {
				t.Fatal(err)
			}
			met := false
			d.Fail(failNth(n, effect, &met))
			err := durable.WriteFile(d, path, after, 0o600)
			d.Fail(nil)
			check := func(when string) {
				t.Helper()
				got := read(t, path)
				if err == nil && got != string(after) || got != string(before) && got != string(after) {
					t.Errorf("operation %d, effect %d, %s: %d bytes that are neither, or lost; error %v", n, effect, when, len(got), err)
				}
			}
			check("at once")
			if cut := d.PowerCut(rand.New(rand.NewPCG(uint64(n), 1))); cut != nil {
				t.Fatal(cut)
			}
			check("after a loss of power")
			if err := durable.WriteFile(d, path, after, 0o600); err != nil || read(t, path) != string(after) {
				t.Errorf("operation %d, effect %d: the next write: %v", n, effect, err)
			}
			if !met {
				if n < 6 {
					t.Errorf("only %d operations", n)
				}
				break
			}
		}
	}
}

func TestWriteFileSurvivesPowerCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	d := durabletest.New()
	if err := durable.WriteFile(d, path, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.PowerCut(nil); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "kept" {
		t.Errorf("after a loss of power: %q", got)
	}
}

func TestMkdirAll(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "a", "b", "c")
	for range 2 {
		if err := durable.MkdirAll(durable.OS{}, path, 0o700); err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Stat(path); err != nil || !fi.IsDir() {
			t.Errorf("%v, %v", fi, err)
		}
	}
	d := durabletest.New()
	if err := durable.MkdirAll(d, filepath.Join(root, "x", "y"), 0o700); err != nil || d.Count(durabletest.OpSyncDir) != 2 {
		t.Errorf("%v, directories synced: %d; want 2", err, d.Count(durabletest.OpSyncDir))
	}
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{file, filepath.Join(file, "below")} {
		if err := durable.MkdirAll(durable.OS{}, bad, 0o700); err == nil {
			t.Errorf("made a directory at %s", bad)
		}
	}
}

// watched looks at what is renamed, before and after.
type watched struct {
	durable.OS
	seen []string
}

func (w *watched) Rename(from, to string) error {
	err := w.OS.Rename(from, to)
	info, statErr := os.Stat(to)
	if statErr != nil {
		return statErr
	}
	st := info.Sys().(*syscall.Stat_t)
	w.seen = append(w.seen, fmt.Sprintf("%s %v %d:%d", filepath.Base(from), info.Mode(), st.Uid, st.Gid))
	return err
}

// TestWriteOwned: a file has its owner and its mode by the time it has its name, whatever the umask.
func TestWriteOwned(t *testing.T) {
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 12345, 54321
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &watched{}
	if err := durable.WriteOwned(w, path, path+".new", []byte("new"), 0o666, uid, gid); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("file.new -rw-rw-rw- %d:%d", uid, gid); len(w.seen) != 1 || w.seen[0] != want {
		t.Errorf("it gets its name as %q, not %q", w.seen, want)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "new" {
		t.Errorf("%q, %v", data, err)
	}
	if err := durable.WriteOwned(durabletest.New(), path, path+".new", nil, 0o600, uid, gid); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("files without owners: %v", err)
	}
}
