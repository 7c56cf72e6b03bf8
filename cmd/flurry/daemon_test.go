package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
)

// configured is what a daemon would run with, started by uid with flags.
func configured(t *testing.T, sh *shell, flags ...string) (config, error) {
	t.Helper()
	var cfg config
	var err error
	root := sh.command()
	daemon, _, e := root.Find([]string{"daemon"})
	if e != nil {
		t.Fatal(e)
	}
	if e := daemon.ParseFlags(flags); e != nil {
		t.Fatal(e)
	}
	var f daemonFlags
	for _, list := range []struct {
		name string
		to   *[]string
	}{{"gateway", &f.gateway}, {"peer", &f.peers}, {"bootstrap", &f.boot}} {
		if *list.to, e = daemon.Flags().GetStringArray(list.name); e != nil {
			t.Fatal(e)
		}
	}
	f.share, f.quota = daemon.Flag("share").Value.String(), daemon.Flag("quota").Value.String()
	if f.port, e = daemon.Flags().GetInt("port"); e != nil {
		t.Fatal(e)
	}
	cfg, err = sh.daemonConfig(daemon, f)
	return cfg, err
}

// TestDaemonPlaces: root's daemon is the system's; anybody else's is their own, and nobody else's business.
func TestDaemonPlaces(t *testing.T) {
	home := t.TempDir()
	for _, test := range []struct {
		uid           int
		flags         []string
		state, socket string
		private       bool
	}{
		{1000, nil, filepath.Join(home, ".local/state/flurry"), filepath.Join(home, "run/flurry/control.sock"), true},
		{1000, []string{"--state", "/srv/x"}, "/srv/x", "/srv/x/control.sock", false},
		{1000, []string{"--socket", "/srv/x.sock"}, filepath.Join(home, ".local/state/flurry"), "/srv/x.sock", false},
		{0, []string{"--config", os.DevNull}, systemState, systemSocket, false},
	} {
		sh := inShell(test.uid, "HOME="+home, "XDG_RUNTIME_DIR="+filepath.Join(home, "run"))
		cfg, err := configured(t, sh, test.flags...)
		if err != nil || cfg.State != test.state || cfg.Socket != test.socket || cfg.Private != test.private {
			t.Errorf("%d %q: %s, %s, %v, %v", test.uid, test.flags, cfg.State, cfg.Socket, cfg.Private, err)
		}
	}
}

// TestDaemonFlags: what is given overrides the file, what is not does not.
func TestDaemonFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "flurry.toml")
	text := "[gateway]\nlisten = [\"127.0.0.1:1\"]\n[share]\nmode = \"none\"\n[network]\nport = 7\npeers = [\"a.example\"]\n[store]\nquota = \"1GiB\"\nreserve = \"10%\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	of := func(flags ...string) config {
		t.Helper()
		cfg, err := configured(t, inShell(0), append([]string{"--config", file}, flags...)...)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	c := of()
	if c.Gateway[0] != "127.0.0.1:1" || c.Share != node.ShareNone || c.Port != 7 || len(c.Peers) != 1 || c.Quota != 1<<30 || c.Reserve < 1<<20 {
		t.Errorf("the file: %+v", c)
	}
	c = of("--gateway", "[::1]:2", "--gateway", "localhost:3", "--share", "all", "--port", "0", "--peer", "b.example", "--bootstrap", "c.example", "--quota", "2GiB")
	if len(c.Gateway) != 2 || c.Gateway[0] != "[::1]:2" || c.Share != node.ShareAll || c.Port != 0 || hints(c.Peers) != "b.example a.example" || hints(c.Bootstrap) != "c.example" || c.Quota != 2<<30 {
		t.Errorf("the flags: %+v", c)
	}
	for _, flags := range [][]string{{"--gateway", "192.0.2.1:1"}, {"--port", "65536"}, {"--port", "-1"}, {"--peer", "http://x"}, {"--bootstrap", "http://x"}, {"--quota", "200%"}} {
		_, err := configured(t, inShell(0), append([]string{"--config", file}, flags...)...)
		if problemID(err) != "usage" {
			t.Errorf("%q: %v", flags, err)
		}
	}
}

// TestStateProblem: a user who may not use the state directory is told so, not shown a system call.
func TestStateProblem(t *testing.T) {
	denied := &fs.PathError{Op: "mkdir", Path: "/var/lib/flurry", Err: fs.ErrPermission}
	err := stateProblem("/var/lib/flurry", 1000, denied)
	if problemID(err) != "may-not" || err.Error() != "this user may not use /var/lib/flurry: permission denied" {
		t.Errorf("%v", err)
	}
	if err := stateProblem("/var/lib/flurry", 0, denied); problemID(err) != "" {
		t.Errorf("root: %v", err)
	}
	other := &report.Problem{ID: "x", Message: "m"}
	if err := stateProblem("/x", 1000, errors.Join(other, denied)); problemID(err) != "x" {
		t.Errorf("%v", err)
	}
}
