package static

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	lpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// identify finds out the ids of those who are at a candidate's addresses. libp2p
// dials ids, so a random one is dialled: the handshake fails, and says whom it
// met. That is hearsay until the right id is dialled. TCP goes first, and QUIC
// only if nobody was met there: a firewall that drops UDP would cost the whole
// timeout.
func (r *resolver) identify(ctx context.Context, c candidate) ([]candidate, []*UnreachableError) {
	if c.id != "" {
		return []candidate{c}, nil
	}
	var tcp, udp []ma.Multiaddr
	for _, m := range c.addrs {
		if _, err := m.ValueForProtocol(ma.P_TCP); err == nil {
			tcp = append(tcp, m)
		} else {
			udp = append(udp, m)
		}
	}
	failure := &UnreachableError{Reason: NoAnswer}
	for _, addrs := range [][]ma.Multiaddr{tcp, udp} {
		if len(addrs) == 0 {
			continue
		}
		met, err := r.meet(ctx, addrs)
		if len(met) > 0 {
			return withNeighbours(met, c.addrs), nil
		}
		failure.Attempts = append(failure.Attempts, r.attempts(err, addrs)...)
	}
	slices.SortStableFunc(failure.Attempts, func(a, b Attempt) int { return strings.Compare(a.Address, b.Address) })
	if what, open := r.probe(ctx, tcp); open {
		failure = &UnreachableError{Reason: NotFlurry, Speaks: what}
	}
	return nil, []*UnreachableError{failure}
}

// meet dials nobody in particular at addrs and tells who was met where.
func (r *resolver) meet(ctx context.Context, addrs []ma.Multiaddr) ([]candidate, error) {
	nobody, err := randomID()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	r.host.Peerstore().AddAddrs(nobody, addrs, peerstore.TempAddrTTL)
	defer r.host.Peerstore().ClearAddrs(nobody)
	_, err = r.host.Network().DialPeer(network.WithDialPeerTimeout(ctx, r.timeout), nobody)
	var met []candidate
	for _, t := range dialErrors(err) {
		var mismatch sec.ErrPeerIDMismatch
		if errors.As(t.Cause, &mismatch) {
			met = merge(met, candidate{mismatch.Actual, []ma.Multiaddr{t.Address}})
		}
	}
	return met, err
}

func randomID() (lpeer.ID, error) {
	k, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return "", err
	}
	return lpeer.IDFromPrivateKey(k)
}

func dialErrors(err error) []swarm.TransportError {
	var d *swarm.DialError
	if !errors.As(err, &d) {
		return nil
	}
	return d.DialErrors
}

// withNeighbours gives those who were met at an address the others that a hint
// has for the same machine: QUIC beside TCP. One who was met alone has them all.
func withNeighbours(met []candidate, all []ma.Multiaddr) []candidate {
	if len(met) == 1 {
		met[0].addrs = all
		return met
	}
	for i := range met {
		for _, m := range all {
			at := func(o ma.Multiaddr) bool { return m[0].Equal(&o[0]) }
			known := func(o ma.Multiaddr) bool { return o.Equal(m) }
			if slices.ContainsFunc(met[i].addrs, at) && !slices.ContainsFunc(met[i].addrs, known) {
				met[i].addrs = append(met[i].addrs, m)
			}
		}
	}
	return met
}

// attempts is what came of dialling addrs, address by address. Those that err
// does not mention had no answer in time.
func (r *resolver) attempts(err error, addrs []ma.Multiaddr) []Attempt {
	results := make(map[string]error)
	for _, t := range dialErrors(err) {
		results[string(t.Address.Bytes())] = t.Cause
	}
	var all []Attempt
	for _, m := range addrs {
		cause, known := results[string(m.Bytes())]
		if !known {
			cause = err
		}
		where, transport := addressOf(m)
		all = append(all, Attempt{where, transport, r.result(cause)})
	}
	return all
}

// addressOf is an address as people write it.
func addressOf(m ma.Multiaddr) (where, transport string) {
	ip, err := manet.ToIP(m)
	a, ok := netip.AddrFromSlice(ip)
	if err != nil || !ok {
		return m.String(), "any"
	}
	port, transport := "", "tcp"
	if port, err = m.ValueForProtocol(ma.P_TCP); err != nil {
		port, _ = m.ValueForProtocol(ma.P_UDP)
		transport = "udp"
	}
	if a.Is6() && !a.Is4In6() {
		return fmt.Sprintf("[%s]:%s", a, port), transport
	}
	return fmt.Sprintf("%s:%s", a.Unmap(), port), transport
}

func (r *resolver) result(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "unreachable"
	case errors.Is(err, swarm.ErrGaterDisallowedConnection):
		return "not dialled: not an address of a network here"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("no answer in %.0f s", r.timeout.Seconds())
	}
	return "no handshake"
}
