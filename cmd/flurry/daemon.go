package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
)

// daemonFlags are the flags of `flurry daemon`; what is given overrides the configuration file.
type daemonFlags struct {
	share, quota    string
	gateway         []string
	peers, boot     []string
	port            int
	check, loopback bool
	lan, wan, sign  bool
	alone, node     bool // no supervisor; one's node
}

func (sh *shell) daemonCommand() *cobra.Command {
	var f daemonFlags
	cmd := &cobra.Command{
		Use:   "daemon",
		Short: "run the node: the gateway for Nix, and the side that peers see",
		Long: "Its files are in --state DIR. Flags override the configuration file (--config FILE), which need not be there.\n" +
			"A supervisor holds the sockets, and answers Nix with \"not here\" while the node is down; SIGHUP starts that\n" +
			"anew with the configuration as it is then.",
		Args:              sh.args(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		SuggestFor:        []string{"serve", "start", "run"},
		Example:           "  flurry daemon --state ~/.local/state/flurry\n  flurry daemon --config /etc/flurry/flurry.toml --check",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.check {
				if _, err := sh.daemonConfig(cmd, f); err != nil {
					return err
				}
				name, _ := sh.configFile()
				good := struct {
					Schema string `json:"schema"`
					File   string `json:"file"`
					OK     bool   `json:"ok"`
				}{"flurry/config/1", name, true}
				return sh.answer(good, func(w io.Writer) { fmt.Fprintf(w, "%s is good\n", name) })
			}
			switch {
			case f.node:
				return sh.runNode(cmd.Context(), func() (config, error) { return sh.daemonConfig(cmd, f) })
			case f.alone || !supervised:
				cfg, err := sh.daemonConfig(cmd, f)
				if err != nil {
					return err
				}
				return sh.runDaemon(cmd.Context(), cfg, nil)
			}
			return sh.supervise(cmd.Context(), func() (config, error) { return sh.daemonConfig(cmd, f) })
		},
	}
	g := cmd.Flags()
	g.StringArrayVar(&f.gateway, "gateway", nil, "answer Nix at `HOST:PORT`, on loopback; again for more")
	g.IntVar(&f.port, "port", 0, "answer peers at port `N`, TCP and UDP; 0: any")
	g.StringArrayVar(&f.peers, "peer", nil, "reach `PEER`: HOST, HOST:PORT or a multiaddr; again for more")
	g.StringArrayVar(&f.boot, "bootstrap", nil, "join the DHT through `PEER`; again for more")
	g.Var(wordFlag{&f.share, []string{"none", "lan", "all"}}, "share", "who is given what is used here: `WHOM` is none, lan or all")
	g.StringVar(&f.quota, "quota", "", "store at most `SIZE`, or a part of the disk such as 5%")
	g.BoolVar(&f.loopback, "loopback", false, "listen to peers on loopback alone, for trying out")
	g.BoolVar(&f.lan, "lan", true, "find peers on the LAN by mDNS")
	g.BoolVar(&f.wan, "wan", true, "take part in the DHT")
	g.BoolVar(&f.sign, "sign", true, "add this machine's signature to narinfos")
	g.BoolVar(&f.check, "check", false, "read the configuration, say whether it is good, and exit")
	g.BoolVar(&f.alone, "no-supervisor", false, "one process; while it is down, its port refuses connections")
	g.BoolVar(&f.node, "node", false, "")
	g.Lookup("node").Hidden = true
	g.Lookup("port").DefValue = ""
	return cmd
}

// daemonConfig is the file with the flags on top.
func (sh *shell) daemonConfig(cmd *cobra.Command, f daemonFlags) (config, error) {
	return sh.configWith(f, cmd.Flags().Changed)
}

// nodeConfig is the file with what f names on top, for a node that is no daemon.
func (sh *shell) nodeConfig(f daemonFlags) (config, error) {
	return sh.configWith(f, func(string) bool { return false })
}

// configWith is the file with those flags on top that were given.
func (sh *shell) configWith(f daemonFlags, given func(flag string) bool) (config, error) {
	name, named := sh.configFile()
	p, err := loadNamed(name, named)
	if err != nil {
		return config{}, err
	}
	cfg, home := p.config, sh.home()
	cfg.State, cfg.Socket = sh.locate(p.file, home)
	cfg.Private = home.private && cfg.Socket == home.socket
	if cfg.State, err = filepath.Abs(cfg.State); err != nil {
		return cfg, err
	}
	if cfg.Socket, err = filepath.Abs(cfg.Socket); err != nil {
		return cfg, err
	}
	if err := f.apply(given, &cfg, &p); err != nil {
		return cfg, err
	}
	if p.quota.percent > 0 || p.reserve.percent > 0 {
		space, err := spaceFor(cfg.State)
		if err != nil {
			return cfg, err
		}
		cfg.Quota, cfg.Reserve = p.quota.of(space.Total), p.reserve.of(space.Total)
	} else {
		cfg.Quota, cfg.Reserve = p.quota.bytes, p.reserve.bytes
	}
	cfg.Clock, cfg.NixConf = sh.clock, sh.nixConfDir()
	cfg.OwnNixConf = filepath.Join(sh.userDir("XDG_CONFIG_HOME", ".config"), "nix")
	cfg.Nix = sh.nixOptions()
	return cfg, nil
}

// nixOptions say where this machine's Nix is, as the environment has it.
func (sh *shell) nixOptions() daemon.Options {
	return daemon.Options{Socket: sh.getenv("NIX_DAEMON_SOCKET_PATH"), StateDir: sh.getenv("NIX_STATE_DIR"), Remote: sh.getenv("NIX_REMOTE")}
}

// apply puts the flags that were given over what the file says.
func (f daemonFlags) apply(given func(flag string) bool, cfg *config, p *parsed) (err error) {
	wrong := func(flag string, e error) {
		if e != nil && err == nil {
			err = usage("flurry daemon --help", "--%s: %v", flag, e)
		}
	}
	var e error
	if given("gateway") {
		cfg.Gateway = f.gateway
		wrong("gateway", loopbackOnly(cfg.Gateway))
	}
	if given("port") {
		cfg.Port = f.port
		wrong("port", checkPort(cfg.Port))
	}
	if given("share") {
		cfg.Share, e = node.ParseShare(f.share)
		wrong("share", e)
	}
	if given("quota") {
		p.quota, e = parseAmount(f.quota)
		wrong("quota", e)
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
	peers, e := parsePeers(f.peers)
	wrong("peer", e)
	cfg.Peers = append(peers, cfg.Peers...)
	boot, e := parsePeers(f.boot)
	wrong("bootstrap", e)
	cfg.Bootstrap = append(boot, cfg.Bootstrap...)
	return err
}

// spaceFor is the room on the disk that dir is on, or will be.
func spaceFor(dir string) (durable.Space, error) {
	for {
		space, err := durable.SpaceAt(dir)
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return space, err
		}
		dir = filepath.Dir(dir)
	}
}

// runNode runs a supervisor's node until ctx ends or the supervisor does.
func (sh *shell) runNode(ctx context.Context, configure func() (config, error)) (err error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	at, gateway, desk, wait, err := takeSeat(ctx, end)
	if err != nil {
		return err
	}
	defer wait()
	defer func() {
		if err != nil && ctx.Err() == nil {
			at.fail(sh, err)
		}
	}()
	cfg, err := configure()
	if err != nil {
		return err
	}
	return sh.runDaemon(ctx, cfg, func(i *instance) {
		i.gatewayAt, i.controlAt = gateway, desk
		i.drain, i.leaving = nodeDrain, at.leave
		i.seat = at
	})
}

// runDaemon runs an instance until ctx ends. With seated it has its sockets from a supervisor.
func (sh *shell) runDaemon(ctx context.Context, cfg config, seated func(*instance)) (err error) {
	if _, err := sh.logLevel(); err != nil {
		return err
	}
	log := sh.logger()
	if seated != nil { // the process is the node's alone
		adoptLibraries(log)
	}
	cfg.Collect, cfg.Automatic = true, true
	i, err := openWhenFree(ctx, cfg, log, seated != nil)
	if err != nil {
		return stateProblem(cfg.State, sh.uid, err)
	}
	defer func() {
		if e := i.Close(); e != nil {
			log.Error("closing", "err", e)
		}
	}()
	if seated != nil {
		seated(i)
	} else if err := i.listen(ctx); err != nil {
		return err
	}
	for _, p := range i.keys.unusable() { // status says so for as long as it is so
		log.Warn("a key is not used", "why", p.Message, "try", strings.Join(p.Try, "; "))
	}
	if err := i.start(ctx); err != nil {
		return err
	}
	if i.seat != nil {
		i.warnings = append(i.warnings, i.seat.warnings()...)
		i.seat.ready(i.answers, i.alive)
	}
	return errors.Join(sh.announce(i), i.wait(ctx))
}

// announce says where a daemon can be reached, once.
func (sh *shell) announce(i *instance) error {
	if i.seat != nil && !i.seat.brief.First {
		return nil
	}
	d := report.Daemon{Schema: "flurry/daemon/1", Version: version, Gateway: []string{}, Socket: i.cfg.Socket}
	for _, l := range i.gatewayAt {
		d.Gateway = append(d.Gateway, "http://"+l.Addr().String())
	}
	if i.cfg.Sign {
		d.Signer = i.local.Public().String()
	}
	switch {
	case sh.json:
		return sh.answer(d, nil)
	case !sh.quiet:
		d.PrintText(sh.err)
	}
	return nil
}

// openWhenFree opens an instance. With patience it waits a little for the process that had the state directory before and
// was killed.
func openWhenFree(ctx context.Context, cfg config, log *slog.Logger, patience bool) (*instance, error) {
	for end := time.Now().Add(lockWait); ; {
		i, err := open(ctx, cfg, log)
		if !isProblem(err, "state-in-use") || !patience || time.Now().After(end) {
			return i, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pulseEvery / 4):
		}
	}
}

// answers goes the way of a narinfo in memory, and returns when it could.
func (i *instance) answers(context.Context) {
	i.gateway.Alive()
	i.node.Alive()
}

// alive tries whether the node can still look things up, and returns when it could: a question of Nix's that is not given back long
// after its time, or one to the store that is not answered, says that the disk does not, which what is in memory does not show.
func (i *instance) alive(ctx context.Context) {
	for i.gateway.Stuck() || i.node.Stuck() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pulseEvery):
		}
	}
	for _, sp := range i.node.Spaces() {
		i.catalog.Stats(sp.Address)
	}
	i.node.Absent("", nix.PathHash{})
	_, _ = i.packs.Stats(ctx) // that it answers is what counts
}

// logLevel is what FLURRY_LOG, -q and -v ask for.
func (sh *shell) logLevel() (slog.Level, error) {
	levels := map[string]slog.Level{"": slog.LevelInfo, "error": slog.LevelError, "warn": slog.LevelWarn, "info": slog.LevelInfo, "debug": slog.LevelDebug}
	word := sh.getenv("FLURRY_LOG")
	level, ok := levels[word]
	switch {
	case !ok:
		return slog.LevelInfo, usage("FLURRY_LOG=info", "FLURRY_LOG is %.40q: error, warn, info or debug", word)
	case sh.quiet:
		level = slog.LevelError
	case sh.verbose > 1:
		level = slog.LevelDebug
	case sh.verbose == 1:
		level = min(level, slog.LevelInfo)
	}
	return level, nil
}

// logger writes to stderr: text, or JSON with --json.
func (sh *shell) logger() *slog.Logger {
	level, err := sh.logLevel()
	options := &slog.HandlerOptions{Level: level}
	log := slog.New(slog.NewTextHandler(sh.err, options))
	if sh.json {
		log = slog.New(slog.NewJSONHandler(sh.err, options))
	}
	if err != nil {
		log.Warn(err.Error())
	}
	return log
}

// calmLogger is the logger of commands that answer by themselves: without -v it tells of errors alone.
func (sh *shell) calmLogger() *slog.Logger {
	if sh.verbose > 0 {
		return sh.logger()
	}
	return slog.New(slog.NewTextHandler(sh.err, &slog.HandlerOptions{Level: slog.LevelError}))
}

// stateProblem says why a daemon cannot have its state directory.
func stateProblem(state string, uid int, err error) error {
	var p *report.Problem
	if !errors.As(err, &p) && errors.Is(err, fs.ErrPermission) && uid != 0 {
		return &report.Problem{ID: "may-not", Exit: report.ExitFailed, Message: fmt.Sprintf("this user may not use %s: %v", state, reasonOf(err)), Try: []string{"flurry daemon --state DIR", "sudo flurry daemon"}}
	}
	return err
}
