package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// inShell is a shell with an environment of its own: words like NAME=value.
func inShell(uid int, words ...string) *shell {
	return &shell{environment: environment{uid: uid, getenv: func(name string) string {
		for _, w := range words {
			if value, ok := strings.CutPrefix(w, name+"="); ok {
				return value
			}
		}
		return ""
	}}}
}

func TestHome(t *testing.T) {
	for _, test := range []struct {
		uid  int
		env  []string
		want place
	}{
		{0, []string{"HOME=/root", "XDG_STATE_HOME=/x", "XDG_RUNTIME_DIR=/y"}, place{systemConfig, systemState, systemSocket, false}},
		{1000, []string{"HOME=/home/ann"}, place{"/home/ann/.config/flurry/flurry.toml", "/home/ann/.local/state/flurry", "/home/ann/.local/state/flurry/control.sock", true}},
		{1000, []string{"HOME=/home/ann", "XDG_CONFIG_HOME=/c", "XDG_STATE_HOME=/s", "XDG_RUNTIME_DIR=/r"}, place{"/c/flurry/flurry.toml", "/s/flurry", "/r/flurry/control.sock", true}},
		{1000, []string{"HOME=/home/ann", "XDG_STATE_HOME=relative"}, place{"/home/ann/.config/flurry/flurry.toml", "/home/ann/.local/state/flurry", "/home/ann/.local/state/flurry/control.sock", true}},
	} {
		if got := inShell(test.uid, test.env...).home(); got != test.want {
			t.Errorf("%d %q: %+v", test.uid, test.env, got)
		}
	}
}

// TestLocate: flags before the environment, that before the file, that before home.
func TestLocate(t *testing.T) {
	home := place{state: "/home", socket: "/home.sock"}
	file := fileConfig{State: "/file", Control: fileControl{Socket: "/file.sock"}}
	stateOnly := fileConfig{State: "/file"}
	for _, test := range []struct {
		stateFlag, socketFlag string
		env                   []string
		file                  fileConfig
		state, socket         string
	}{
		{"", "", nil, fileConfig{}, "/home", "/home.sock"},
		{"", "", nil, stateOnly, "/file", "/file/control.sock"},
		{"", "", nil, file, "/file", "/file.sock"},
		{"", "", []string{"FLURRY_STATE=/env"}, file, "/env", "/env/control.sock"},
		{"", "", []string{"FLURRY_SOCKET=/env.sock"}, file, "/file", "/env.sock"},
		{"", "", []string{"FLURRY_STATE=/env", "FLURRY_SOCKET=/env.sock"}, file, "/env", "/env.sock"},
		{"/flag", "", []string{"FLURRY_STATE=/env", "FLURRY_SOCKET=/env.sock"}, file, "/flag", "/flag/control.sock"},
		{"", "/flag.sock", []string{"FLURRY_STATE=/env", "FLURRY_SOCKET=/env.sock"}, file, "/env", "/flag.sock"},
		{"/flag", "/flag.sock", nil, file, "/flag", "/flag.sock"},
	} {
		sh := inShell(0, test.env...)
		sh.state, sh.socket = test.stateFlag, test.socketFlag
		if state, socket := sh.locate(test.file, home); state != test.state || socket != test.socket {
			t.Errorf("%+v: %s, %s", test, state, socket)
		}
	}
}

// TestSocketPath: without a word about it, the user's daemon if there is one, else the system's.
func TestSocketPath(t *testing.T) {
	dir := t.TempDir()
	sh := inShell(1000, "HOME="+dir, "XDG_RUNTIME_DIR="+dir)
	if got := sh.socketPath(); got != systemSocket {
		t.Errorf("no user's daemon: %s", got)
	}
	users := filepath.Join(dir, "flurry", "control.sock")
	if err := os.MkdirAll(filepath.Dir(users), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(users, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := sh.socketPath(); got != systemSocket {
		t.Errorf("a file that is no socket: %s", got)
	}
	if err := os.Remove(users); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", users)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := sh.socketPath(); got != users {
		t.Errorf("the user's daemon: %s", got)
	}
	// The user's configuration says where theirs is.
	config := filepath.Join(dir, ".config", "flurry", "flurry.toml")
	if err := os.MkdirAll(filepath.Dir(config), 0o755); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(dir, "moved.sock")
	if err := os.WriteFile(config, []byte("[control]\nsocket = \""+moved+"\""), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := sh.socketPath(); got != systemSocket {
		t.Errorf("moved, and not there: %s", got)
	}
	l2, err := net.Listen("unix", moved)
	if err != nil {
		t.Fatal(err)
	}
	defer l2.Close()
	if got := sh.socketPath(); got != moved {
		t.Errorf("moved: %s", got)
	}
	// A file that was named counts even if nothing is there.
	named := filepath.Join(dir, "named.toml")
	if err := os.WriteFile(named, []byte("state = \"/srv/flurry\""), 0o600); err != nil {
		t.Fatal(err)
	}
	sh.config = named
	if got := sh.socketPath(); got != "/srv/flurry/control.sock" {
		t.Errorf("a named file: %s", got)
	}
}

// TestHowToStart: who finds no daemon is told what starts one on this machine.
func TestHowToStart(t *testing.T) {
	b := newBench(t)
	says := func(uid int) string {
		_, errs, _ := b.flurry(uid, "status", "--config", "/nowhere/flurry.toml")
		_, try, _ := strings.Cut(errs, "try: ")
		return try
	}
	if got := says(0); !strings.HasPrefix(got, "sudo flurry setup        makes it a service\n") {
		t.Errorf("before setup: %s", got)
	}
	b.put("/home/ann/.config/systemd/user/flurry.service", "")
	if got := says(1000); !strings.HasPrefix(got, "systemctl --user start flurry.socket flurry        (journalctl --user -u flurry says why it stopped)\n") {
		t.Errorf("with a user's own: %s", got)
	}
	b.must("setup", "--yes")
	if got := says(1000); !strings.HasPrefix(got, "sudo systemctl start flurry.socket flurry        (journalctl -u flurry says why it stopped)\n") {
		t.Errorf("after setup: %s", got)
	}
	if err := os.RemoveAll(b.Root + "/run"); err != nil {
		t.Fatal(err)
	}
	if got := says(0); !strings.HasPrefix(got, "flurry daemon        in another terminal") {
		t.Errorf("without systemd: %s", got)
	}
}
