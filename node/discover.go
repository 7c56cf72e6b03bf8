package node

import (
	"context"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/peer"
)

// discover looks for peers that serve the namespaces of this node until ctx ends: often while there is a namespace for
// which none is known, seldom otherwise, and at once when a namespace is new or somebody came who may know more.
func (n *Node) discover(ctx context.Context) {
	last := make(map[namespace.Address]time.Time)
	wait := discoverEager
	for ctx.Err() == nil {
		changes, met := n.spaces.changes(), n.peers.arrivals()
		if lonely := n.walkAll(ctx, last); !lonely {
			wait = pollInterval
		} else {
			wait = min(2*wait, discoverLonely)
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-changes:
			wait = discoverEager / 2
		case <-met:
			pause(ctx, discoverEager/4) // until it has introduced itself
		case <-t.C:
		}
		t.Stop()
	}
}

// walkAll looks for the namespaces whose turn it is; it reports whether there is one for which nobody is known.
func (n *Node) walkAll(ctx context.Context, last map[namespace.Address]time.Time) (lonely bool) {
	var walks sync.WaitGroup
	defer walks.Wait()
	for _, sp := range n.spaces.all() {
		serving := len(n.peers.serving(sp.Address, nil))
		if !sp.Address.CanPublish() || sp.nearby() || sp.Origin != "" {
			continue // the DHT has nothing of it, or must not hear of it
		}
		lonely = lonely || serving == 0
		if serving > 0 && n.Now().Sub(last[sp.Address]) < discoverInterval {
			continue
		}
		last[sp.Address] = n.Now()
		walks.Go(func() { n.walk(ctx, dht.NamespaceKey(sp.Address)) })
	}
	return lonely
}

// walk connects to the providers of k.
func (n *Node) walk(ctx context.Context, k dht.Key) {
	ctx, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	var dials sync.WaitGroup
	defer dials.Wait()
	room := make(chan struct{}, dialsAtOnce)
	found := 0
	for info := range n.router().Providers(ctx, k) {
		if found++; found > providersWanted {
			return
		}
		room <- struct{}{}
		dials.Go(func() {
			defer func() { <-room }()
			n.meet(ctx, info)
		})
	}
}

// meet connects to a peer; what follows comes by the network's events.
func (n *Node) meet(ctx context.Context, info peer.Info) {
	if _, err := n.network().Connect(ctx, info); err != nil {
		n.Log.Debug("peer not reached", "peer", info.ID.Short(), "err", err)
	}
}

// seek looks in the DHT for who holds one listed path. It is the last resort: it asks strangers about a path that the
// namespace's catalog names in public.
func (n *Node) seek(ctx context.Context, a namespace.Address, h nix.PathHash) {
	if n.router() == nil || n.network() == nil {
		return
	}
	if sp, known := n.spaces.get(a); !known || sp.nearby() || sp.Origin != "" {
		return
	}
	n.walk(ctx, dht.PathKey(a, h))
}

// Meet connects to a peer that somebody named or that was found nearby.
func (n *Node) Meet(ctx context.Context, info peer.Info) error {
	if n.network() == nil {
		return ErrOffline
	}
	_, err := n.network().Connect(ctx, info)
	return err
}
