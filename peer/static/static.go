// Package static finds the peers that a person named: in a command, a configuration file or an address's hints.
//
// A hint needs no peer id. Who is at HOST:PORT is found out by dialling an id that nobody has and reading in the
// refusal who answered instead. Everything beyond that, whether the peer is of use and whether it tells the truth, is
// for others to decide.
package static

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	lpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/flurry-nix/flurry/peer"
)

const (
	// dialTimeout bounds one attempt; a peer that is there answers in a few round trips.
	dialTimeout = 5 * time.Second
	// firstRetry is the pause after the first failure; it doubles up to the caller's interval.
	firstRetry = time.Second
)

// Finder keeps looking for the peers that hints name.
type Finder struct {
	host  host.Host
	hints []peer.Hint
	every time.Duration
	log   *slog.Logger
}

var _ peer.Finder = (*Finder)(nil)

// New returns a finder on h, which tries each hint again every so often.
func New(h host.Host, hints []peer.Hint, every time.Duration, log *slog.Logger) *Finder {
	return &Finder{host: h, hints: hints, every: every, log: log}
}

// Run calls found for each hint as soon as somebody answers there, and again every interval, until ctx ends.
func (f *Finder) Run(ctx context.Context, found func(peer.Info)) error {
	var all sync.WaitGroup
	for _, hint := range f.hints {
		all.Go(func() { f.follow(ctx, hint, found) })
	}
	all.Wait()
	return nil
}

func (f *Finder) follow(ctx context.Context, hint peer.Hint, found func(peer.Info)) {
	wait := firstRetry
	for ctx.Err() == nil {
		info, err := Resolve(ctx, f.host, hint)
		if err == nil {
			found(info)
			wait = f.every
		} else {
			f.log.Debug("a peer that was named does not answer", "peer", hint, "err", err)
			wait = min(2*wait, f.every)
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

// UnreachableError says that nobody answers where a hint points.
type UnreachableError struct {
	Hint peer.Hint
	Err  error
}

func (e *UnreachableError) Error() string { return fmt.Sprintf("%s does not answer: %v", e.Hint, e.Err) }

func (e *UnreachableError) Unwrap() error { return e.Err }

// Resolve finds out who answers at hint.
func Resolve(ctx context.Context, h host.Host, hint peer.Hint) (peer.Info, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addrs, id, err := addresses(ctx, hint)
	if err != nil {
		return peer.Info{}, &UnreachableError{hint, err}
	}
	if id == "" {
		if id, err = whoAnswers(ctx, h, addrs); err != nil {
			return peer.Info{}, &UnreachableError{hint, err}
		}
	}
	info := peer.Info{ID: peer.ID(id.String())}
	for _, a := range addrs {
		info.Addrs = append(info.Addrs, a.String())
	}
	return info, nil
}

// addresses are where hint points, and the peer id that it names, if it names one.
func addresses(ctx context.Context, hint peer.Hint) ([]ma.Multiaddr, lpeer.ID, error) {
	if hint.Multiaddr != "" {
		m, err := ma.NewMultiaddr(hint.Multiaddr)
		if err != nil {
			return nil, "", err
		}
		where, id := lpeer.SplitAddr(m)
		return []ma.Multiaddr{where}, id, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", hint.Host)
	if err != nil {
		return nil, "", err
	}
	var addrs []ma.Multiaddr
	for _, ip := range ips {
		tcp, err := manet.FromNetAddr(net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip.Unmap(), hint.Port)))
		if err != nil {
			return nil, "", err
		}
		addrs = append(addrs, tcp)
	}
	return addrs, "", nil
}

// whoAnswers dials an id that nobody has: the handshake fails, and names who is there.
func whoAnswers(ctx context.Context, h host.Host, addrs []ma.Multiaddr) (lpeer.ID, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return "", err
	}
	nobody, err := lpeer.IDFromPrivateKey(key)
	if err != nil {
		return "", err
	}
	err = h.Connect(network.WithForceDirectDial(ctx, "who is there"), lpeer.AddrInfo{ID: nobody, Addrs: addrs})
	var mismatch sec.ErrPeerIDMismatch
	switch {
	case errors.As(err, &mismatch):
		return mismatch.Actual, nil
	case err == nil:
		return "", errors.New("somebody answered to an id that nobody has")
	}
	return "", err
}
