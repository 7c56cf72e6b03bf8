package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/flurry-nix/flurry/internal/setup"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/report"
)

// bench is a machine whose files lie in a directory, and whose programs are played.
type bench struct {
	setup.Real
	t       *testing.T
	nix     string // version of Nix; empty: none
	users   map[string]bool
	home    string // of the user flurry; empty: where setup puts it
	enabled bool
	fails   string // a command that fails
	ran     []string
}

// program is a small one, in place of the test's own.
func (b *bench) program() (string, error) { return b.Root + "/program", nil }

func (b *bench) Run(_ context.Context, command ...string) (string, error) {
	line := strings.Join(command, " ")
	if b.fails != "" && strings.Contains(line, b.fails) {
		return "", errors.New(line + ": it does not work")
	}
	switch command[0] {
	case "id":
		if !b.users[command[2]] {
			return "", errors.New("no such user")
		}
		return fmt.Sprint(os.Getuid()), nil
	case "getent":
		if command[1] == "group" {
			return "nix-users:x:" + command[2] + ":", nil
		}
		if !b.users[command[2]] {
			return "", errors.New("no such user")
		}
		return fmt.Sprintf("%s:x:998:998::%s:/usr/sbin/nologin", command[2], first(b.home, "/var/lib/flurry")), nil
	case "nix-store":
		if b.nix == "" {
			return "", errors.New("not found")
		}
		return "nix-store (Nix) " + b.nix, nil
	case "useradd":
		b.users[command[len(command)-1]] = true
	case "userdel":
		delete(b.users, command[1])
	case "systemctl":
		words := strings.TrimPrefix(strings.TrimPrefix(line, "systemctl "), "--user ")
		switch {
		case strings.HasPrefix(words, "is-enabled"):
			if !b.enabled {
				return "", errors.New("disabled")
			}
			return "", nil
		case strings.HasPrefix(words, "enable"):
			b.enabled = true
		case strings.HasPrefix(words, "disable"):
			b.enabled = false
		}
	default:
		b.t.Errorf("setup runs %q", line)
	}
	b.ran = append(b.ran, line)
	return "", nil
}

// newBench is a Debian with a multi-user Nix.
func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{Real: setup.Real{Root: t.TempDir()}, t: t, nix: "2.31.2", users: make(map[string]bool)}
	for _, dir := range []string{"/etc/nix", "/etc/systemd/system", "/usr/local/bin", "/var/lib", "/run/systemd/system", "/nix/store", "/nix/var/nix/daemon-socket"} {
		if err := os.MkdirAll(b.Root+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b.put("/etc/nix/nix.conf", "# mine\ntrusted-users = root\ncores = 4") // without a newline at the end
	b.put("/program", "the program")
	return b
}

// closeNix has nix-daemon's socket in a directory that is a group's alone.
func (b *bench) closeNix() {
	dir := b.Root + nixSocketDir
	err := os.Chmod(dir, 0o770)
	if os.Getuid() == 0 {
		err = errors.Join(err, os.Chown(dir, 0, 995))
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) put(name, text string) {
	b.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(b.Root+name), 0o755), os.WriteFile(b.Root+name, []byte(text), 0o640)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) read(name string) string {
	data, err := os.ReadFile(b.Root + name)
	if err != nil {
		return ""
	}
	return string(data)
}

// tree is every file and directory with what it is, but for what stays when setup is undone.
func (b *bench) tree() string {
	b.t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(b.Root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(name, b.Root+"/var/lib/flurry") {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(&all, "%s %v %d:%d", strings.TrimPrefix(name, b.Root), info.Mode(), st.Uid, st.Gid)
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
		b.t.Fatal(err)
	}
	return all.String()
}

// flurry runs the command line on the machine as a user.
func (b *bench) flurry(uid int, args ...string) (out, errs string, code int) {
	b.t.Helper()
	var stdout, stderr bytes.Buffer
	env := environment{in: strings.NewReader(""), out: &stdout, err: &stderr, uid: uid, machine: b, program: b.program, getenv: func(name string) string {
		return map[string]string{"HOME": "/home/ann", "USER": "ann", "NIX_REMOTE": "unix://" + b.Root + "/nowhere"}[name]
	}}
	code = run(b.t.Context(), args, env)
	return stdout.String(), stderr.String(), code
}

func (b *bench) must(args ...string) string {
	b.t.Helper()
	out, errs, code := b.flurry(0, args...)
	if code != report.ExitOK {
		b.t.Fatalf("flurry %s: %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// TestSetup: it says what it does and does it, once; undone, the machine is byte for byte as it was, but for the state.
func TestSetup(t *testing.T) {
	b := newBench(t)
	before := b.tree()
	out := b.must("setup", "--print")
	if b.tree() != before || len(b.ran) > 0 {
		t.Fatal("--print changes something")
	}
	for _, want := range []string{"flurry " + version + " will do this (Nix 2.31.2, multi-user, systemd):", "\n  copy ", "\n  user     flurry (system user", "\n  unit     /etc/systemd/system/flurry.socket\n",
		"\n  key      this machine's own key, /var/lib/flurry/keys/flurry-local-1.sec\n", "\n  write    /etc/nix/flurry.conf\n             extra-substituters = http://127.0.0.1:7669\n",
		"\n  edit     /etc/nix/nix.conf: one line added at the end, \"!include flurry.conf\"\n", "\n  restart  nix-daemon (running builds finish first)\n", "\n  start    flurry, now"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if _, errs, code := b.flurry(0, "setup"); code != report.ExitUsage || !strings.Contains(errs, "Nobody is here to answer") || b.tree() != before {
		t.Errorf("without an answer: %d %s", code, errs)
	}
	if out := b.must("setup", "--yes"); !strings.Contains(out, "\ndone. Everything above is undone by: sudo flurry setup --undo\n") {
		t.Error(out)
	}
	key, err := readSecret(b.Root + "/var/lib/flurry/keys/flurry-local-1.sec")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := b.read("/etc/nix/flurry.conf"), "extra-substituters = http://127.0.0.1:7669\nextra-trusted-public-keys = "+key.Public().String()+"\nnarinfo-cache-negative-ttl = 60\n"; got != want {
		t.Errorf("%s, not\n%s", got, want)
	}
	if got := b.read("/etc/nix/nix.conf"); got != "# mine\ntrusted-users = root\ncores = 4\n!include flurry.conf\n" {
		t.Errorf("%q", got)
	}
	if trusted := nixTrustsAll(b); !strings.Contains(trusted, key.Public().String()) {
		t.Errorf("Nix reads %s", trusted)
	}
	if got, want := strings.Join(b.ran, "\n"), "useradd --system --user-group --no-create-home --home-dir /var/lib/flurry --shell /usr/sbin/nologin flurry\nsystemctl daemon-reload\n"+
		"systemctl enable --now flurry.socket flurry.service\nsystemctl try-restart nix-daemon.service"; got != want {
		t.Errorf("it ran\n%s\nnot\n%s", got, want)
	}
	whole := b.tree()
	if out := b.must("setup", "--yes"); !strings.HasPrefix(out, "nothing to do: flurry is installed, and this machine's Nix is connected\n") || b.tree() != whole {
		t.Errorf("once more: %s", out)
	}
	b.ran = nil
	if out := b.must("setup", "--undo", "--yes"); b.tree() != before || !strings.Contains(out, "done. This machine is as it was before flurry setup.\n  kept: /var/lib/flurry, with keys") {
		t.Errorf("%s\n%s\nnot\n%s", out, b.tree(), before)
	}
	if got, want := strings.Join(b.ran, "\n"), "systemctl try-restart nix-daemon.service\nsystemctl disable --now flurry.service flurry.socket\nsystemctl daemon-reload"; got != want {
		t.Errorf("undone by\n%s\nnot\n%s", got, want)
	}
	if out := b.must("setup", "--undo", "--yes"); !strings.HasPrefix(out, "nothing to do") {
		t.Error(out)
	}
	again, err := readSecret(b.Root + "/var/lib/flurry/keys/flurry-local-1.sec")
	if err != nil || again.Public() != key.Public() {
		t.Errorf("the key is gone: %v", err)
	}
	said := b.must("setup", "--undo", "--purge", "--yes")
	for _, what := range []string{"remove /var/lib/flurry, with all keys and content in it\n", "remove the user flurry\n"} {
		if !strings.Contains(said, what) {
			t.Errorf("it does not say %q:\n%s", what, said)
		}
	}
	if _, err := os.Lstat(b.Root + "/var/lib/flurry"); !errors.Is(err, fs.ErrNotExist) || len(b.users) > 0 {
		t.Errorf("state and user are left: %v, %v", err, b.users)
	}
}

// nixTrustsAll is what Nix on the machine reads: substituters and keys.
func nixTrustsAll(b *bench) string {
	c := readNixCaches(b.Root + "/etc/nix")
	return strings.Join(append(c.urls, c.keys...), " ")
}

// TestSetupKinds: what is asked for, and what is found, decide what is done.
func TestSetupKinds(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(b *bench)
		args    []string
		has     []string // in the plan
		lacks   []string
		files   map[string]string // part of what they say
	}{
		{"no Nix", func(b *bench) { b.nix = ""; os.RemoveAll(b.Root + "/nix") }, nil, []string{"(no Nix, systemd)", "There is no Nix here. It is connected by running this again"}, []string{"nix.conf", "nix-daemon"}, nil},
		{"without Nix", nil, []string{"--no-nix"}, []string{"\n  unit "}, []string{"nix.conf", "nix-daemon"}, nil},
		{"a seed", nil, []string{"--seed"}, []string{"\n  write    /etc/flurry/flurry.toml\n", "next: flurry seed KEY"}, []string{"nix.conf", "nix-daemon"}, map[string]string{"/etc/flurry/flurry.toml": "[share]\nmode   = \"all\"\nupload = \"0\""}},
		{"with all", nil, []string{"--share", "all"}, nil, nil, map[string]string{"/etc/flurry/flurry.toml": "mode = \"all\""}},
		{"with the LAN", nil, []string{"--share", "lan"}, nil, []string{"flurry.toml"}, nil},
		{"another port", func(b *bench) { b.put("/etc/flurry/flurry.toml", "[gateway]\nlisten = [\"127.0.0.1:7679\"]\n") }, nil, []string{"extra-substituters = http://127.0.0.1:7679"}, []string{"7669"},
			map[string]string{"/etc/systemd/system/flurry.socket": "\nListenStream=127.0.0.1:7679\nBindIPv6Only"}},
		{"Determinate", func(b *bench) {
			b.put("/etc/nix/nix.conf", "!include nix.custom.conf\n")
			b.put("/etc/nix/nix.custom.conf", "cores = 2\n")
		}, nil, []string{"edit     /etc/nix/nix.custom.conf:"}, []string{"/etc/nix/nix.conf"}, map[string]string{"/etc/nix/nix.custom.conf": "cores = 2\n!include flurry.conf\n"}},
		{"no nix.conf", func(b *bench) { os.RemoveAll(b.Root + "/etc/nix") }, nil, []string{"edit     /etc/nix/nix.conf"}, nil, map[string]string{"/etc/nix/nix.conf": "!include flurry.conf\n"}},
		{"no systemd", func(b *bench) { os.RemoveAll(b.Root + "/run") }, nil, []string{"no systemd", "start it yourself, at each boot: sudo install -d -o flurry /run/flurry && sudo -u flurry /usr/local/bin/flurry daemon --config /etc/flurry/flurry.toml --state /var/lib/flurry --socket /run/flurry/control.sock\n", "start nix-daemon anew afterwards"}, []string{"\n  unit ", "\n  restart"}, map[string]string{"/etc/nix/flurry.conf": "extra-substituters"}},
		{"Debian's Nix", (*bench).closeNix, nil, []string{"\n  unit     /etc/systemd/system/flurry.service\n             also in the group nix-users, which alone may ask nix-daemon\n"}, nil,
			map[string]string{"/etc/systemd/system/flurry.service": "\nUser=flurry\nGroup=flurry\nSupplementaryGroups=nix-users\n"}},
		{"Debian's Nix, no systemd", func(b *bench) { b.closeNix(); os.RemoveAll(b.Root + "/run") }, nil, []string{"at each boot: sudo usermod -aG nix-users flurry && sudo install"}, nil, nil},
		{"an old binary", func(b *bench) { b.put("/usr/local/bin/flurry", "old") }, nil, []string{"\n  copy "}, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			if test.prepare != nil {
				test.prepare(b)
			}
			before := b.tree()
			out := b.must(append([]string{"setup", "--yes"}, test.args...)...)
			for _, want := range test.has {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			for _, no := range test.lacks {
				if strings.Contains(out, no) {
					t.Errorf("%q in\n%s", no, out)
				}
			}
			for file, want := range test.files {
				if got := b.read(file); !strings.Contains(got, want) {
					t.Errorf("%s: %q, and not %q", file, got, want)
				}
			}
			if out := b.must(append([]string{"setup", "--yes"}, test.args...)...); !strings.HasPrefix(out, "nothing to do: flurry is installed") {
				t.Errorf("once more: %s", out)
			}
			b.must("setup", "--undo", "--yes")
			if got := b.tree(); got != before {
				t.Errorf("undone:\n%s\nnot\n%s", got, before)
			}
		})
	}
}

// TestSetupUpgrade: a newer program takes the old one's place, and the service is started anew.
func TestSetupUpgrade(t *testing.T) {
	b := newBench(t)
	before := b.tree()
	b.must("setup", "--yes")
	b.put("/usr/local/bin/flurry", "the version of last year")
	b.ran = nil
	if out := b.must("setup", "--yes"); !strings.Contains(out, "\n  copy ") || strings.Contains(out, "nix.conf") || strings.Join(b.ran, "\n") != "systemctl try-restart flurry.service" {
		t.Errorf("%s%q", out, b.ran)
	}
	b.must("setup", "--undo", "--yes")
	if got := b.tree(); got != before {
		t.Errorf("undone:\n%s", got)
	}
}

// TestSetupUser: a user's service, in the user's places, without root.
func TestSetupUser(t *testing.T) {
	b := newBench(t)
	if err := os.MkdirAll(b.Root+"/home/ann", 0o755); err != nil {
		t.Fatal(err)
	}
	before := b.tree()
	out, errs, code := b.flurry(1000, "setup", "--user", "--yes")
	if code != 0 || strings.Contains(out, "nix-daemon") || strings.Contains(out, "useradd") || !strings.Contains(out, "undone by: flurry setup --user --undo") {
		t.Fatalf("%d\n%s%s", code, out, errs)
	}
	for file, want := range map[string]string{"/home/ann/.config/systemd/user/flurry.service": "ExecStart=/home/ann/.local/bin/flurry daemon", "/home/ann/.config/nix/nix.conf": "!include flurry.conf\n",
		"/home/ann/.config/nix/flurry.conf": "extra-substituters = http://127.0.0.1:7669"} {
		if !strings.Contains(b.read(file), want) {
			t.Errorf("%s: %q", file, b.read(file))
		}
	}
	if b.ran[len(b.ran)-1] != "systemctl --user enable --now flurry.socket flurry.service" {
		t.Errorf("%q", b.ran)
	}
	if _, errs, _ := b.flurry(1000, "setup", "--user", "--undo"); !strings.Contains(errs, "try: flurry setup --user --undo --yes") {
		t.Errorf("without an answer: %s", errs)
	}
	if out, errs, code := b.flurry(1000, "setup", "--user", "--undo", "--purge", "--yes"); code != 0 || b.tree() != before {
		t.Errorf("%d %s%s\n%s", code, out, errs, b.tree())
	}
}

// TestSetupRefuses: what cannot be meant, and what would be lost.
func TestSetupRefuses(t *testing.T) {
	b := newBench(t)
	b.put("/etc/flurry/flurry.toml", "[share]\nmode = \"none\"\n")
	before := b.tree()
	for _, test := range []struct {
		uid  int
		args string
		says string
		code int
	}{
		{1000, "setup", "only root can install", report.ExitUsage},
		{0, "setup --user", "--user is for a user", report.ExitUsage},
		{0, "setup --purge", "--purge goes with --undo", report.ExitUsage},
		{0, "setup --undo --seed", "--undo takes back all", report.ExitUsage},
		{1000, "setup --user --seed", "a service of the system's", report.ExitUsage},
		{0, "setup --yes --share all", `says [share] mode = "none", and not "all"`, report.ExitUsage},
		{0, "setup --share some", "none, lan or all", report.ExitUsage},
	} {
		out, errs, code := b.flurry(test.uid, strings.Fields(test.args)...)
		if code != test.code || !strings.Contains(errs, test.says) {
			t.Errorf("%s: %d %s%s", test.args, code, out, errs)
		}
	}
	b.put("/etc/flurry/flurry.toml", "[share\n")
	if _, errs, code := b.flurry(0, "setup", "--yes"); code != report.ExitUsage || !strings.Contains(errs, "flurry.toml:") {
		t.Errorf("a bad configuration: %d %s", code, errs)
	}
	b.put("/etc/flurry/flurry.toml", "[share]\nmode = \"none\"\n")
	if err := errors.Join(os.Remove(b.Root+"/etc/nix/nix.conf"), os.Symlink("/nix/store/x/nix.conf", b.Root+"/etc/nix/nix.conf")); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := b.flurry(0, "setup", "--yes"); code != report.ExitFailed || !strings.Contains(errs, "/etc/nix/nix.conf cannot be changed") || !strings.Contains(errs, "try: where it is made, add the line: !include") {
		t.Errorf("nix.conf is a link: %d %s", code, errs)
	}
	b.put("/var/lib/flurry/keys/flurry-local-1.sec", "readable by a group")
	if _, errs, code := b.flurry(0, "setup", "--yes"); code == report.ExitOK || !strings.Contains(errs, "readable by others") || b.read("/etc/nix/flurry.conf") != "" {
		t.Errorf("a key that cannot be used: %d %s", code, errs)
	}
	if err := errors.Join(os.Remove(b.Root+"/etc/nix/nix.conf"), os.RemoveAll(b.Root+"/var/lib/flurry")); err != nil {
		t.Fatal(err)
	}
	b.put("/etc/nix/nix.conf", "# mine\ntrusted-users = root\ncores = 4")
	if got := b.tree(); got != before {
		t.Errorf("something was changed:\n%s\nnot\n%s", got, before)
	}
}

// TestSetupStops: a step that fails stops it; mended, it goes on, and it can be undone at once as well.
func TestSetupStops(t *testing.T) {
	for _, fails := range []string{"useradd", "daemon-reload", "try-restart nix-daemon", "enable --now"} {
		b := newBench(t)
		before := b.tree()
		b.fails = fails
		_, errs, code := b.flurry(0, "setup", "--yes")
		if code != report.ExitFailed || !strings.Contains(errs, "setup stopped: ") || !strings.Contains(errs, "it goes on where it stopped") {
			t.Errorf("%s: %d %s", fails, code, errs)
		}
		b.fails = ""
		b.must("setup", "--yes")
		if !strings.Contains(b.read("/etc/nix/nix.conf"), includeLine) || !b.enabled {
			t.Errorf("%s: it did not go on", fails)
		}
		b.must("setup", "--undo", "--yes")
		if got := b.tree(); got != before {
			t.Errorf("%s: undone:\n%s", fails, got)
		}
	}
}

// TestSetupChangedSince: what was changed by hand is told, with an exit code.
func TestSetupChangedSince(t *testing.T) {
	b := newBench(t)
	b.must("setup", "--yes")
	b.put("/etc/nix/nix.conf", b.read("/etc/nix/nix.conf")+"keep-outputs = true\n")
	out, _, code := b.flurry(0, "setup", "--undo", "--yes")
	if code != report.ExitFailed || !strings.Contains(out, "but /etc/nix/nix.conf: it was changed since: only the line was taken out") {
		t.Errorf("%d %s", code, out)
	}
	if got := b.read("/etc/nix/nix.conf"); got != "# mine\ntrusted-users = root\ncores = 4\nkeep-outputs = true\n" {
		t.Errorf("%q", got)
	}
}

// TestSetupJSON: a program is told the plan and the end in one object.
func TestSetupJSON(t *testing.T) {
	b := newBench(t)
	out := b.must("setup", "--print", "--json")
	if !strings.HasPrefix(out, `{"schema":"flurry/setup/1","head":"flurry `) || !strings.Contains(out, `"done":false`) || strings.Count(out, "\n") != 1 {
		t.Error(out)
	}
	if out := b.must("setup", "--yes", "--json"); !strings.Contains(out, `"done":true`) || strings.Count(out, "\n") != 1 {
		t.Error(out)
	}
	if out := b.must("setup", "--undo", "--yes", "--json"); !strings.HasPrefix(out, `{"schema":"flurry/undone/1","undone":[`) || strings.Count(out, "\n") != 1 {
		t.Error(out)
	}
}

// TestSetupNixConf: what a service writes into a file for nix.conf is this machine's key, made when it is missing.
func TestSetupNixConf(t *testing.T) {
	b := newBench(t)
	out := b.must("setup", "--nix-conf")
	key, err := readSecret(b.Root + "/var/lib/flurry/keys/flurry-local-1.sec")
	if err != nil || !strings.Contains(out, "extra-trusted-public-keys = "+key.Public().String()+"\n") || b.must("setup", "--nix-conf") != out {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := nix.ParsePublicKey(key.Public().String()); err != nil {
		t.Error(err)
	}
}

// TestNixRefuses: whose user may not ask nix-daemon is told how they may, and not to start it.
func TestNixRefuses(t *testing.T) {
	err := nixProblem(fmt.Errorf("open the Nix store: %w", &daemon.DownError{Socket: nixSocketDir + "/socket", Err: fs.ErrPermission}))
	var p *report.Problem
	if !errors.As(err, &p) || p.ID != "nix-daemon-down" || !strings.HasPrefix(p.Try[0], "sudo flurry setup ") || !strings.Contains(p.Try[1], nixSocketDir) {
		t.Errorf("%v %+v", err, p)
	}
}
