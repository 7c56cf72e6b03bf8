// Package mdns finds flurry nodes on the local network by multicast DNS, as service _flurry._udp.
//
// What it hears is a hint and no more: who a peer is is proven by the handshake, and what it gives is verified.
package mdns

import (
	"context"
	"log/slog"

	"github.com/libp2p/go-libp2p/core/host"
	lpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"

	"github.com/flurry-nix/flurry/peer"
)

// service is the name under which nodes announce themselves.
const service = "_flurry._udp"

// heard bounds the announcements that wait to be told; more are dropped, since they are repeated.
const heard = 64

// Finder listens to announcements and makes its own.
type Finder struct {
	host host.Host
	log  *slog.Logger
}

var _ peer.Finder = (*Finder)(nil)

// New returns a finder on h.
func New(h host.Host, log *slog.Logger) *Finder { return &Finder{host: h, log: log} }

// notifee hands what the library hears to Run.
type notifee chan lpeer.AddrInfo

// HandlePeerFound implements mdns.Notifee.
func (n notifee) HandlePeerFound(p lpeer.AddrInfo) {
	select {
	case n <- p:
	default:
	}
}

// Run announces this node and calls found for others until ctx ends.
func (f *Finder) Run(ctx context.Context, found func(peer.Info)) error {
	n := make(notifee, heard)
	s := mdns.NewMdnsService(f.host, service, n)
	if err := s.Start(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return s.Close()
		case p := <-n:
			if p.ID == f.host.ID() {
				continue
			}
			info := peer.Info{ID: peer.ID(p.ID.String())}
			for _, a := range p.Addrs {
				info.Addrs = append(info.Addrs, a.String())
			}
			found(info)
		}
	}
}
