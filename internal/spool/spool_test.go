package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/nix"
)

func open(t *testing.T, state string) *Queue {
	t.Helper()
	q, err := Open(state)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

func path(t *testing.T, n int) nix.StorePath {
	t.Helper()
	p, err := nix.ParseBaseName(fmt.Sprintf("%032d-p%d", n, n))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func names(t *testing.T, q *Queue) []string {
	t.Helper()
	list, err := q.Names()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestQueue: what was added comes back in order, also from a queue that is opened anew, until it is removed.
func TestQueue(t *testing.T) {
	state := t.TempDir()
	q := open(t, state)
	now := time.Date(2026, 11, 26, 12, 0, 0, 5, time.UTC)
	want := []Entry{
		{Time: now, Why: "hook", Paths: []nix.StorePath{path(t, 1), path(t, 2)}},
		{Time: now.Add(time.Second), Why: "always", Namespaces: []string{"acme-1", "b:c"}, Paths: []nix.StorePath{path(t, 3)}},
	}
	for _, i := range []int{1, 0} {
		if err := q.Add(want[i]); err != nil {
			t.Fatal(err)
		}
	}
	list := names(t, open(t, state))
	if len(list) != 2 {
		t.Fatal(list)
	}
	for i, name := range list {
		if e, err := q.Read(name); err != nil || !reflect.DeepEqual(e, want[i]) {
			t.Errorf("%+v, %v", e, err)
		}
		for range 2 {
			if err := q.Remove(name); err != nil {
				t.Error(err)
			}
		}
	}
	if list := names(t, q); len(list) != 0 {
		t.Error(list)
	}
}

// TestBounds: no entry is larger than what Read takes, and no more entries wait than there may.
func TestBounds(t *testing.T) {
	q := open(t, t.TempDir())
	var many []nix.StorePath
	for i := range MaxPaths + 1 {
		many = append(many, path(t, i))
	}
	for _, e := range []Entry{{}, {Paths: many}, {Paths: many[:1], Namespaces: make([]string, maxNamespaces+1)}} {
		if err := q.Add(e); err == nil {
			t.Errorf("an entry of %d paths and %d namespaces was added", len(e.Paths), len(e.Namespaces))
		}
	}
	if err := q.Add(Entry{Paths: many[:MaxPaths]}); err != nil {
		t.Error(err)
	}
	q.most = 1
	if err := q.Add(Entry{Paths: many[:1]}); !errors.Is(err, ErrFull) {
		t.Errorf("to a full queue: %v", err)
	}
}

// TestDamaged: what is no entry is told from what cannot be read, and set aside; of what is set aside the last few are kept.
func TestDamaged(t *testing.T) {
	q := open(t, t.TempDir())
	dir := filepath.Join(q.root.Name(), Dir)
	for i, text := range []string{"", "{", "[]", `{"schema":"flurry/queued/2","paths":["` + path(t, 1).String() + `"]}`, `{"schema":"flurry/queued/1","paths":[]}`,
		`{"schema":"flurry/queued/1","paths":["/etc/passwd"]}`, strings.Repeat(" ", maxEntry) + "{}"} {
		name := fmt.Sprintf("%d%s", i, suffix)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := q.Read(name)
		if damaged := (*DamagedError)(nil); !errors.As(err, &damaged) {
			t.Errorf("%.40q: %v", text, err)
		}
		if err := q.SetAside(name); err != nil {
			t.Error(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "dir"+suffix), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := q.Read("dir" + suffix)
	if damaged := (*DamagedError)(nil); !errors.As(err, &damaged) {
		t.Errorf("a directory: %v", err)
	}
	for i := range 2 * maxAside {
		name := fmt.Sprintf("%03d%s", i, suffix)
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := q.SetAside(name); err != nil {
			t.Error(err)
		}
	}
	kept, err := filepath.Glob(filepath.Join(dir, "*"+aside))
	if err != nil || len(kept) != maxAside {
		t.Errorf("%d are kept", len(kept))
	}
	if list := names(t, q); len(list) != 1 {
		t.Error(list)
	}
	if _, err := q.Read("gone" + suffix); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestKilled: whoever adds and is killed leaves whole entries, and what he left of others is no entry and goes away.
func TestKilled(t *testing.T) {
	if state := os.Getenv("QUEUE_TEST_STATE"); state != "" {
		q := open(t, state)
		for i := 0; ; i++ {
			if err := q.Add(Entry{Time: time.Now(), Why: "hook", Paths: []nix.StorePath{path(t, i)}}); err != nil {
				t.Fatal(err)
			}
			fmt.Println("added", i)
		}
	}
	state := t.TempDir()
	q := open(t, state)
	for round := range 5 {
		c := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		c.Env = append(os.Environ(), "QUEUE_TEST_STATE="+state)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		before := len(names(t, q))
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines := 0
		for buf := make([]byte, 64); lines < 20+7*round; {
			n, err := out.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			lines += strings.Count(string(buf[:n]), "\n")
		}
		if err := c.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait() // it was killed
		list := names(t, q)
		if len(list)-before < lines {
			t.Errorf("%d were added, %d are there", lines, len(list)-before)
		}
		for _, name := range list {
			if _, err := q.Read(name); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
	}
	left := filepath.Join(state, Dir, "1"+suffix+".tmp")
	if err := os.WriteFile(left, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := q.Tidy(time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(left); err != nil {
		t.Error("what somebody writes at this moment was removed")
	}
	if err := q.Tidy(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if rest, _ := filepath.Glob(filepath.Join(state, Dir, "*.tmp")); len(rest) > 0 {
		t.Errorf("%q are left", rest)
	}
}

// TestOwner: what root adds in another user's state directory is that user's to read and remove, and nothing leads root
// out of the directory.
func TestOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root has to do with others' directories")
	}
	state := t.TempDir()
	if err := os.Chown(state, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	q := open(t, state)
	if err := q.Add(Entry{Paths: []nix.StorePath{path(t, 1)}}); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{Dir, filepath.Join(Dir, names(t, q)[0])} {
		info, err := os.Stat(filepath.Join(state, at))
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t).Uid; info.IsDir() && (owner != 65534 || info.Mode().Perm() != 0o700) || !info.IsDir() && info.Mode().Perm() != 0o644 {
			t.Errorf("%s: owner %d, mode %o", at, owner, info.Mode())
		}
	}
	elsewhere, trap := t.TempDir(), t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(trap, Dir)); err != nil {
		t.Fatal(err)
	}
	out, err := Open(trap)
	if err == nil {
		defer out.Close()
		err = out.Add(Entry{Paths: []nix.StorePath{path(t, 1)}})
	}
	if err == nil {
		t.Error("a link led out of the state directory")
	}
	if list, _ := os.ReadDir(elsewhere); len(list) > 0 {
		t.Errorf("%v was written elsewhere", list)
	}
}

// FuzzEntry: what is read as an entry is written as one that is read the same.
func FuzzEntry(f *testing.F) {
	f.Add([]byte(`{"schema":"flurry/queued/1","time":"2026-11-26T12:00:00Z","why":"hook","namespaces":["acme-1"],"paths":["/nix/store/00000000000000000000000000000001-a"]}`))
	f.Add([]byte(`{"schema":"flurry/queued/1","paths":[]}`))
	f.Add([]byte(`{"schema":"flurry/queued/2"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := parse(text)
		if err != nil {
			return
		}
		again, err := e.text()
		if err != nil {
			t.Skip(err) // a time that JSON has no form for
		}
		same, err := parse(again)
		if err != nil || !same.Time.Equal(e.Time) || same.Why != e.Why || !slices.Equal(same.Paths, e.Paths) || !slices.Equal(same.Namespaces, e.Namespaces) {
			t.Errorf("%+v became %+v, %v", e, same, err)
		}
	})
}

// TestHookRun: what the last hook noted is read, and whatever lies in its place neither hangs a hook nor leads it elsewhere.
func TestHookRun(t *testing.T) {
	state := t.TempDir()
	if _, err := LastHook(state); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the first: %v", err)
	}
	q := open(t, state)
	began := time.Date(2026, 11, 26, 12, 0, 0, 5, time.UTC)
	for _, want := range []HookRun{{Began: began}, {Began: began, Took: 1500 * time.Millisecond, Ended: true}, {Began: began.Add(time.Hour)}} {
		if err := q.NoteHook(want); err != nil {
			t.Fatal(err)
		}
		if got, err := LastHook(state); err != nil || got != want {
			t.Errorf("%+v, %v, and not %+v", got, err, want)
		}
	}
	if len(names(t, q)) != 0 {
		t.Error("it is taken for an entry")
	}
	file := filepath.Join(state, Dir, hookFile)
	for _, text := range []string{"", "{", `{"schema":"another"}`, `{"schema":"` + strings.Repeat("x", maxHookRun) + `"}`} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if h, err := LastHook(state); err == nil {
			t.Errorf("%.20q: %+v", text, h)
		}
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := errors.Join(os.WriteFile(outside, []byte("theirs"), 0o644), os.Remove(file), os.Symlink(outside, file)); err != nil {
		t.Fatal(err)
	}
	want := HookRun{Began: began}
	if err := q.NoteHook(want); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(outside); err != nil || string(text) != "theirs" {
		t.Errorf("a link leads it to %q, %v", text, err)
	}
	for _, name := range []string{file, file + ".tmp"} {
		inside := filepath.Join(state, "key")
		if err := errors.Join(os.WriteFile(inside, []byte("a key"), 0o600), os.RemoveAll(name), os.Symlink("../key", name)); err != nil {
			t.Fatal(err)
		}
		if err := q.NoteHook(want); err != nil {
			t.Error(err)
		}
		if text, err := os.ReadFile(inside); err != nil || string(text) != "a key" {
			t.Errorf("a link in the state directory leads it to %q, %v", text, err)
		}
		if err := errors.Join(os.RemoveAll(name), syscall.Mkfifo(name, 0o644)); err != nil {
			t.Fatal(err)
		}
		if _, err := LastHook(state); name == file && err == nil {
			t.Error("a pipe is a note")
		}
		if err := q.NoteHook(want); err != nil { // and it does not wait for a reader
			t.Error(err)
		}
		if got, err := LastHook(state); err != nil || got != want {
			t.Errorf("%+v, %v", got, err)
		}
	}
}
