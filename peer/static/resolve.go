package static

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	lpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/flurry-nix/flurry/peer"
)

// Resolve finds out who a hint leads to, connects, and makes sure that it speaks
// flurry. Where a hint leads to several, the first that answers is returned.
// The error is an [*UnreachableError], or ctx's.
func Resolve(ctx context.Context, h host.Host, hint peer.Hint) (peer.Info, error) {
	all, err := newResolver(h, nil).resolve(ctx, hint)
	if len(all) == 0 {
		return peer.Info{}, err
	}
	return all[0], nil
}

// resolver asks after hints.
type resolver struct {
	host    host.Host
	names   names
	permit  func(netip.Addr) // told of each address before it is dialled
	timeout time.Duration    // for dialling
}

func newResolver(h host.Host, permit func(netip.Addr)) *resolver {
	if permit == nil {
		permit = func(netip.Addr) {}
	}
	return &resolver{host: h, names: net.DefaultResolver, permit: permit, timeout: dialTimeout}
}

// resolve returns everybody that a hint leads to, and an error if that is
// nobody.
func (r *resolver) resolve(ctx context.Context, hint peer.Hint) ([]peer.Info, error) {
	candidates, err := r.candidates(ctx, hint)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, &UnreachableError{Hint: hint, Reason: NoSuchName, Cause: err}
	}
	var found []peer.Info
	var failures []*UnreachableError
	for _, c := range candidates {
		r.permitAll(c.addrs)
		known, failed := r.identify(ctx, c)
		for _, k := range known {
			if info, failure := r.connect(ctx, k); failure != nil {
				failed = append(failed, failure)
			} else {
				found = append(found, info)
			}
		}
		failures = append(failures, failed...)
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case len(found) > 0:
		return found, nil
	}
	return nil, worst(hint, failures)
}

func (r *resolver) permitAll(addrs []ma.Multiaddr) {
	for _, m := range addrs {
		if ip, err := manet.ToIP(m); err == nil {
			if a, ok := netip.AddrFromSlice(ip); ok {
				r.permit(a)
			}
		}
	}
}

// worst is the failure that tells most: who answered tells more than who did
// not. Attempts of those are put together.
func worst(hint peer.Hint, failures []*UnreachableError) *UnreachableError {
	out := &UnreachableError{Hint: hint, Reason: NoAnswer}
	for _, f := range failures {
		if f.Reason != NoAnswer {
			f.Hint = hint
			return f
		}
		out.Attempts = append(out.Attempts, f.Attempts...)
	}
	return out
}

// connect connects to a peer whose id is known, and finds out what it speaks.
func (r *resolver) connect(ctx context.Context, c candidate) (peer.Info, *UnreachableError) {
	if c.id == r.host.ID() {
		return peer.Info{}, &UnreachableError{Reason: Itself}
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	if err := r.host.Connect(network.WithDialPeerTimeout(ctx, r.timeout), lpeer.AddrInfo{ID: c.id, Addrs: c.addrs}); err != nil {
		return peer.Info{}, &UnreachableError{Reason: NoAnswer, Attempts: r.attempts(err, c.addrs)}
	}
	if failure := r.speaks(ctx, c); failure != nil {
		return peer.Info{}, failure
	}
	info := peer.Info{ID: peer.ID(c.id.String())}
	for _, m := range c.addrs[:min(len(c.addrs), peer.MaxAddrs)] {
		info.Addrs = append(info.Addrs, m.String())
	}
	return info, nil
}

// speaks asks a connected peer for the first of flurry's protocols: what it has
// told about itself may not have come yet. One that does not is hung up on.
func (r *resolver) speaks(ctx context.Context, c candidate) *UnreachableError {
	s, err := r.host.NewStream(ctx, c.id, protocol.ID(peer.Protocol("lookup")))
	if err == nil {
		_ = s.Reset()
		return nil
	}
	defer func() { _ = r.host.Network().ClosePeer(c.id) }()
	known, _ := r.host.Peerstore().GetProtocols(c.id)
	for _, p := range known {
		if v, ok := peer.ProtocolVersion(string(p), "lookup"); ok {
			return &UnreachableError{Reason: OtherVersion, Version: v}
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &UnreachableError{Reason: NoAnswer, Attempts: r.attempts(err, c.addrs)}
	}
	return &UnreachableError{Reason: NotFlurry, Speaks: "libp2p"}
}
