package durabletest_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/internal/durable/durabletest"
)

func create(t *testing.T, d durable.FS, path string) durable.File {
	t.Helper()
	f, err := d.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func write(t *testing.T, f durable.File, text string, off int64) {
	t.Helper()
	if _, err := f.WriteAt([]byte(text), off); err != nil {
		t.Fatal(err)
	}
}

func sync(t *testing.T, f durable.File) {
	t.Helper()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// content is what a file holds, or "-" when it is not there.
func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPowerCut(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, c := range []struct {
		name string
		do   func(*durabletest.FS)
		want string
	}{
		{"nothing synced", func(d *durabletest.FS) { write(t, create(t, d, path), "abc", 0) }, "-"},
		{"data synced, name not", func(d *durabletest.FS) {
			f := create(t, d, path)
			write(t, f, "abc", 0)
			sync(t, f)
		}, "-"},
		{"name synced, data not", func(d *durabletest.FS) {
			write(t, create(t, d, path), "abc", 0)
			_ = d.SyncDir(dir)
		}, ""},
		{"both synced, then more", func(d *durabletest.FS) {
			f := create(t, d, path)
			write(t, f, "abc", 0)
			sync(t, f)
			_ = d.SyncDir(dir)
			write(t, f, "XYZ", 1)
			write(t, f, "!", 4)
		}, "abc"},
		{"cut off, not synced", func(d *durabletest.FS) {
			f := create(t, d, path)
			write(t, f, "abc", 0)
			sync(t, f)
			_ = d.SyncDir(dir)
			if err := f.Truncate(1); err != nil {
				t.Fatal(err)
			}
		}, "abc"},
		{"replaced, not synced", func(d *durabletest.FS) {
			f := create(t, d, path)
			write(t, f, "old", 0)
			sync(t, f)
			_ = d.SyncDir(dir)
			g := create(t, d, path+"2")
			write(t, g, "new", 0)
			sync(t, g)
			if err := d.Rename(path+"2", path); err != nil {
				t.Fatal(err)
			}
		}, "old"},
	} {
		d := durabletest.New()
		c.do(d)
		if err := d.PowerCut(nil); err != nil {
			t.Fatal(err)
		}
		if got := content(t, path); got != c.want {
			t.Errorf("%s: %q; want %q", c.name, got, c.want)
		}
		_ = os.Remove(path)
		_ = os.Remove(path + "2")
	}
}

// When a later write stays and an earlier one goes, there are zeros between.
func TestPowerCutInAnyOrder(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(40) {
		path := filepath.Join(t.TempDir(), "f")
		d := durabletest.New()
		f := create(t, d, path)
		if err := d.SyncDir(filepath.Dir(path)); err != nil {
			t.Fatal(err)
		}
		write(t, f, "aa", 0)
		write(t, f, "bb", 2)
		if err := d.PowerCut(rand.New(rand.NewPCG(seed, 0))); err != nil {
			t.Fatal(err)
		}
		seen[content(t, path)] = true
	}
	for _, want := range []string{"", "aa", "aabb", "\x00\x00bb"} {
		if !seen[want] {
			t.Errorf("never %q", want)
		}
		delete(seen, want)
	}
	if len(seen) != 0 {
		t.Errorf("also %v", seen)
	}
}

func TestFault(t *testing.T) {
	boom := errors.New("boom")
	for effect, want := range map[durabletest.Effect]string{durabletest.Undone: "", durabletest.Half: "ab", durabletest.Done: "abcd"} {
		path := filepath.Join(t.TempDir(), "f")
		d := durabletest.New()
		f := create(t, d, path)
		d.Fail(func(op durabletest.Op, _ string) (durabletest.Effect, error) {
			if op == durabletest.OpWrite {
				return effect, boom
			}
			return durabletest.Done, nil
		})
		if n, err := f.WriteAt([]byte("abcd"), 0); !errors.Is(err, boom) || n == 4 {
			t.Errorf("effect %d: %d, %v", effect, n, err)
		}
		if got := content(t, path); got != want || d.Count(durabletest.OpWrite) != 1 {
			t.Errorf("effect %d: %q after %d writes; want %q", effect, got, d.Count(durabletest.OpWrite), want)
		}
	}
}
