package kad

import (
	"context"
	"iter"
	"slices"

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
	alive := func(p peer.Info) bool { return yield(p) && ctx.Err() == nil }
	unaddressed, more := distinct(found, s.router.host.ID(), alive)
	for _, id := range unaddressed {
		if p, err := s.dht.FindPeer(ctx, id); more && err == nil {
			more = alive(infoOf(p))
		}
	}
}

// distinct yields each provider that comes once, save self, until yield returns
// false or maxFound have come. It returns some of those that came without
// addresses alone, and whether to go on.
func distinct(found <-chan libpeer.AddrInfo, self libpeer.ID, yield func(peer.Info) bool) (unaddressed []libpeer.ID, more bool) {
	seen := map[libpeer.ID]bool{self: true}
	for p := range found {
		info := infoOf(p)
		switch {
		case seen[p.ID]:
		case len(info.Addrs) > 0:
			seen[p.ID] = true
			if !yield(info) || len(seen) > maxFound {
				return nil, false
			}
		case len(unaddressed) < maxUnaddressed && !slices.Contains(unaddressed, p.ID):
			unaddressed = append(unaddressed, p.ID)
		}
	}
	return slices.DeleteFunc(unaddressed, func(id libpeer.ID) bool { return seen[id] }), true
}
