// Package mdns finds the peers on the local network, by multicast DNS (RFC
// 6762), and lets them find this node.
//
// What it hears there anybody on the network may have said. It passes on
// addresses and claims about who is at them, a few at a time, and does nothing
// with them.
package mdns

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	lpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"github.com/flurry-nix/flurry/peer"
)

// Service is the name under which nodes announce themselves.
const Service = "_flurry._udp"

const (
	// heard is how many claims may wait to be looked at. One that is lost when
	// there are more is made again within minutes.
	heard = 64

	// settle is how long the addresses of this machine must have stayed the same
	// before they are announced anew: an interface that comes up gets several.
	settle = 3 * time.Second

	// retry is when it is tried again after multicast could not be had, as on a
	// machine without a network.
	retry = time.Minute
)

// Finder finds peers on the LAN. Make one with [New].
type Finder struct {
	host host.Host
	log  *slog.Logger
	name string // of the service; another one in tests
	anew chan struct{}
}

var _ peer.Finder = (*Finder)(nil)

// New returns a Finder that announces h. log may be nil.
func New(h host.Host, log *slog.Logger) *Finder {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Finder{host: h, log: log, name: Service, anew: make(chan struct{}, 1)}
}

// Hasten has neighbours asked for at once: this machine has come to another network. libp2p itself notices within a minute.
func (f *Finder) Hasten() {
	select {
	case f.anew <- struct{}{}:
	default: // it is about to
	}
}

// Run implements [peer.Finder]. A network without multicast is no error: it may
// become another.
func (f *Finder) Run(ctx context.Context, found func(peer.Info)) error {
	changes, err := f.host.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated), eventbus.Name("flurry-mdns"))
	if err != nil {
		return fmt.Errorf("mdns: %w", err)
	}
	defer changes.Close()
	for ctx.Err() == nil {
		f.round(ctx, changes.Out(), found)
	}
	return nil
}

// round announces the addresses that this machine has now, and listens until
// it has others.
func (f *Finder) round(ctx context.Context, changes <-chan any, found func(peer.Info)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	claims := make(chan lpeer.AddrInfo, heard)
	s := mdns.NewMdnsService(f.host, f.name, &ear{ctx, claims})
	defer s.Close()
	restart := time.NewTimer(retry)
	defer restart.Stop()
	if err := s.Start(); err != nil {
		f.log.Debug("multicast DNS is not to be had", "err", err)
	} else {
		restart.Stop()
	}
	for {
		select {
		case p := <-claims:
			if info, ok := infoOf(p); ok {
				found(info)
			}
		case <-changes:
			restart.Reset(settle)
		case <-restart.C:
			return
		case <-f.anew:
			return
		case <-ctx.Done():
			return
		}
	}
}

// ear hears claims; libp2p calls it in a goroutine for each.
type ear struct {
	ctx    context.Context
	claims chan<- lpeer.AddrInfo
}

// HandlePeerFound implements libp2p's Notifee.
func (e *ear) HandlePeerFound(p lpeer.AddrInfo) {
	select {
	case e.claims <- p:
	case <-e.ctx.Done():
	default: // there will be another time
	}
}

// infoOf takes a claim for what it says, addresses once each and few of them.
func infoOf(p lpeer.AddrInfo) (peer.Info, bool) {
	info := peer.Info{ID: peer.ID(p.ID.String())}
	for _, m := range p.Addrs {
		if s := m.String(); len(info.Addrs) < peer.MaxAddrs && !slices.Contains(info.Addrs, s) {
			info.Addrs = append(info.Addrs, s)
		}
	}
	return info, len(info.Addrs) > 0
}
