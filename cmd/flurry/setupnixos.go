package main

import (
	"fmt"
	"strings"
)

// nixOSModule is what configuration.nix needs: there everything that setup would write is made by the configuration.
func nixOSModule(s site) string {
	var b strings.Builder
	b.WriteString("# NixOS makes these files itself. Put this into configuration.nix (nothing was changed):\n\n")
	fmt.Fprintf(&b, `{ pkgs, ... }:
let flurry = %q; in  # better: a package of it
{
  users.users.flurry = { isSystemUser = true; group = "flurry"; home = "/var/lib/flurry"; };
  users.groups.flurry = { };

  # This machine's key is made at the first start, so that nix.conf has to read it from a file.
  nix.extraOptions = "!include /var/lib/flurry/nix.conf";
  systemd.services.flurry-key = {
    wantedBy = [ "multi-user.target" ];
    before = [ "nix-daemon.service" "flurry.service" ];
    serviceConfig = { Type = "oneshot"; User = "flurry"; StateDirectory = "flurry"; UMask = "0022"; };
    script = "FLURRY_STATE=/var/lib/flurry ${flurry} setup --nix-conf > /var/lib/flurry/nix.conf";
  };

  systemd.sockets.flurry = {
    wantedBy = [ "sockets.target" ];
`, s.self)
	b.WriteString("    listenStreams = [ \"127.0.0.1:7669\" \"[::1]:7669\" \"/run/flurry/control.sock\" ];\n")
	b.WriteString("    socketConfig = { BindIPv6Only = \"ipv6-only\"; SocketMode = \"0666\"; Backlog = 4096; RemoveOnStop = true; };\n  };\n")
	b.WriteString(`  systemd.services.flurry = {
    wantedBy = [ "multi-user.target" ];
    requires = [ "flurry.socket" ];
    after = [ "flurry.socket" "flurry-key.service" ];
    startLimitIntervalSec = 0;
    serviceConfig = {
`)
	text, err := units.ReadFile("systemd/system/flurry.service")
	if err != nil {
		return b.String()
	}
	_, service, _ := strings.Cut(string(text), "[Service]\n")
	service, _, _ = strings.Cut(service, "[Install]")
	var filters []string
	for line := range strings.Lines(service) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		switch {
		case !ok || strings.HasPrefix(key, "#"):
		case key == "ExecStart":
			b.WriteString("      ExecStart = \"${flurry} " + strings.TrimPrefix(value, installedBinary+" ") + "\";\n")
		case key == "ExecReload":
			b.WriteString("      ExecReload = \"${pkgs.coreutils}/bin/kill -HUP $MAINPID\";\n")
		case key == "SystemCallFilter":
			filters = append(filters, fmt.Sprintf("%q", value))
		default:
			fmt.Fprintf(&b, "      %s = %q;\n", key, value)
		}
	}
	fmt.Fprintf(&b, "      SystemCallFilter = [ %s ];\n    };\n  };\n\n  # Only for who hosts, or shares with all:\n  # networking.firewall = { allowedTCPPorts = [ 7670 ]; allowedUDPPorts = [ 7670 ]; };\n}\n", strings.Join(filters, " "))
	return b.String()
}
