package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// nixOS is the plan for a machine whose configuration says what runs: a module, which makes all that setup would write.
func (p *plan) nixOS() error {
	share, configured, err := p.sharing()
	if err != nil {
		return err
	}
	config := ""
	if !configured {
		config = p.configText(share)
	}
	listen, err := p.gateways()
	if err != nil {
		return err
	}
	m := nixModule{program: p.site.self, again: p.flags.words(), hosts: p.flags.seed, connects: !p.flags.noNix && !p.flags.seed, share: share, config: config, listen: listen}
	if p.module, err = m.text(); err != nil {
		return err
	}
	p.head = "on NixOS the configuration says what runs: this module goes into it"
	return nil
}

// reportModule is what a program is told of the module.
func (p *plan) reportModule() report.Setup {
	r := p.report()
	r.Module, r.Undo, r.Next = p.module, "take ./flurry.nix out of imports, and then: sudo nixos-rebuild switch", ""
	return r
}

// nixModule is what a module for NixOS depends on.
type nixModule struct {
	program, again  string // as it runs now, and how it was asked
	hosts, connects bool
	share           string
	config          string // of flurry; empty: the defaults
	listen          []string
}

// text is the module, a file for imports of its own. A person reads at its head what to do with it.
func (m nixModule) text() (string, error) {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	inStore := strings.HasPrefix(m.program, nix.StoreDir+"/")
	line("# flurry on NixOS: a module. Nothing was changed. To install it:")
	if !inStore {
		line("#   sudo cp %s /etc/nixos/flurry        (made by: CGO_ENABLED=0 go build ./cmd/flurry)", quoteShell(m.program))
	}
	line("#   %s setup --print%s | sudo tee /etc/nixos/flurry.nix", quoteShell(m.program), m.again)
	line("#   add ./flurry.nix to imports in /etc/nixos/configuration.nix, and then: sudo nixos-rebuild switch")
	line("# With a flake: both files beside its configuration.nix, and git add them.")
	line("# To take it back: take ./flurry.nix out of imports, and then: sudo nixos-rebuild switch")
	line("{ pkgs, ... }:")
	line("let")
	if inStore {
		parts := strings.SplitAfterN(m.program, "/", 5) // "/", "nix/", "store/", the package, and the rest
		line("  flurry = builtins.storePath %s; # with a flake: the package that this is", quoteNix(strings.TrimSuffix(strings.Join(parts[:min(len(parts), 4)], ""), "/")))
	} else {
		line(`  flurry = pkgs.runCommand "flurry-%s" { } "install -D -m 755 ${./flurry} $out/bin/flurry";`, version)
	}
	line("in")
	line("{")
	line("  environment.systemPackages = [ flurry ];")
	line(`  users.users.flurry = { isSystemUser = true; group = "flurry"; home = %s; };`, quoteNix(systemState))
	line("  users.groups.flurry = { };")
	if m.config != "" {
		line("  environment.etc.%s.text = %s;", quoteNix(strings.TrimPrefix(systemConfig, "/etc/")), quoteNix(m.config))
	}
	if m.connects {
		m.connect(line)
	}
	if err := m.units(line); err != nil {
		return "", err
	}
	m.firewall(line)
	line("}")
	return b.String(), nil
}

// connect has Nix ask the gateway.
func (m nixModule) connect(line func(string, ...any)) {
	file := filepath.Join(systemState, "nix.conf")
	line("")
	line("  # This machine's key is made at the first start, so that nix.conf has to read it from a file.")
	line("  nix.extraOptions = %s;", quoteNix("!include "+file))
	line("  systemd.services.flurry-key = {")
	line(`    wantedBy = [ "multi-user.target" ];`)
	line(`    before = [ "nix-daemon.service" "flurry.service" ];`)
	line("    serviceConfig = {")
	line(`      Type = "oneshot";`)
	line("      RemainAfterExit = true;")
	line(`      User = "flurry";`)
	line(`      StateDirectory = "flurry";`)
	line(`      UMask = "0022";`)
	line("      # Nix reads its configuration when it starts.")
	line(`      ExecStartPost = "+${pkgs.systemd}/bin/systemctl --no-block try-restart nix-daemon.service";`)
	line("    };")
	line("    script = ''")
	line("      ${flurry}/bin/flurry setup --nix-conf > %s.new", file)
	line("      mv %s.new %s", file, file)
	line("    '';")
	line("  };")
	line("")
	line("  # Only for who has what is built here published by a hook: flurry publish NAMESPACE --hook")
	line(`  # nix.settings.post-build-hook = pkgs.writeShellScript "flurry-hook" ''`)
	line(`  #   ${pkgs.coreutils}/bin/timeout -s KILL 2 ${flurry}/bin/flurry hook "$@"`)
	line("  #   exit 0")
	line("  # '';")
}

// units are the units that setup writes elsewhere, in Nix's words.
func (m nixModule) units(line func(string, ...any)) error {
	socket, err := settingsOf("flurry.socket", "Socket")
	if err != nil {
		return err
	}
	service, err := settingsOf("flurry.service", "Service")
	if err != nil {
		return err
	}
	var listen []string
	for _, at := range m.listen {
		listen = append(listen, quoteNix(at))
	}
	line("")
	line("  systemd.sockets.flurry = {")
	line(`    wantedBy = [ "sockets.target" ];`)
	line("    listenStreams = [ %s %s ];", strings.Join(listen, " "), quoteNix(systemSocket))
	line("    socketConfig = {")
	for _, s := range socket {
		if s.key != "ListenStream" {
			line("      %s = %s;", s.key, s.nix())
		}
	}
	line("    };")
	line("  };")
	line("  systemd.services.flurry = {")
	line(`    wantedBy = [ "multi-user.target" ];`)
	line(`    requires = [ "flurry.socket" ];`)
	after := `"flurry.socket"`
	if m.connects {
		after += ` "flurry-key.service"`
	}
	line("    after = [ %s ];", after)
	line("    startLimitIntervalSec = 0;")
	line("    serviceConfig = {")
	for _, s := range service {
		switch s.key {
		case "ExecStart":
			line(`      ExecStart = "${flurry}/bin/flurry %s";`, strings.TrimPrefix(s.values[0], installedBinary+" "))
		case "ExecReload":
			line(`      ExecReload = "${pkgs.coreutils}/bin/kill -HUP $MAINPID";`)
		default:
			line("      %s = %s;", s.key, s.nix())
		}
	}
	line("    };")
	line("  };")
	return nil
}

// firewall lets those in to whom something is given. Neighbours find each other by mDNS.
func (m nixModule) firewall(line func(string, ...any)) {
	lead := "  "
	line("")
	if m.share == "none" && !m.hosts {
		line("  # Only for who hosts, or gives to others what it uses:")
		lead = "  # "
	}
	line("%snetworking.firewall = { allowedTCPPorts = [ 7670 ]; allowedUDPPorts = [ 7670 5353 ]; };", lead)
}

// setting is what a unit file says for one key, once or several times.
type setting struct {
	key    string
	values []string
}

// nix is what it says as a value of Nix.
func (s setting) nix() string {
	if len(s.values) == 1 {
		return quoteNix(s.values[0])
	}
	var quoted []string
	for _, v := range s.values {
		quoted = append(quoted, quoteNix(v))
	}
	return "[ " + strings.Join(quoted, " ") + " ]"
}

// settingsOf are those of one section of a system's unit, in their order.
func settingsOf(unit, section string) (all []setting, err error) {
	text, err := units.ReadFile("systemd/system/" + unit)
	if err != nil {
		return nil, err
	}
	in := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			in = strings.Trim(line, "[]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || in != section || strings.HasPrefix(line, "#") {
			continue
		}
		if at := slices.IndexFunc(all, func(s setting) bool { return s.key == key }); at >= 0 {
			all[at].values = append(all[at].values, value)
		} else {
			all = append(all, setting{key, []string{value}})
		}
	}
	return all, nil
}

// quoteNix writes a string as Nix reads it.
func quoteNix(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", `\${`, "\n", `\n`).Replace(s) + `"`
}
