package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/transfer"
)

func (sh *shell) demoCommand() *cobra.Command {
	var keep, quick bool
	var path string
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "see the main job done in this process, measured, and nothing left behind",
		Args:    cobra.NoArgs,
		Example: "  flurry demo\n  flurry demo --path ./result",
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &demo{shell: sh, keep: keep}
			return d.run(cmd.Context(), path, quick)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the directory for a look")
	cmd.Flags().BoolVar(&quick, "quick", false, "smaller packages")
	cmd.Flags().StringVar(&path, "path", "", "show it with the closure of this store path")
	return cmd
}

// demo runs flurry's main job with several nodes in one process: real streams over loopback, real gateways, real disks in
// a directory of its own. Every line is printed when it has become true, with what was measured.
type demo struct {
	*shell
	keep bool

	dir    string
	source node.Source
	client client
	steps  int
	nodes  []*demoNode

	alice   *demoNode
	address string
	roots   []nix.StorePath
	closure []daemon.PathInfo
}

// demoNode is one of the demo's nodes.
type demoNode struct {
	*instance
	stop context.CancelFunc
	wait func() error
}

// run goes through the claims in order. The first that is not true ends it.
func (d *demo) run(ctx context.Context, path string, quick bool) (err error) {
	start := time.Now()
	if d.dir, err = os.MkdirTemp("", "flurry-demo-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.clean()) }()
	fmt.Fprintf(d.out, "flurry demo: several nodes in this process, under %s. Nothing else is touched or contacted.\n", d.dir)
	if err := d.prepare(ctx, path, quick); err != nil {
		return err
	}
	claims := []struct {
		what string
		test func(context.Context) (string, error)
	}{
		{"alice makes a cache", d.makes},
		{"alice publishes", d.publishes},
		{"bob says: use demo-1", d.uses},
		{"bob builds", d.builds},
		{"a dependency changes", d.rebuilds},
		{"a seed takes it", d.seeds},
		{"a writer's key leaks", d.leaks},
		{"alice goes to sleep", d.sleeps},
		{"mallory joins and lies", d.lies},
		{"a peer dies mid-copy", d.dies},
		{"everybody is gone", d.alone},
	}
	for _, c := range claims {
		took := time.Now()
		said, err := c.test(ctx)
		if err != nil {
			return &report.Problem{ID: "demo", Exit: report.ExitFailed, Message: fmt.Sprintf("this is not true here: %s: %v", c.what, err), Try: []string{"flurry demo --keep -v, and look into the directory"}}
		}
		d.steps++
		d.line(c.what, said, time.Since(took))
	}
	fmt.Fprintf(d.out, "\nall %d are true on this machine; %.1f s.", d.steps, time.Since(start).Seconds())
	if d.keep {
		fmt.Fprintf(d.out, " Left for a look: %s\n", d.dir)
	} else {
		fmt.Fprintf(d.out, " Gone without a trace: %s\n", d.dir)
	}
	fmt.Fprintf(d.out, "next: sudo flurry setup               connect this machine's Nix\n      flurry demo --path ./result     the same with something you built\n")
	return nil
}

func (d *demo) line(what, said string, took time.Duration) {
	for k, text := range strings.Split(said, "\n") {
		switch k {
		case 0:
			fmt.Fprintf(d.out, "%2d  %-24s  %-58s %5.2f s\n", d.steps, what, text, took.Seconds())
		default:
			fmt.Fprintf(d.out, "    %-24s  %s\n", "", text)
		}
	}
}

// clean ends all nodes and removes the directory.
func (d *demo) clean() error {
	var errs []error
	for _, n := range d.nodes {
		errs = append(errs, n.end())
	}
	if c, ok := d.source.(interface{ Close() error }); ok {
		errs = append(errs, c.Close())
	}
	if d.keep {
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, removeAll(d.dir))...)
}

// removeAll removes a tree in which Nix has made directories read-only.
func removeAll(dir string) error {
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = os.Chmod(name, 0o700)
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(dir))
}

// start starts a node called name that knows the given peers. wrap, if not nil, changes how it answers others.
func (d *demo) start(ctx context.Context, name string, share node.Share, wrap func(transfer.Handler) transfer.Handler, peers ...*demoNode) (*demoNode, error) {
	cfg := config{State: filepath.Join(d.dir, name), Gateway: []string{"127.0.0.1:0"}, Sign: true, Budget: node.BudgetWAN, Share: share, Loopback: true,
		WAN: true, Reserve: 64 << 20}
	for _, p := range peers {
		hint, err := peer.ParsePeer(p.wire.host.Addrs()[0].String())
		if err != nil {
			return nil, err
		}
		cfg.Peers = append(cfg.Peers, hint)
	}
	log := slog.New(slog.DiscardHandler)
	if d.verbose > 0 {
		log = d.logger().With("node", name)
	}
	i, err := open(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	i.wrap = wrap
	n := &demoNode{instance: i}
	ctx, n.stop = context.WithCancel(ctx)
	if err := i.listen(ctx); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	if err := i.start(ctx); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	n.wait = func() error { return i.wait(ctx) }
	d.nodes = append(d.nodes, n)
	return n, i.goOnline()
}

// end stops the node. Ending twice does nothing.
func (n *demoNode) end() error {
	if n.stop == nil {
		return nil
	}
	n.stop()
	n.stop = nil
	return errors.Join(n.wait(), n.Close())
}

func (n *demoNode) url() string { return "http://" + n.gatewayAt[0].Addr().String() }

func (d *demo) makes(ctx context.Context) (string, error) {
	var err error
	if d.alice, err = d.start(ctx, "alice", node.ShareAll, nil); err != nil {
		return "", err
	}
	made, err := d.alice.verbs().New(ctx, control.NewRequest{Name: "demo-1", Keep: 24 * time.Hour, About: "what flurry demo publishes"})
	d.address = made.Address
	return made.Address[:min(len(made.Address), 20)] + "…  a key is all there is: no account, no server", err
}

func (d *demo) publishes(ctx context.Context) (string, error) {
	start := time.Now()
	done, err := d.alice.node.Publish(ctx, d.source, node.PublishRequest{Alias: "demo-1", Roots: d.roots})
	if err != nil {
		return "", err
	}
	if done.Paths != len(d.closure) {
		return "", fmt.Errorf("%d of %d paths were published", done.Paths, len(d.closure))
	}
	stored, err := d.alice.packs.Stats(ctx)
	return fmt.Sprintf("%d paths, %s, stored in %s, on disk in %.2f s", done.Paths, megabytes(done.NarBytes), megabytes(uint64(stored.Bytes)), time.Since(start).Seconds()), err
}

func megabytes(n uint64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// joins starts a node that uses demo-1 and knows peers, and waits until it is synced.
func (d *demo) joins(ctx context.Context, name string, share node.Share, wrap func(transfer.Handler) transfer.Handler, peers ...*demoNode) (*demoNode, report.Use, error) {
	n, err := d.start(ctx, name, share, wrap, peers...)
	if err != nil {
		return nil, report.Use{}, err
	}
	u, err := n.verbs().Use(ctx, control.UseRequest{Namespace: d.address, Wait: 20 * time.Second})
	if err == nil && !u.Synced {
		err = errors.New("nobody who holds the namespace was found in 20 s")
	}
	return n, u, err
}

func (d *demo) uses(ctx context.Context) (string, error) {
	start := time.Now()
	_, u, err := d.joins(ctx, "bob", node.ShareAll, nil, d.alice)
	if err == nil && u.Paths != len(d.closure) {
		err = fmt.Errorf("%d of %d paths are in bob's catalog", u.Paths, len(d.closure))
	}
	return fmt.Sprintf("catalog synced, %d paths, in %.0f ms", u.Paths, float64(time.Since(start).Milliseconds())), err
}

func (d *demo) named(name string) *demoNode {
	for _, n := range d.nodes {
		if filepath.Base(n.cfg.State) == name {
			return n
		}
	}
	return nil
}

// copyAll has the client copy paths through n's gateway, and checks that what arrived is what was published.
func (d *demo) copyAll(ctx context.Context, n *demoNode, paths []daemon.PathInfo) (time.Duration, error) {
	start := time.Now()
	if err := d.client.copy(ctx, n.url(), n.local.Public(), filepath.Join(n.cfg.State, "copy"), paths); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}

func (d *demo) builds(ctx context.Context) (string, error) {
	bob := d.named("bob")
	took, err := d.copyAll(ctx, bob, d.closure)
	if err != nil {
		return "", err
	}
	total := narBytes(d.closure)
	median, _ := bob.gateway.Memory().Durations()
	return fmt.Sprintf("%d paths copied by %s, %.0f MB/s; narinfo %.1f ms median\nsha256 of all %d equal alice's", len(d.closure), d.client.name(),
		float64(total)/1e6/took.Seconds(), median*1000, len(d.closure)), nil
}

func narBytes(paths []daemon.PathInfo) (n uint64) {
	for _, p := range paths {
		n += p.NarSize
	}
	return n
}
