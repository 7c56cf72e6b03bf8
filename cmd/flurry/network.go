package main

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/flurry-nix/flurry/peer/mdns"
)

const (
	// networkEvery is how often this machine's addresses are looked at: sooner than somebody who opens a lid starts a build.
	networkEvery = 2 * time.Second
	// sleptFor: when so much more time passed by the clock on the wall than the machine was awake, it slept.
	sleptFor = 10 * time.Second
)

// networks are the networks that this machine is in, but for its own and those that end at the next switch: what changes when it is carried
// elsewhere, and does not when an address within a network does.
func networks(addrs []net.Addr) (in []netip.Prefix) {
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast() {
			continue
		}
		in = append(in, p.Masked())
	}
	slices.SortFunc(in, func(a, b netip.Prefix) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(in)
}

// joined reports whether is has a network that was has not.
func joined(was, is []netip.Prefix) bool {
	return slices.ContainsFunc(is, func(p netip.Prefix) bool { return !slices.Contains(was, p) })
}

// watchNetwork tells the node when this machine comes to another network or wakes up, until ctx ends.
func (i *instance) watchNetwork(ctx context.Context, w *wire) error {
	look := time.NewTicker(networkEvery)
	defer look.Stop()
	addrs, _ := net.InterfaceAddrs() // none, if that fails: then whatever is found next is new
	was, last := networks(addrs), time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		now := time.Now()
		slept := now.Round(0).Sub(last.Round(0))-now.Sub(last) > sleptFor
		last = now
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			continue // asked again in a moment
		}
		is := networks(addrs)
		if slices.Equal(was, is) && !slept {
			continue
		}
		moved := joined(was, is) || slept
		was = is
		i.log.Info("this machine is in other networks, or slept", "networks", is, "slept", slept)
		w.drop(addrs)
		if moved {
			i.node.Moved()
			w.hasten()
		}
	}
}

// drop closes the connections that begin at an address which this machine has no more: nothing comes over them, and nothing says so for
// half a minute.
func (w *wire) drop(have []net.Addr) {
	here := make(map[netip.Addr]bool)
	for _, a := range have {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			here[p.Addr().Unmap()] = true
		}
	}
	for _, c := range w.host.Network().Conns() {
		if a, ok := localAddr(c.LocalMultiaddr().String()); ok && !here[a] {
			_ = c.Close() // the other side does not hear of it
		}
	}
}

// localAddr is the address in a multiaddr, if it is one of an interface.
func localAddr(multiaddr string) (netip.Addr, bool) {
	parts := strings.Split(multiaddr, "/")
	if len(parts) < 3 || parts[1] != "ip4" && parts[1] != "ip6" {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(parts[2])
	return a.Unmap(), err == nil && !a.IsUnspecified() && !a.IsLoopback()
}

// hasten has everybody looked for at once.
func (w *wire) hasten() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.finders {
		f.Hasten()
	}
	if w.near != nil {
		w.near.Hasten()
	}
}

// setNear notes who finds neighbours.
func (w *wire) setNear(f *mdns.Finder) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.near = f
}
