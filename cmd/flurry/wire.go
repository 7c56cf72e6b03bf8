package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"

	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/dht/kad"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/peer/mdns"
	"github.com/flurry-nix/flurry/peer/static"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/stream"
	"github.com/flurry-nix/flurry/trust"
)

// wire is what an instance has once it speaks to others: a libp2p host, the streams and the DHT on it.
type wire struct {
	host    host.Host
	gate    *stream.DialGate
	streams *stream.Network
	router  *kad.Router // nil without WAN

	mu      sync.Mutex
	finders []*static.Finder
	near    *mdns.Finder       // finds neighbours; nil: they are not looked for
	named   map[peer.Hint]bool // what the finders look for
}

// goOnline opens the peer port and joins others, if that has not happened yet. Before it nothing goes on the wire.
func (i *instance) goOnline() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.wire != nil {
		return nil
	}
	if err := i.ctx.Err(); err != nil {
		return err // nobody would wait for it any more
	}
	w, err := i.openWire()
	if err != nil {
		return err
	}
	i.wire = w
	var router dht.Router
	if w.router != nil {
		router = w.router
		i.group.Go(func() error { return i.quietly("the DHT", w.router.Run(i.ctx)) })
	}
	sign, err := receiptSigner(w.host)
	if err != nil {
		return err
	}
	if err := i.node.GoOnline(w.streams, router, sign); err != nil {
		return err
	}
	i.find(i.hints())
	i.group.Go(func() error { return i.keepLooking(i.ctx) })
	if !i.cfg.Loopback {
		i.group.Go(func() error { return i.watchNetwork(i.ctx, w) })
	}
	if i.cfg.LAN {
		near := mdns.New(w.host, i.log)
		w.setNear(near)
		i.group.Go(func() error { return i.quietly("finding peers on the LAN", near.Run(i.ctx, i.found)) })
	}
	return nil
}

// receiptSigner signs receipts with the key by which others know the host.
func receiptSigner(h host.Host) (node.ReceiptSigner, error) {
	raw, err := h.Peerstore().PrivKey(h.ID()).Raw()
	if err != nil {
		return nil, err
	}
	if len(raw) != ed25519.PrivateKeySize {
		return nil, errors.New("the node's key is not an Ed25519 key")
	}
	return func(r *namespace.Receipt) ([]byte, error) { return trust.SignReceipt(r, ed25519.PrivateKey(raw)) }, nil
}

// quietly logs the end of one way to find peers: there are others, and what is here is served without any.
func (i *instance) quietly(what string, err error) error {
	if err != nil && i.ctx.Err() == nil {
		i.log.Error(what+" ended", "err", err)
	}
	return nil
}

func (i *instance) openWire() (_ *wire, err error) {
	w := &wire{named: make(map[peer.Hint]bool)}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	gate := stream.NewDialGate(nil, i.cfg.Loopback)
	w.gate = gate
	if w.host, err = i.newHost(stream.HostConfig{KeyFile: filepath.Join(i.cfg.State, "identity.key"), Port: i.peerPort(), Loopback: i.cfg.Loopback,
		WAN: i.cfg.WAN && !i.cfg.Loopback, UserAgent: "flurry/" + version, Gate: gate}); err != nil {
		return nil, err
	}
	var answers transfer.Handler = i.node.Server()
	if i.wrap != nil {
		answers = i.wrap(answers)
	}
	if w.streams, err = stream.New(w.host, answers, stream.Options{UploadRate: i.cfg.Upload, Log: i.log}); err != nil {
		return nil, err
	}
	if !i.cfg.WAN {
		return w, nil
	}
	w.router, err = kad.New(w.host, kad.Options{Dir: filepath.Join(i.cfg.State, "db", "dht"), Accept: i.hasRoom, Log: i.log})
	return w, err
}

// newHost listens at the port that it is told, or for this run at any, if somebody took that since it was found free.
func (i *instance) newHost(c stream.HostConfig) (host.Host, error) {
	h, err := stream.NewHost(c)
	if err == nil || c.Port == 0 {
		return h, err
	}
	taken := c.Port
	c.Port = 0
	h, other := stream.NewHost(c)
	if other != nil {
		return nil, err
	}
	i.log.Warn("the peer port cannot be had; using another for this run, which is no good behind a port forward", "port", taken, "err", err)
	return h, nil
}

// roomEvery is how often the disk is asked for room for what others announce here.
const roomEvery = 10 * time.Second

// hasRoom reports whether the disk has room beyond the reserve. It asks the disk now and then, not each time.
func (i *instance) hasRoom() bool {
	i.room.Lock()
	defer i.room.Unlock()
	if now := time.Now(); now.Sub(i.room.asked) > roomEvery {
		s, err := i.packs.Stats(i.ctx)
		i.room.asked, i.room.enough = now, err == nil && s.DiskFree >= s.Reserve
	}
	return i.room.enough
}

func (w *wire) close() error {
	var errs []error
	if w.streams != nil {
		errs = append(errs, w.streams.Close())
	}
	if w.host != nil {
		errs = append(errs, w.host.Close())
	}
	if w.router != nil {
		errs = append(errs, w.router.Close())
	}
	return errors.Join(errs...)
}

// lookEvery is how often it is looked whether a document names seeds that it did not name before.
const lookEvery = 10 * time.Second

// keepLooking looks for whom the namespaces name, also for those that their documents come to name.
func (i *instance) keepLooking(ctx context.Context) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			i.find(i.hints())
		case <-ctx.Done():
			return nil
		}
	}
}

// hints are all the places that the configuration, the namespaces and their documents name.
func (i *instance) hints() []peer.Hint {
	hints := append(append([]peer.Hint(nil), i.cfg.Peers...), i.cfg.Bootstrap...)
	for _, sp := range i.node.Spaces() {
		hints = append(hints, i.verbs().seedsOf(sp)...)
	}
	return hints
}

// find keeps trying to reach hints until the instance ends.
func (i *instance) find(hints []peer.Hint) {
	w := i.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	var fresh []peer.Hint
	for _, h := range hints {
		if !w.named[h] {
			w.named[h] = true
			fresh = append(fresh, h)
		}
	}
	if len(fresh) == 0 {
		return
	}
	finder := static.New(w.host, fresh, static.Options{Permit: w.gate.Permit, Log: i.log})
	w.finders = append(w.finders, finder)
	i.group.Go(func() error { return i.quietly("finding peers by address", finder.Run(i.ctx, i.found)) })
}

// reachTime is how long somebody who waits for an answer waits for peers that were named.
const reachTime = 8 * time.Second

// reach tries hints, waits until each has led to somebody or to nobody, at most most, and says what became of each.
func (i *instance) reach(ctx context.Context, hints []peer.Hint, most time.Duration) []static.State {
	i.find(hints)
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	look := time.NewTicker(reachTime / 100)
	defer look.Stop()
	for {
		states, settled := i.wire.states(hints)
		if settled {
			return states
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return states
		}
	}
}

// states are what became of hints so far, and whether something became of all.
func (w *wire) states(hints []peer.Hint) (states []static.State, settled bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	settled = true
	for _, f := range w.finders {
		for _, s := range f.States() {
			if slices.Contains(hints, s.Hint) {
				states = append(states, s)
				settled = settled && !s.Tried.IsZero()
			}
		}
	}
	return states, settled
}

// namedPeers are the peers that hints led to.
func (i *instance) namedPeers(hints []peer.Hint) []peer.ID {
	i.mu.Lock()
	w := i.wire
	i.mu.Unlock()
	if w == nil {
		return nil
	}
	states, _ := w.states(hints)
	var out []peer.ID
	for _, s := range states {
		for _, p := range s.Peers {
			out = append(out, p.ID)
		}
	}
	return out
}

// unreachable says why hints lead to nobody, as far as it was tried.
func (w *wire) unreachable(hints []peer.Hint) []*static.UnreachableError {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*static.UnreachableError
	for _, f := range w.finders {
		for _, s := range f.States() {
			var why *static.UnreachableError
			if slices.Contains(hints, s.Hint) && errors.As(s.Err, &why) && why.Reason != static.Itself {
				out = append(out, why)
			}
		}
	}
	return out
}

// found meets a peer and tells the DHT of it.
func (i *instance) found(p peer.Info) {
	if i.wire.router != nil {
		i.wire.router.AddPeer(p)
	}
	if err := i.node.Meet(i.ctx, p); err != nil && i.ctx.Err() == nil {
		i.log.Debug("peer not reached", "peer", p.ID.Short(), "err", err)
	}
}
