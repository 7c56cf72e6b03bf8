package kad

import (
	"context"
	"iter"

	"github.com/ipfs/go-cid"
	libpeer "github.com/libp2p/go-libp2p/core/peer"

	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/peer"
)

// Providers implements [dht.Router]. While the router does not run it yields
// nobody. A walk lasts a minute at most and yields at most a thousand peers; eight
// run at a time, others wait for their turn.
func (r *Router) Providers(ctx context.Context, k dht.Key) iter.Seq[peer.Info] {
	return func(yield func(peer.Info) bool) {
		s, done := r.current()
		if s == nil {
			return
		}
		defer done()
		ctx, cancel := context.WithTimeout(ctx, maxWalk)
		defer cancel()
		defer context.AfterFunc(s.ctx, cancel)()
		select {
		case r.walks <- struct{}{}:
			defer func() { <-r.walks }()
		case <-ctx.Done():
			return
		}
		s.walk(ctx, cancel, k, yield)
	}
}

// walk yields the providers of k. Those that were named without addresses come
// last, with what can be found.
func (s *session) walk(ctx context.Context, cancel func(), k dht.Key, yield func(peer.Info) bool) {
	if ctx.Err() != nil {
		return
	}
	// Count 0: a walk that stopped at the first few would let whoever answers
	// first decide who is found.
	found := s.dht.FindProvidersAsync(ctx, cid.NewCidV1(cid.Raw, k.Multihash()), 0)
	defer func() {
		cancel()
		for range found { // the library's walk ends by being read
		}
	}()
	seen := map[libpeer.ID]bool{s.router.host.ID(): true}
	unaddressed := make(map[libpeer.ID]bool)
	for p := range found {
		if seen[p.ID] {
			continue
		}
		info := infoOf(p)
		if len(info.Addrs) == 0 {
			if len(unaddressed) < maxUnaddressed {
				unaddressed[p.ID] = true
			}
			continue
		}
		seen[p.ID] = true
		delete(unaddressed, p.ID)
		if !yield(info) || len(seen) > maxFound || ctx.Err() != nil {
			return
		}
	}
	for id := range unaddressed {
		if p, err := s.dht.FindPeer(ctx, id); err == nil && !yield(infoOf(p)) {
			return
		}
	}
}
