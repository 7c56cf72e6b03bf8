package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/internal/setup"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
)

var errKilled = errors.New("killed")

// mortal is a bench whose setup is killed at some change. It knows what the services have read when they were started last.
type mortal struct {
	*bench
	left    int    // changes until it is killed; negative: never
	nixRead string // by nix-daemon
	ourRead string // by flurry
	listens string // the unit of the sockets that are open
	units   string // as systemd has read them
	sockets string
}

func (m *mortal) change(do func() error) error {
	if m.left == 0 {
		return errKilled
	}
	m.left--
	return do()
}

func (m *mortal) Write(name string, f setup.File) error {
	return m.change(func() error { return m.Real.Write(name, f) })
}

func (m *mortal) Remove(name string) error {
	return m.change(func() error { return m.Real.Remove(name) })
}

func (m *mortal) MakeDir(name string, mode fs.FileMode, uid, gid int) error {
	return m.change(func() error { return m.Real.MakeDir(name, mode, uid, gid) })
}

func (m *mortal) nixFiles() string {
	return m.read("/etc/nix/nix.conf") + m.read("/etc/nix/flurry.conf")
}

func (m *mortal) ourFiles() string {
	return m.read(installedBinary) + m.unitFiles()
}

func (m *mortal) unitFiles() string {
	return m.read("/etc/systemd/system/flurry.socket") + m.read("/etc/systemd/system/flurry.service")
}

// reload has systemd read the units, which it does before it enables one, too.
func (m *mortal) reload() {
	m.units, m.sockets = m.unitFiles(), m.read("/etc/systemd/system/flurry.socket")
}

func (m *mortal) Run(ctx context.Context, command ...string) (said string, err error) {
	line := strings.Join(command, " ")
	if command[0] == "id" || command[0] == "getent" || command[0] == "nix-store" || strings.Contains(line, "is-enabled") {
		return m.bench.Run(ctx, command...)
	}
	const enable = "systemctl enable --now flurry.socket flurry.service"
	if m.left == 0 && line == enable {
		m.enabled = true // killed half way: nothing is started yet
	}
	err = m.change(func() error {
		switch line {
		case "systemctl try-restart nix-daemon.service":
			m.nixRead = m.nixFiles()
		case "systemctl daemon-reload":
			m.reload()
		case enable:
			m.reload()
			m.ourRead, m.listens = m.read(installedBinary)+m.units, m.sockets
		case "systemctl try-restart flurry.socket flurry.service":
			m.ourRead, m.listens = m.read(installedBinary)+m.units, m.sockets
		case "systemctl try-restart flurry.service": // the sockets stay as they are
			m.ourRead = m.read(installedBinary) + m.units
		}
		said, err = m.bench.Run(ctx, command...)
		return err
	})
	return said, err
}

func (m *mortal) flurry(args ...string) int {
	m.t.Helper()
	env := environment{program: m.program, in: strings.NewReader(""), out: &strings.Builder{}, err: &strings.Builder{}, machine: m, getenv: func(string) string { return "" }}
	return run(m.t.Context(), args, env)
}

// newMortal is a Debian with Nix, on which flurry was perhaps set up before, as an older version at another port.
func newMortal(t *testing.T, older bool) *mortal {
	m := &mortal{bench: newBench(t), left: -1}
	if older {
		if code := m.flurry("setup", "--yes"); code != report.ExitOK {
			t.Fatal(code)
		}
		m.put(installedBinary, "an older program")
		m.put("/etc/flurry/flurry.toml", "[gateway]\nlisten = [\"127.0.0.1:7679\"]\n")
	}
	m.reload()
	m.nixRead, m.ourRead, m.listens = m.nixFiles(), m.ourFiles(), m.sockets
	return m
}

// TestSetupKilled: wherever setup is killed, the next one ends it, and then Nix and flurry have read what is there; or --undo takes it
// back.
func TestSetupKilled(t *testing.T) {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		t.Setenv("TMPDIR", "/dev/shm") // thousands of fsyncs
	}
	journal := regexp.MustCompile(`(?m)^/etc/flurry/setup/journal.json .*\n`)
	for _, older := range []bool{false, true} {
		whole := newMortal(t, older)
		if code := whole.flurry("setup", "--yes"); code != report.ExitOK {
			t.Fatal(code)
		}
		key := regexp.MustCompile(`flurry-local-1:[A-Za-z0-9+/=]*`)
		complete := key.ReplaceAllString(journal.ReplaceAllString(whole.tree(), ""), "KEY")
		for at := 1; ; at++ {
			m := newMortal(t, older)
			before := m.bench.tree()
			m.left = at
			if m.flurry("setup", "--yes") == report.ExitOK {
				if at < 12 {
					t.Errorf("setup makes %d changes only", at)
				}
				break
			}
			m.left = -1
			if code := m.flurry("setup", "--yes"); code != report.ExitOK {
				t.Fatalf("killed after change %d, and again: %d", at, code)
			}
			if got := key.ReplaceAllString(journal.ReplaceAllString(m.tree(), ""), "KEY"); got != complete {
				t.Errorf("killed after change %d, and again:\n%s\nnot\n%s", at, got, complete)
			}
			if m.nixRead != m.nixFiles() || m.ourRead != m.ourFiles() || m.listens != m.read("/etc/systemd/system/flurry.socket") {
				t.Errorf("killed after change %d, and again: nix-daemon has read\n%s\nflurry\n%s\nand listens as\n%s", at, m.nixRead, m.ourRead, m.listens)
			}
			steps := len(m.ran)
			if m.flurry("setup", "--yes") != report.ExitOK || len(m.ran) != steps {
				t.Errorf("killed after change %d, again, and again: it runs %q", at, m.ran[steps:])
			}
			if m.flurry("setup", "--undo", "--yes") != report.ExitOK || !older && m.tree() != before {
				t.Errorf("killed after change %d, again, and undone:\n%s\nnot\n%s", at, m.tree(), before)
			}
		}
	}
}

// TestSetupKeyOfRoot: a key that a crash left root's, which the service cannot read, becomes the service's.
func TestSetupKeyOfRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	m := newMortal(t, false)
	m.flurry("setup", "--yes")
	key := m.Root + "/var/lib/flurry/keys/flurry-local-1.sec"
	text := m.read("/var/lib/flurry/keys/flurry-local-1.sec")
	if err := os.Chown(key, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if code := m.flurry("setup", "--yes"); code != report.ExitOK {
		t.Fatal(code)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(key, &st); err != nil || int(st.Uid) != os.Getuid() || m.read("/var/lib/flurry/keys/flurry-local-1.sec") != text {
		t.Error("the key is not the service's, or another one")
	}
}

// TestSetupAgainAfterEdit: what somebody made of nix.conf between two setups is what --undo goes back to.
func TestSetupAgainAfterEdit(t *testing.T) {
	m := newMortal(t, false)
	m.flurry("setup", "--yes")
	const theirs = "cores = 8\naccess-tokens = github.com=secret\n"
	m.put("/etc/nix/nix.conf", theirs)
	if m.flurry("setup", "--yes"); !strings.Contains(m.read("/etc/nix/nix.conf"), theirs+includeLine) {
		t.Fatalf("%q", m.read("/etc/nix/nix.conf"))
	}
	if code := m.flurry("setup", "--undo", "--yes"); code != report.ExitOK || m.read("/etc/nix/nix.conf") != theirs {
		t.Errorf("%d %q", code, m.read("/etc/nix/nix.conf"))
	}
	if _, err := os.Lstat(m.Root + "/etc/flurry"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the journal is left: %v", err)
	}
}

// TestSetupHookInUse: the script stays while Nix runs it after every build.
func TestSetupHookInUse(t *testing.T) {
	b := newBench(t)
	m := &mortal{bench: b, left: -1}
	m.flurry("setup", "--yes")
	conf := b.read("/etc/nix/nix.conf")
	b.put("/etc/nix/nix.conf", conf+"post-build-hook = /etc/nix/flurry-hook\n")
	before := b.tree()
	if _, errs, code := b.flurry(0, "setup", "--undo", "--yes"); code != report.ExitUsage || !strings.Contains(errs, "every build fails") || b.tree() != before {
		t.Errorf("%d %s", code, errs)
	}
	b.put("/etc/nix/nix.conf", conf)
	if m.flurry("setup", "--undo", "--yes") != report.ExitOK || b.read("/etc/nix/flurry-hook") != "" {
		t.Error("the script is left")
	}
}

// TestSetupLinks: directories that are links, and a nix.conf that another program makes and that reads the file already.
func TestSetupLinks(t *testing.T) {
	m := newMortal(t, false)
	disk := t.TempDir()
	conf := filepath.Join(disk, "mine.conf")
	if err := errors.Join(os.Symlink(disk, m.Root+"/var/lib/flurry"), os.WriteFile(conf, []byte("!include /etc/nix/flurry.conf\n"), 0o644),
		os.Remove(m.Root+"/etc/nix/nix.conf"), os.Symlink(conf, m.Root+"/etc/nix/nix.conf")); err != nil {
		t.Fatal(err)
	}
	if code := m.flurry("setup", "--yes"); code != report.ExitOK || !strings.Contains(m.read("/etc/nix/flurry.conf"), "extra-substituters") {
		t.Errorf("%d", code)
	}
	if _, err := os.Stat(disk + "/keys/flurry-local-1.sec"); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(disk+"/ballast", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := m.bench.flurry(0, "setup", "--undo", "--purge", "--yes")
	if code != report.ExitFailed || !strings.Contains(out, disk+"/mine.conf: it is not flurry's") {
		t.Errorf("%d %s%s", code, out, errs)
	}
	for _, gone := range []string{disk + "/keys", disk + "/ballast", m.Root + "/var/lib/flurry"} {
		if _, err := os.Lstat(gone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("--purge leaves %s: %v", gone, err)
		}
	}
	if text, err := os.ReadFile(conf); err != nil || len(text) == 0 {
		t.Errorf("--purge removes what is not flurry's from where a link leads: %v", err)
	}
}

// TestSetupShareLater: a configuration that setup writes afterwards is read by the service.
func TestSetupShareLater(t *testing.T) {
	m := newMortal(t, false)
	m.flurry("setup", "--yes")
	m.ran = nil
	if m.flurry("setup", "--share", "all", "--yes") != report.ExitOK || strings.Join(m.ran, "\n") != "systemctl try-restart flurry.service" {
		t.Errorf("it runs %q", m.ran)
	}
}

// TestSetupOthersUser: a user of the service's name who is somebody else is neither given the key nor removed.
func TestSetupOthersUser(t *testing.T) {
	b := newBench(t)
	b.users["flurry"], b.home = true, "/home/flurry"
	before := b.tree()
	if _, errs, code := b.flurry(0, "setup", "--yes"); code != report.ExitFailed || !strings.Contains(errs, "the user flurry is somebody's, with /home/flurry as home") || b.tree() != before || len(b.ran) > 0 {
		t.Errorf("%d %s%q", code, errs, b.ran)
	}
	b.users, b.home = make(map[string]bool), ""
	b.must("setup", "--yes")
	b.home = "/home/flurry"
	if out, _, code := b.flurry(0, "setup", "--undo", "--purge", "--yes"); code != report.ExitFailed || !b.users["flurry"] || !strings.Contains(out, "the user flurry: setup did not make it: its home is /home/flurry") {
		t.Errorf("%d %s%v", code, out, b.users)
	}
	if b.tree() != before {
		t.Errorf("undone:\n%s", b.tree())
	}
}

// TestStateNames: what a node keeps in its state directory is what is removed where that is a link.
func TestStateNames(t *testing.T) {
	n := newBenchNode(t, node.ShareAll)
	if _, err := n.verbs().New(t.Context(), control.NewRequest{Name: "acme-1", Keep: time.Hour}); err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadDir(n.cfg.State)
	if err != nil || len(all) < 8 {
		t.Fatalf("%d names, %v", len(all), err)
	}
	for _, e := range all {
		if !isStates(e.Name()) {
			t.Errorf("%s is not known to be flurry's", e.Name())
		}
	}
	if isStates("letters") {
		t.Error("anything is flurry's")
	}
}
