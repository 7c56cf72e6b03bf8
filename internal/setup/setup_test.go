package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

var errKilled = errors.New("killed")

// kill is when a setup is killed.
type kill int

const (
	before kill = iota // before a change
	within             // when what is new has not got its name yet
	after              // right after it
)

// mortal is a machine whose setup is killed at some change. Commands switch a line in a file on or
// off, so that it can be seen whether they were taken back.
type mortal struct {
	Real
	t    *testing.T
	left int // changes until it is killed; negative: never
	kill kill
	ran  []string
}

// change is one change.
func (m *mortal) change(do func() error) error {
	if m.left == 0 {
		return errKilled
	}
	m.left--
	if m.left == 0 && m.kill != after {
		return errKilled
	}
	if err := do(); err != nil {
		return err
	}
	if m.left == 0 {
		return errKilled
	}
	return nil
}

func (m *mortal) Write(name string, f File) error {
	if m.left == 1 && m.kill == within {
		if err := os.WriteFile(m.At(Unfinished(name)), f.Data[:len(f.Data)/2], 0o600); err != nil {
			return err
		}
	}
	return m.change(func() error { return m.Real.Write(name, f) })
}
func (m *mortal) Remove(name string) error {
	return m.change(func() error { return m.Real.Remove(name) })
}
func (m *mortal) RemoveDir(name string) error {
	return m.change(func() error { return m.Real.RemoveDir(name) })
}
func (m *mortal) MakeDir(name string, mode fs.FileMode, uid, gid int) error {
	if m.left == 1 && m.kill == within {
		if err := os.Mkdir(m.At(Unfinished(name)), 0o700); err != nil {
			return err
		}
	}
	return m.change(func() error { return m.Real.MakeDir(name, mode, uid, gid) })
}

func (m *mortal) Run(_ context.Context, command ...string) (string, error) {
	return "", m.change(func() error {
		m.ran = append(m.ran, join(command))
		switch file := m.At("/enabled"); command[0] {
		case "enable":
			return os.WriteFile(file, []byte(command[1]), 0o644)
		case "disable":
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		case "fail":
			return errors.New("it does not work")
		}
		return nil
	})
}

// newMachine is a root with a nix.conf in it, and what is in it.
func newMachine(t *testing.T, conf string) *mortal {
	t.Helper()
	m := &mortal{Real: Real{t.TempDir()}, t: t, left: -1}
	if err := errors.Join(os.MkdirAll(m.At("/etc/nix"), 0o755), os.WriteFile(m.At("/etc/nix/nix.conf"), []byte(conf), 0o640), os.MkdirAll(m.At("/usr/bin"), 0o755)); err != nil {
		t.Fatal(err)
	}
	return m
}

// snapshot is every file and directory, with what it is.
func (m *mortal) snapshot() string {
	m.t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(m.Root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(&all, "%s %v %d:%d", strings.TrimPrefix(name, m.Root), info.Mode(), st.Uid, st.Gid)
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			fmt.Fprintf(&all, " %q", data)
		}
		all.WriteByte('\n')
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return all.String()
}

const dir = "/etc/flurry/setup"

// steps are a bit of everything, for a machine with that nix.conf.
func (m *mortal) steps(conf, version string) []Step {
	uid, gid := m.Owner()
	file := func(text string, mode fs.FileMode) File {
		return File{Data: []byte(text), Mode: mode, UID: uid, GID: gid}
	}
	return []Step{
		{Verb: "copy", Path: "/usr/bin/flurry", File: file("program "+version, 0o755)},
		{Dir: "/var", File: file("", 0o755)},
		{Dir: "/var/state", File: file("", 0o750)},
		{Undo: []string{"reload"}},
		{Path: "/etc/flurry.conf", File: file("substituters", 0o644)},
		{Path: "/etc/nix/nix.conf", File: file(conf+"!include flurry.conf\n", 0o640), Line: "!include flurry.conf"},
		{Run: []string{"enable", version}, Undo: []string{"disable"}},
	}
}

// applied is one setup, from its beginning to its end.
func applied(ctx context.Context, m Machine, steps []Step, tell func(Step)) error {
	w, err := Begin(m, dir)
	if err != nil {
		return err
	}
	return errors.Join(w.Apply(ctx, steps, tell), w.End())
}

// undone takes it back.
func undone(ctx context.Context, m Machine, tell func(string)) ([]Left, error) {
	w, err := Resume(m, dir)
	if err != nil {
		return nil, err
	}
	left, err := w.Undo(ctx, tell)
	return left, errors.Join(err, w.End())
}

func nobody(Step)   {}
func silent(string) {}

const conf = "cores = 4\n"

// TestKilledAnywhere: wherever setup is killed, before a change or after it, Undo leaves the machine byte for byte as it was, and
// the next setup leaves it complete. And wherever Undo is killed, another one ends it.
func TestKilledAnywhere(t *testing.T) {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		t.Setenv("TMPDIR", "/dev/shm") // thousands of fsyncs
	}
	pristine := newMachine(t, conf)
	whole := newMachine(t, conf)
	if err := applied(t.Context(), whole, whole.steps(conf, "2"), nobody); err != nil {
		t.Fatal(err)
	}
	made := regexp.MustCompile(`,\\n  \\"made\\": \[[^]]*\]`) // which of the journal's own directories were made by which run
	complete, was := made.ReplaceAllString(whole.snapshot(), ""), pristine.snapshot()
	most := 0
	for _, when := range []kill{before, within, after} {
		for at := 1; ; at++ {
			m := newMachine(t, conf)
			m.left, m.kill = at, when
			err := applied(t.Context(), m, m.steps(conf, "2"), nobody)
			if err == nil {
				most = max(most, at)
				break
			}
			if !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			m.left = -1
			left, err := undone(t.Context(), m, silent)
			if err != nil && !errors.Is(err, ErrNothing) || len(left) > 0 {
				t.Fatalf("killed at change %d: undo: %v, %v", at, left, err)
			}
			os.Remove(m.At(dir)) // empty directories, where the journal was not begun
			os.Remove(m.At("/etc/flurry"))
			if got := m.snapshot(); got != was {
				t.Errorf("killed at change %d (when: %v), undone:\n%s\nnot\n%s", at, when, got, was)
			}
			m = newMachine(t, conf)
			m.left, m.kill = at, when
			_ = applied(t.Context(), m, m.steps(conf, "2"), nobody)
			m.left = -1
			if err := applied(t.Context(), m, m.steps(conf, "2"), nobody); err != nil {
				t.Fatal(err)
			}
			if got := made.ReplaceAllString(m.snapshot(), ""); got != complete {
				t.Errorf("killed at change %d (when: %v), and again:\n%s\nnot\n%s", at, when, got, complete)
			}
			if left, err := undone(t.Context(), m, silent); err != nil || len(left) > 0 || m.snapshot() != was {
				t.Errorf("killed at change %d (when: %v), again, and undone: %v, %v\n%s", at, when, left, err, m.snapshot())
			}
		}
		for at := 1; ; at++ {
			m := newMachine(t, conf)
			if err := applied(t.Context(), m, m.steps(conf, "1"), nobody); err != nil {
				t.Fatal(err)
			}
			if err := applied(t.Context(), m, m.steps(conf, "2"), nobody); err != nil { // an upgrade
				t.Fatal(err)
			}
			m.left, m.kill = at, when
			_, err := undone(t.Context(), m, silent)
			if err == nil {
				break
			}
			m.left = -1
			if left, err := undone(t.Context(), m, silent); err != nil && !errors.Is(err, ErrNothing) || len(left) > 0 {
				t.Fatalf("undo killed at change %d (when: %v): %v, %v", at, when, left, err)
			}
			os.Remove(m.At(dir)) // which may be left empty, when killed after the last entry
			os.Remove(m.At("/etc/flurry"))
			if got := m.snapshot(); got != was {
				t.Errorf("undo killed at change %d (when: %v), and again:\n%s\nnot\n%s", at, when, got, was)
			}
		}
	}
	if most < 15 {
		t.Errorf("setup makes %d changes only", most)
	}
}

// TestOrder: what is done last is taken back first, and a command without a way there is only taken back.
func TestOrder(t *testing.T) {
	m := newMachine(t, conf)
	var told []string
	if err := applied(t.Context(), m, m.steps(conf, "1"), func(s Step) { told = append(told, s.Verb+s.Path+s.Dir+join(s.Run)) }); err != nil {
		t.Fatal(err)
	}
	if len(told) != 7 || told[0] != "copy/usr/bin/flurry" || join(m.ran) != "enable 1" {
		t.Errorf("%q, %q", told, m.ran)
	}
	if !(Step{Dir: "/var"}).Done(m) || (Step{Run: []string{"enable"}}).Done(m) || !m.steps(conf, "1")[0].Done(m) || m.steps(conf, "2")[0].Done(m) {
		t.Error("what is done is not known")
	}
	m.ran, told = nil, nil
	if _, err := undone(t.Context(), m, func(what string) { told = append(told, what) }); err != nil {
		t.Fatal(err)
	}
	want := "run disable restore /etc/nix/nix.conf remove /etc/flurry.conf run reload remove /var/state, if it is empty remove /var, if it is empty remove /usr/bin/flurry"
	if join(told) != want || join(m.ran) != "disable reload" {
		t.Errorf("%q, %q", told, m.ran)
	}
	if _, err := undone(t.Context(), m, silent); !errors.Is(err, ErrNothing) {
		t.Errorf("once more: %v", err)
	}
}

// TestChangedSince: what somebody else has changed is theirs.
func TestChangedSince(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(m *mortal) error
		left   string // what is told of
		check  func(m *mortal) bool
	}{
		{"a setting", func(m *mortal) error {
			return os.WriteFile(m.At("/etc/nix/nix.conf"), []byte("cores = 8\n!include flurry.conf\nkeep = 1"), 0o640)
		}, "only the line was taken out", func(m *mortal) bool { return m.reads("/etc/nix/nix.conf") == "cores = 8\nkeep = 1" }},
		{"the line", func(m *mortal) error { return os.WriteFile(m.At("/etc/nix/nix.conf"), []byte("cores = 8\n"), 0o640) }, "", func(m *mortal) bool {
			return m.reads("/etc/nix/nix.conf") == "cores = 8\n"
		}},
		{"our file", func(m *mortal) error { return os.WriteFile(m.At("/etc/flurry.conf"), []byte("mine"), 0o644) }, "left as it is", func(m *mortal) bool { return m.reads("/etc/flurry.conf") == "mine" }},
		{"our file, gone", func(m *mortal) error { return os.Remove(m.At("/etc/flurry.conf")) }, "", func(m *mortal) bool { return m.reads("/etc/flurry.conf") == "" }},
		{"nix.conf, gone", func(m *mortal) error { return os.Remove(m.At("/etc/nix/nix.conf")) }, "is not made again", func(m *mortal) bool { return m.reads("/etc/nix/nix.conf") == "" }},
		{"a link", func(m *mortal) error {
			return errors.Join(os.Remove(m.At("/etc/nix/nix.conf")), os.Symlink("/nix/store/x", m.At("/etc/nix/nix.conf")))
		}, "no file any more", func(m *mortal) bool {
			to, err := os.Readlink(m.At("/etc/nix/nix.conf"))
			return err == nil && to == "/nix/store/x"
		}},
		{"something in the directory", func(m *mortal) error { return os.WriteFile(m.At("/var/state/theirs"), nil, 0o644) }, "", func(m *mortal) bool {
			_, err := os.Stat(m.At("/var/state/theirs"))
			return err == nil
		}},
	} {
		m := newMachine(t, conf)
		if err := applied(t.Context(), m, m.steps(conf, "1"), nobody); err != nil {
			t.Fatal(err)
		}
		if err := test.change(m); err != nil {
			t.Fatal(err)
		}
		left, err := undone(t.Context(), m, silent)
		if err != nil || !test.check(m) {
			t.Errorf("%s: %v\n%s", test.name, err, m.snapshot())
		}
		if got := fmt.Sprint(left); test.left == "" && len(left) > 0 || !strings.Contains(got, test.left) {
			t.Errorf("%s: %v is told, and not %q", test.name, left, test.left)
		}
		if m.reads("/usr/bin/flurry") != "" || m.reads(dir+"/journal.json") != "" {
			t.Errorf("%s: the rest is left", test.name)
		}
	}
}

func (m *mortal) reads(name string) string {
	data, err := os.ReadFile(m.At(name))
	if err != nil {
		return ""
	}
	return string(data)
}

// TestRefuses: what cannot be taken back is not begun.
func TestRefuses(t *testing.T) {
	m := newMachine(t, conf)
	if err := errors.Join(os.Remove(m.At("/etc/nix/nix.conf")), os.Symlink("elsewhere", m.At("/etc/nix/nix.conf"))); err != nil {
		t.Fatal(err)
	}
	if err := applied(t.Context(), m, m.steps(conf, "1"), nobody); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a link: %v", err)
	}
	for text, want := range map[string]string{"{": "unexpected end", `{"schema":"x"}`: "another flurry", strings.Repeat("x", maxJournal+1): "more than a journal"} {
		m := newMachine(t, conf)
		if err := errors.Join(os.MkdirAll(m.At(dir), 0o700), os.WriteFile(m.At(dir+"/journal.json"), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		before := m.snapshot()
		_, undoErr := undone(t.Context(), m, silent)
		if err := applied(t.Context(), m, m.steps(conf, "1"), nobody); err == nil || undoErr == nil || !strings.Contains(err.Error(), want) || m.snapshot() != before {
			t.Errorf("%.20q: %v, %v", text, err, undoErr)
		}
	}
	failing := newMachine(t, conf)
	if err := applied(t.Context(), failing, []Step{{Run: []string{"fail"}, Undo: []string{"fail", "too"}}}, nobody); err == nil {
		t.Error("a command that fails is no error")
	}
	if left, err := undone(t.Context(), failing, silent); err != nil || len(left) != 1 || left[0].Why != "it does not work" {
		t.Errorf("%v, %v", left, err)
	}
}

// TestReal: a real command, and one that fails says what it said.
func TestReal(t *testing.T) {
	m := Real{"/"}
	if out, err := m.Run(t.Context(), "echo", "a", "b"); out != "a b" || err != nil {
		t.Error(out, err)
	}
	if _, err := m.Run(t.Context(), "sh", "-c", "echo why >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "why") {
		t.Error(err)
	}
}

// TestOneAtATime: who comes while another is at work is told so, and changes nothing; and an undo that takes the journal's directory
// away between the look at it and the lock does no harm.
func TestOneAtATime(t *testing.T) {
	m := newMachine(t, conf)
	pristine := m.snapshot()
	idle, err := Begin(m, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := idle.End(); err != nil || m.snapshot() != pristine {
		t.Errorf("who does nothing leaves %v\n%s", err, m.snapshot())
	}
	first, err := Begin(m, dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Begin(m, dir); !errors.Is(err, ErrBusy) {
		t.Errorf("two setups at once: %v", err)
	}
	if err := first.Apply(t.Context(), m.steps(conf, "1"), nobody); err != nil {
		t.Fatal(err)
	}
	before := m.snapshot()
	if _, err := Resume(m, dir); !errors.Is(err, ErrBusy) || m.snapshot() != before {
		t.Errorf("an undo beside a setup: %v", err)
	}
	if err := first.End(); err != nil {
		t.Fatal(err)
	}
	undoing, err := Resume(m, dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := undoing.Undo(t.Context(), silent); err != nil {
		t.Fatal(err)
	}
	if _, err := Begin(m, dir); !errors.Is(err, ErrBusy) {
		t.Errorf("a setup beside an undo: %v", err)
	}
	late := &lateLocker{Machine: m, before: func() error { return undoing.End() }}
	w, err := Begin(late, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Apply(t.Context(), m.steps(conf, "2"), nobody), w.End()); err != nil || m.reads("/usr/bin/flurry") != "program 2" {
		t.Errorf("after an undo that ended meanwhile: %v\n%s", err, m.snapshot())
	}
	if _, err := undone(t.Context(), m, silent); err != nil {
		t.Error(err)
	}
}

// lateLocker is a machine on which something happens before the first lock.
type lateLocker struct {
	Machine
	before func() error
}

func (l *lateLocker) Lock(dir string) (func() error, error) {
	if do := l.before; do != nil {
		l.before = nil
		if err := do(); err != nil {
			return nil, err
		}
	}
	return l.Machine.Lock(dir)
}

// TestModeChangedSince: who may read a file is left to whoever said so last.
func TestModeChangedSince(t *testing.T) {
	m := newMachine(t, conf)
	if err := applied(t.Context(), m, m.steps(conf, "1"), nobody); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(m.At("/etc/nix/nix.conf"), 0o600); err != nil {
		t.Fatal(err)
	}
	left, err := undone(t.Context(), m, silent)
	info, statErr := os.Stat(m.At("/etc/nix/nix.conf"))
	if err != nil || statErr != nil || info.Mode().Perm() != 0o600 || m.reads("/etc/nix/nix.conf") != conf || !strings.Contains(fmt.Sprint(left), "mode or owner was changed since") {
		t.Errorf("%v, %v, %v, %v %q", err, statErr, left, info.Mode(), m.reads("/etc/nix/nix.conf"))
	}
}

// TestCopyDamaged: an undo whose copy of a file is gone or damaged takes back all else, and keeps what is left of the copy.
func TestCopyDamaged(t *testing.T) {
	for _, gone := range []bool{false, true} {
		m := newMachine(t, conf)
		if err := errors.Join(os.WriteFile(m.At("/usr/bin/flurry"), []byte("theirs"), 0o755), applied(t.Context(), m, m.steps(conf, "1"), nobody)); err != nil {
			t.Fatal(err)
		}
		copies, err := filepath.Glob(m.At(dir + "/before-*"))
		if err != nil || len(copies) != 2 {
			t.Fatal(copies, err)
		}
		for _, name := range copies {
			err := os.WriteFile(name, []byte("torn"), 0o600)
			if gone {
				err = os.Remove(name)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		left, err := undone(t.Context(), m, silent)
		if err != nil || len(left) != 2 || strings.Count(fmt.Sprint(left), "it is not put back") != 2 {
			t.Errorf("%v, %v", left, err)
		}
		if m.reads("/etc/nix/nix.conf") != conf || m.reads("/usr/bin/flurry") != "program 1" || m.reads("/etc/flurry.conf") != "" {
			t.Errorf("gone: %v\n%s", gone, m.snapshot())
		}
		if still, err := filepath.Glob(m.At(dir + "/*")); err != nil || len(still) != len(copies) && !gone || len(still) > 0 && gone {
			t.Errorf("gone: %v: of the copies there are %q, %v", gone, still, err)
		}
	}
}

// TestLook: whose a file is is known from the journal, which is only looked at.
func TestLook(t *testing.T) {
	m := newMachine(t, conf)
	whose := func(name string, want Whose) {
		t.Helper()
		before := m.snapshot()
		past, err := Look(m, dir)
		if err != nil || past.Whose(name) != want || m.snapshot() != before {
			t.Errorf("%s: %v, %v, and not %v", name, past.Whose(name), err, want)
		}
	}
	if got := (Past{}).Whose("/etc/nix/nix.conf"); got != Nobodys {
		t.Errorf("without a journal: %v", got)
	}
	whose("/etc/nix/nix.conf", Before)
	whose("/etc/flurry.conf", Nobodys)
	if err := applied(t.Context(), m, m.steps(conf, "1"), nobody); err != nil {
		t.Fatal(err)
	}
	whose("/etc/nix/nix.conf", Ours)
	whose("/etc/flurry.conf", Ours)
	whose("/usr/bin/flurry", Ours)
	if err := errors.Join(os.WriteFile(m.At("/etc/flurry.conf"), []byte("theirs"), 0o644), os.WriteFile(m.At("/etc/nix/nix.conf"), []byte(conf), 0o644)); err != nil {
		t.Fatal(err)
	}
	whose("/etc/flurry.conf", Changed)
	whose("/etc/nix/nix.conf", Before)
}
