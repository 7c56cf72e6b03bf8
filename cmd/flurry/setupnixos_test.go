package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/nix/nixtest"
)

// TestSetupNixOS: nothing is changed, and what is printed says what to do with it.
func TestSetupNixOS(t *testing.T) {
	b := newBench(t)
	b.put("/etc/NIXOS", "")
	before := b.tree()
	for args, want := range map[string][]string{
		"":               {"Nothing was changed", "sudo cp " + b.Root + "/program /etc/nixos/flurry ", "${./flurry}", `nix.extraOptions = "!include /var/lib/flurry/nix.conf";`, "\n  networking.firewall = "},
		"--share none":   {`environment.etc."flurry/flurry.toml".text = "[share]\nmode = \"none\"\n";`, "\n  # networking.firewall = "},
		"--share all":    {`text = "[share]\nmode = \"all\"\n";`, "/program setup --print --share all | sudo tee /etc/nixos/flurry.nix\n", "\n  networking.firewall = "},
		"--seed":         {`upload = \"0\"`, "/program setup --print --seed | sudo", "\n  networking.firewall = "},
		"--no-nix":       {"systemd.services.flurry ="},
		"--print --json": {`"module":"# flurry on NixOS`, `"steps":[]`, `"done":false`},
	} {
		out := b.must(append([]string{"setup", "--yes"}, strings.Fields(args)...)...)
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%s: no %q in\n%s", args, w, out)
			}
		}
		if (args == "--seed" || args == "--no-nix") == strings.Contains(out, "nix.conf") {
			t.Errorf("%s: whether Nix is connected:\n%s", args, out)
		}
	}
	if b.tree() != before || len(b.ran) > 0 {
		t.Error("it changes something")
	}
	b.put("/etc/flurry/flurry.toml", "[gateway]\nlisten = [\"127.0.0.1:7679\"]\n[share]\nmode = \"none\"\n")
	if out := b.must("setup"); !strings.Contains(out, `listenStreams = [ "127.0.0.1:7679" "/run/flurry/control.sock" ];`) || !strings.Contains(out, "\n  # networking.firewall = ") || strings.Contains(out, "flurry.toml\".text") {
		t.Errorf("with a configuration:\n%s", out)
	}
	m := nixModule{program: "/nix/store/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz-flurry-1/bin/flurry", listen: []string{"127.0.0.1:7669"}}
	if text, err := m.text(); err != nil || !strings.Contains(text, `builtins.storePath "/nix/store/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz-flurry-1";`) || strings.Contains(text, "/etc/nixos/flurry ") {
		t.Errorf("%s %v", text, err)
	}
}

// TestNixOSModule: Nix itself reads the module, and what it makes of it has all that the units of other machines have.
func TestNixOSModule(t *testing.T) {
	nixtest.Require(t, "nix-instantiate")
	for _, args := range []string{"", "--share none", "--seed", "--no-nix"} {
		b := newBench(t)
		b.put("/etc/NIXOS", "")
		dir := t.TempDir()
		text := b.must(append([]string{"setup", "--print"}, strings.Fields(args)...)...)
		// What is left to the reader as a comment is Nix, too.
		text = regexp.MustCompile(`(?m)^  # (nix\.settings|  \$|  exit|''|networking)`).ReplaceAllString(text, "  $1")
		for name, text := range map[string]string{"flurry.nix": text, "flurry": "the program"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		pkgs := `{ coreutils = "/coreutils"; systemd = "/systemd"; runCommand = name: env: script: "/made/${name}"; writeShellScript = name: script: script; }`
		cmd := exec.CommandContext(t.Context(), "nix-instantiate", "--eval", "--strict", "--json", "--readonly-mode", "--expr", fmt.Sprintf("import %s/flurry.nix { pkgs = %s; }", dir, pkgs))
		cmd.Env = append(os.Environ(), "NIX_REMOTE=", "NIX_STATE_DIR="+t.TempDir())
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s\n%s", args, err, &stderr, text)
		}
		var c struct {
			Systemd struct {
				Services map[string]struct {
					WantedBy, Requires, After, Before []string
					StartLimitIntervalSec             any
					ServiceConfig                     map[string]any
					Script                            string
				}
				Sockets map[string]struct {
					WantedBy, ListenStreams []string
					SocketConfig            map[string]any
				}
			}
			Nix        struct{ ExtraOptions string }
			Networking struct{ Firewall map[string][]int }
			Users      struct{ Users, Groups map[string]any }
		}
		if err := json.Unmarshal(out, &c); err != nil {
			t.Fatal(err)
		}
		service, socket := c.Systemd.Services["flurry"], c.Systemd.Sockets["flurry"]
		want := unitSettings(t, "flurry.service", "Service")
		want["ExecStart"] = strings.Replace(want["ExecStart"].(string), installedBinary, "/made/flurry-"+version+"/bin/flurry", 1)
		want["ExecReload"] = "/coreutils/bin/kill -HUP $MAINPID"
		if !reflect.DeepEqual(service.ServiceConfig, want) {
			t.Errorf("%s: the service is\n%v\nand elsewhere\n%v", args, service.ServiceConfig, want)
		}
		want = unitSettings(t, "flurry.socket", "Socket")
		if got := fmt.Sprint(socket.ListenStreams); got != fmt.Sprint(want["ListenStream"]) {
			t.Errorf("%s: it listens at %s, and elsewhere at %s", args, got, want["ListenStream"])
		}
		delete(want, "ListenStream")
		if !reflect.DeepEqual(socket.SocketConfig, want) || len(service.Requires) != 1 || service.StartLimitIntervalSec != 0.0 || c.Users.Users["flurry"] == nil || c.Users.Groups["flurry"] == nil {
			t.Errorf("%s: the socket is\n%v\nand elsewhere\n%v; %+v", args, socket.SocketConfig, want, c)
		}
		key, connects := c.Systemd.Services["flurry-key"]
		if connects != (args == "" || args == "--share none") || connects && (c.Nix.ExtraOptions != "!include /var/lib/flurry/nix.conf" || !strings.Contains(key.Script, "/made/flurry-"+version+"/bin/flurry setup --nix-conf > /var/lib/flurry/nix.conf.new\n")) {
			t.Errorf("%s: %+v", args, c)
		}
		if len(c.Networking.Firewall["allowedUDPPorts"]) != 2 {
			t.Errorf("%s: %v", args, c.Networking)
		}
	}
}

// unitSettings are a unit's, as NixOS has them.
func unitSettings(t *testing.T, unit, section string) map[string]any {
	t.Helper()
	all, err := settingsOf(unit, section)
	if err != nil || len(all) < 5 {
		t.Fatalf("%s has %d settings, %v", unit, len(all), err)
	}
	m := make(map[string]any)
	for _, s := range all {
		if len(s.values) == 1 {
			m[s.key] = s.values[0]
			continue
		}
		var list []any
		for _, v := range s.values {
			list = append(list, v)
		}
		m[s.key] = list
	}
	return m
}

func TestQuoteNix(t *testing.T) {
	for s, want := range map[string]string{"a b": `"a b"`, `"\`: `"\"\\"`, "${x} $y": `"\${x} $y"`, "a\nb": `"a\nb"`} {
		if got := quoteNix(s); got != want {
			t.Errorf("%s: %s, not %s", s, got, want)
		}
	}
}
