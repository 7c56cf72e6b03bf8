package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
)

// systemConfig is the configuration file unless --config or FLURRY_CONFIG names another; it need not be there.
const systemConfig = "/etc/flurry/flurry.toml"

// daemonFlags are the flags of `flurry daemon`; what is given overrides the configuration file.
type daemonFlags struct {
	state, share, quota string
	gateway, peers      []string
	port                int
	check, loopback     bool
	lan, wan, sign      bool
}

func (sh *shell) daemonCommand() *cobra.Command {
	var f daemonFlags
	cmd := &cobra.Command{
		Use:     "daemon",
		Short:   "run the node: the gateway for Nix, and the side that peers see",
		Args:    cobra.NoArgs,
		Example: "  flurry daemon --state ~/.flurry --gateway 127.0.0.1:7669\n  flurry daemon --config /etc/flurry/flurry.toml --check",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := sh.daemonConfig(cmd, f)
			if err != nil || f.check {
				return err
			}
			return sh.runDaemon(cmd.Context(), cfg)
		},
	}
	g := cmd.Flags()
	g.StringVar(&f.state, "state", "", "the state directory; its control.sock is the socket, unless --socket")
	g.StringArrayVar(&f.gateway, "gateway", nil, "where Nix asks: HOST:PORT on loopback; again for more")
	g.IntVar(&f.port, "port", 0, "the port for peers, TCP and UDP; 0: any")
	g.StringArrayVar(&f.peers, "peer", nil, "a peer to reach: HOST, HOST:PORT or a multiaddr; again for more")
	g.StringVar(&f.share, "share", "", "who gets what is used here: none, lan, all")
	g.StringVar(&f.quota, "quota", "", "the most that the store may hold")
	g.BoolVar(&f.loopback, "loopback", false, "listen to peers on loopback alone, for trying out")
	g.BoolVar(&f.lan, "lan", true, "find peers on the LAN by mDNS")
	g.BoolVar(&f.wan, "wan", true, "take part in the DHT")
	g.BoolVar(&f.sign, "sign", true, "add this machine's signature to narinfos")
	g.BoolVar(&f.check, "check", false, "read the configuration and exit")
	return cmd
}

// daemonConfig is the file with the flags on top.
func (sh *shell) daemonConfig(cmd *cobra.Command, f daemonFlags) (config, error) {
	name, missingOK := sh.config, false
	if name == "" {
		name = sh.getenv("FLURRY_CONFIG")
	}
	if name == "" {
		name, missingOK = systemConfig, true
	}
	cfg, err := loadConfig(name, missingOK)
	if err != nil {
		return cfg, err
	}
	given := cmd.Flags().Changed
	switch {
	case given("state"):
		cfg.State, cfg.Socket = f.state, ""
	case sh.getenv("FLURRY_STATE") != "":
		cfg.State, cfg.Socket = sh.getenv("FLURRY_STATE"), ""
	case cfg.Socket == "" && cfg.State == defaultFile().State:
		cfg.Socket = systemSocket
	}
	if cfg.State, err = filepath.Abs(cfg.State); err != nil {
		return cfg, err
	}
	if sh.socket != "" {
		cfg.Socket = sh.socket
	}
	if cfg.Socket == "" {
		cfg.Socket = stateSocket(cfg.State)
	}
	if given("gateway") {
		cfg.Gateway = f.gateway
	}
	if given("port") {
		cfg.Port = f.port
	}
	if given("lan") {
		cfg.LAN = f.lan
	}
	if given("wan") {
		cfg.WAN = f.wan
	}
	if given("sign") {
		cfg.Sign = f.sign
	}
	cfg.Loopback = f.loopback
	if given("share") {
		if cfg.Share, err = node.ParseShare(f.share); err != nil {
			return cfg, usage("--share: %v", err)
		}
	}
	if given("quota") {
		if cfg.Quota, err = parseSize(f.quota); err != nil {
			return cfg, usage("--quota: %v", err)
		}
	}
	peers, err := parsePeers(f.peers)
	if err != nil {
		return cfg, usage("--peer: %v", err)
	}
	cfg.Peers = append(peers, cfg.Peers...)
	cfg.Nix = daemon.Options{Socket: sh.getenv("NIX_DAEMON_SOCKET_PATH"), StateDir: sh.getenv("NIX_STATE_DIR"), Remote: sh.getenv("NIX_REMOTE")}
	return cfg, loopbackOnly(cfg.Gateway)
}

// loopbackOnly refuses to put the gateway where strangers could ask what this machine builds.
func loopbackOnly(at []string) error {
	for _, a := range at {
		host, _, err := net.SplitHostPort(a)
		if err != nil {
			return usage("--gateway: %q is not HOST:PORT", a)
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return usage("--gateway: %s is not on loopback; the gateway is for this machine's Nix alone", a)
		}
	}
	return nil
}

func (sh *shell) runDaemon(ctx context.Context, cfg config) error {
	log := sh.logger()
	i, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() {
		if err := i.Close(); err != nil {
			log.Error("closing", "err", err)
		}
	}()
	if err := i.listen(ctx); err != nil {
		return err
	}
	for _, l := range i.gatewayAt {
		sh.say("flurry %s: gateway on http://%s, control socket %s", version, l.Addr(), cfg.Socket)
	}
	if cfg.Sign {
		sh.say("this machine's key, for trusted-public-keys: %s", i.local.Public())
	}
	if err := i.start(ctx); err != nil {
		return err
	}
	return i.wait(ctx)
}

// logger writes to stderr what FLURRY_LOG or -v ask for.
func (sh *shell) logger() *slog.Logger {
	level := slog.LevelInfo
	switch sh.getenv("FLURRY_LOG") {
	case "error":
		level = slog.LevelError
	case "warn":
		level = slog.LevelWarn
	case "debug":
		level = slog.LevelDebug
	}
	if sh.verbose > 0 {
		level = slog.LevelDebug
	}
	if sh.quiet {
		level = slog.LevelError
	}
	return slog.New(slog.NewTextHandler(sh.err, &slog.HandlerOptions{Level: level}))
}

// listenControl opens the control socket. A socket that nobody answers at is a dead daemon's, and replaced.
func listenControl(ctx context.Context, name string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, err
	}
	var dialer net.Dialer
	if c, err := dialer.DialContext(ctx, "unix", name); err == nil {
		c.Close()
		return nil, &report.Problem{ID: "port-in-use", Exit: report.ExitFailed, Message: "another flurry runs here: it answers at " + name, Try: []string{"another --state, or stop it"}}
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		if err := os.Remove(name); err != nil {
			return nil, err
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", name)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(name, 0o666); err != nil { // who may ask what is decided by the peer's credentials
		l.Close()
		return nil, err
	}
	return l, nil
}

// ownerOf is the user who owns a directory.
func ownerOf(dir string) (int, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("%s: its owner is not known", dir)
	}
	return int(stat.Uid), nil
}
