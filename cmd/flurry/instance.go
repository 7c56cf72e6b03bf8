package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flurry-nix/flurry/catalog"
	catalogdisk "github.com/flurry-nix/flurry/catalog/disk"
	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/httpgateway"
	"github.com/flurry-nix/flurry/httpgateway/pages"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/store"
	storedisk "github.com/flurry-nix/flurry/store/disk"
	"github.com/flurry-nix/flurry/store/inplace"
	"github.com/flurry-nix/flurry/transfer"
)

// instance is one flurry: everything that the daemon, the demo and the tests run. open makes it from the disk up; run
// puts it on its sockets; it goes on the wire when there is a reason to.
type instance struct {
	cfg   config
	log   *slog.Logger
	codec *store.Codec

	packs   *storedisk.Store
	index   *catalogdisk.KV
	catalog *catalog.Catalog
	keys    *keyring
	spaces  *spacesFile
	node    *node.Node
	gateway *httpgateway.Gateway
	local   nix.SecretKey

	gatewayAt []net.Listener
	controlAt net.Listener

	drain   time.Duration // how long NARs under way may take when the instance ends
	leaving func()        // called before the gateway closes; nil: nothing is to be done
	seat    *seat         // under a supervisor; nil: without one

	// wrap, if not nil, changes how other nodes are answered: the demo's liar has one.
	wrap func(transfer.Handler) transfer.Handler

	nixPaths *nixPaths      // nil: nothing is read from /nix/store
	inPlace  *inplace.Store // packs, and what is read from there

	drainer *drainer // nil: nothing is published without being named
	builds  *builds

	room struct { // what hasRoom last found
		sync.Mutex
		asked  time.Time
		enough bool
	}

	mu     sync.Mutex
	wire   *wire // nil until something is to go on the wire
	ctx    context.Context
	group  *errgroup.Group
	source node.Source // opened at the first publish
	// warnings are what status complains of for as long as this process lives.
	warnings []report.Problem
}

// open builds an instance on cfg.State. Nothing runs and nothing listens yet.
func open(ctx context.Context, cfg config, log *slog.Logger) (_ *instance, err error) {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	i := &instance{cfg: cfg, log: log, codec: store.NewCodec(), drain: drainTime}
	defer func() {
		if err != nil {
			err = errors.Join(err, i.Close())
		}
	}()
	if err := os.MkdirAll(cfg.State, 0o755); err != nil {
		return nil, err
	}
	if i.packs, err = storedisk.Open(ctx, cfg.State, storedisk.Options{Quota: cfg.Quota, Reserve: cfg.Reserve, Log: log}); err != nil {
		return nil, storeProblem(cfg.State, err)
	}
	if i.catalog, err = i.openCatalog(ctx); err != nil {
		return nil, err
	}
	if i.keys, err = openKeyring(filepath.Join(cfg.State, "keys"), cfg.KeyFiles, i.catalog.Policy); err != nil {
		return nil, err
	}
	if i.local, err = i.keys.local(); err != nil {
		return nil, err
	}
	needs := node.Needs{Catalog: i.catalog, Store: i.packs, Codec: i.codec, Keys: i.keys, Log: log, Now: cfg.Clock, Origin: openOrigin, Named: i.namedPeers}
	if cfg.Automatic {
		needs.Scratch = func() (node.Scratch, error) { return openScratch(cfg.State) }
		if err := tidyScratch(cfg.State); err != nil {
			log.Debug("what a crash left of what was put aside", "err", err)
		}
	}
	if cfg.InPlace && cfg.Automatic {
		i.nixPaths = newNixPaths(cfg.Nix, log)
		i.inPlace = inplace.New(i.packs, i.codec, i.nixPaths, func(p nix.StorePath, id content.BodyID, why error) { i.node.LostPlace(p, id, why) })
		needs.Store, needs.InPlace, needs.Installed = i.inPlace, i.inPlace, installed{cfg.Nix}
	}
	i.node = node.New(needs,
		node.Settings{Share: cfg.Share, TrustedByNix: nixTrusts(cfg.NixConf), HoleFilled: pathIsThere, BudgetLAN: cfg.BudgetLAN, BudgetWAN: cfg.Budget, Collect: cfg.Collect})
	if i.spaces, err = openSpaces(filepath.Join(cfg.State, "namespaces.toml"), cfg.Spaces); err != nil {
		return nil, err
	}
	for _, sp := range i.spaces.all() {
		if _, err := i.keys.Signer(sp.Address); err == nil {
			sp.Publish = true
		}
		if err := i.node.Put(sp); err != nil {
			return nil, err
		}
	}
	shown, err := pages.New(pages.Options{Node: shownNode{i.verbs()}, Version: version, Now: cfg.Clock, Log: log})
	if err != nil {
		return nil, err
	}
	options := httpgateway.Options{Budget: cfg.Budget, Grace: i.node.GraceLeft, Log: log, Page: shown}
	if cfg.Sign {
		options.Signer = &i.local
	}
	i.gateway = httpgateway.New(gatewayCache{i.node}, options)
	return i, closeToOthers(cfg.State)
}

// closeToOthers lets nobody else on this machine list what the node holds; it is asked over its sockets.
func closeToOthers(state string) error {
	return errors.Join(os.Chmod(filepath.Join(state, "db"), 0o700), os.Chmod(filepath.Join(state, "index"), 0o700))
}

// pathIsThere reports whether p is in the store directory: then a hole that a publication left is filled. Whether Nix
// has finished building it is not asked: this is called for every path that depends on a hole.
func pathIsThere(p nix.StorePath) bool {
	_, err := os.Lstat(p.String())
	return err == nil
}

// listen opens the gateway's and the control sockets.
func (i *instance) listen(ctx context.Context) (err error) {
	if i.gatewayAt, err = i.listenGateway(ctx, i.cfg.Gateway); err != nil {
		return err
	}
	if i.cfg.Socket == "" {
		return nil
	}
	i.controlAt, err = listenControl(ctx, i.cfg.Socket, i.cfg.Private)
	return err
}

// start puts the instance on its sockets, and on the wire if there is a reason to. It runs until ctx ends; wait waits for
// that. The gateway ends first: what it is giving out may need the rest. After an error nothing runs.
func (i *instance) start(ctx context.Context) (err error) {
	var roles control.Roles
	if i.controlAt != nil {
		owner, err := ownerOf(i.cfg.State)
		if err != nil {
			return err
		}
		roles = control.Roles{Owner: owner, Admins: i.cfg.Admins, Publishers: i.cfg.Publishers}
	}
	inner, end := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			end()
		}
	}()
	i.group, i.ctx = errgroup.WithContext(inner)
	if err := i.node.Start(i.ctx); err != nil {
		return err
	}
	serving, stop := context.WithCancel(i.ctx)
	var servers sync.WaitGroup
	i.group.Go(func() error {
		defer end()
		defer stop()
		select {
		case <-ctx.Done():
			if i.leaving != nil {
				i.leaving()
			}
		case <-i.ctx.Done():
		}
		stop()
		servers.Wait()
		return nil
	})
	i.group.Go(func() error { i.node.Wait(); return nil })
	i.group.Go(func() error { return i.verbs().stopWhenCopied(i.ctx, copiesEvery) })
	if i.cfg.Automatic {
		i.verbs().publishUnnamed()
	}
	if i.nixPaths != nil {
		i.group.Go(func() error { return i.nixPaths.run(i.ctx) })
	}
	for _, l := range i.gatewayAt {
		servers.Add(1)
		i.group.Go(func() error {
			defer servers.Done()
			return i.serveGateway(serving, l)
		})
	}
	if i.controlAt != nil {
		i.group.Go(func() error { return control.Serve(i.ctx, i.controlAt, i.verbs(), roles, i.log) })
	}
	if i.consented() {
		if err := i.goOnline(); err != nil {
			i.log.Error("no network; what is here is served", "err", err)
		}
	}
	return nil
}

// consented reports whether something that was said lets the instance go on the wire: a peer was named, a namespace is
// in use, or something was published. Having made a namespace does not.
func (i *instance) consented() bool {
	return len(i.cfg.Peers) > 0 || slices.ContainsFunc(i.node.Spaces(), func(sp node.Space) bool {
		return sp.Use || sp.Seed || i.catalog.Stats(sp.Address).Publications > 0
	})
}

// wait returns when everything that start began has ended: nil if that was because its context ended.
func (i *instance) wait(ctx context.Context) error {
	if err := i.group.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// drainTime is how long NARs under way may take when an instance ends that is no daemon's.
const drainTime = 5 * time.Second

func (i *instance) serveGateway(ctx context.Context, l net.Listener) error {
	srv := httpgateway.NewServer(i.gateway)
	srv.ErrorLog = slog.NewLogLogger(i.log.Handler(), slog.LevelDebug)
	watched(srv)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), i.drain)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		i.log.Debug("gateway: answers were cut off", "err", errors.Join(err, srv.Close()))
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close closes what open opened. run must have ended.
func (i *instance) Close() error {
	var errs []error
	for _, l := range i.gatewayAt {
		l.Close() // closed by the server already, unless run never was
	}
	if i.controlAt != nil {
		i.controlAt.Close()
	}
	if i.gateway != nil {
		ctx, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		errs = append(errs, i.gateway.Close(ctx))
	}
	if i.wire != nil {
		errs = append(errs, i.wire.close())
	}
	if i.source != nil {
		if c, ok := i.source.(interface{ Close() error }); ok {
			errs = append(errs, c.Close())
		}
	}
	if i.index != nil {
		errs = append(errs, i.index.Close())
	}
	if i.packs != nil {
		errs = append(errs, i.packs.Close())
	}
	return errors.Join(errs...)
}
