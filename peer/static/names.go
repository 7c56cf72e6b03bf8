package static

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	lpeer "github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/flurry-nix/flurry/peer"
)

// names resolves names; [net.DefaultResolver] does.
type names interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

var _ names = (*net.Resolver)(nil)

// candidate is addresses at which somebody may be: the one with that id, or
// whoever it is.
type candidate struct {
	id    lpeer.ID // "": not known
	addrs []ma.Multiaddr
}

// candidates turns a hint into addresses without names.
func (r *resolver) candidates(ctx context.Context, hint peer.Hint) ([]candidate, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	if hint.Multiaddr != "" {
		m, err := ma.NewMultiaddr(hint.Multiaddr)
		if err != nil {
			return nil, err
		}
		return r.expand(ctx, m, 0)
	}
	ips, err := r.ips(ctx, "ip", hint.Host)
	if err != nil {
		return nil, err
	}
	var c candidate
	for _, ip := range ips {
		for _, format := range []string{"/tcp/%d", "/udp/%d/quic-v1"} {
			m, err := ma.NewMultiaddr(ipText(ip) + fmt.Sprintf(format, hint.Port))
			if err != nil {
				return nil, err
			}
			c.addrs = append(c.addrs, m)
		}
	}
	return []candidate{c}, nil
}

func ipText(ip netip.Addr) string {
	switch {
	case ip.Zone() != "":
		return "/ip6zone/" + ip.Zone() + "/ip6/" + ip.WithZone("").String()
	case ip.Is6():
		return "/ip6/" + ip.String()
	}
	return "/ip4/" + ip.String()
}

// ips resolves a name; an address is its own.
func (r *resolver) ips(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip.Unmap()}, nil
	}
	ips, err := r.names.LookupNetIP(ctx, network, host)
	if err != nil {
		return nil, err
	}
	ips = ips[:min(len(ips), maxIPs)]
	for i := range ips {
		ips[i] = ips[i].Unmap()
	}
	return ips, nil
}

// expand resolves the name that a multiaddr begins with, if it does.
func (r *resolver) expand(ctx context.Context, m ma.Multiaddr, depth int) ([]candidate, error) {
	m, id := lpeer.SplitAddr(m)
	if len(m) == 0 {
		return nil, fmt.Errorf("an address of nothing but an id")
	}
	first, rest := m[0], m[1:]
	var network string
	switch first.Protocol().Code {
	case ma.P_DNSADDR:
		return r.expandTXT(ctx, first.Value(), id, depth)
	case ma.P_DNS:
		network = "ip"
	case ma.P_DNS4:
		network = "ip4"
	case ma.P_DNS6:
		network = "ip6"
	default:
		return []candidate{{id, []ma.Multiaddr{m}}}, nil
	}
	ips, err := r.ips(ctx, network, first.Value())
	if err != nil {
		return nil, err
	}
	c := candidate{id: id}
	for _, ip := range ips {
		m, err := ma.NewMultiaddr(ipText(ip) + rest.String())
		if err != nil {
			return nil, err
		}
		c.addrs = append(c.addrs, m)
	}
	return []candidate{c}, nil
}

// expandTXT follows a dnsaddr: the TXT records of _dnsaddr.NAME hold multiaddrs.
// With an id, those of others are left out. A record that cannot be read or
// resolved spoils no other.
func (r *resolver) expandTXT(ctx context.Context, name string, id lpeer.ID, depth int) ([]candidate, error) {
	if depth == maxDepth {
		return nil, fmt.Errorf("dnsaddr %s is one of a chain of over %d", name, maxDepth)
	}
	texts, err := r.names.LookupTXT(ctx, "_dnsaddr."+name)
	if err != nil {
		return nil, err
	}
	var all []candidate
	for _, text := range texts[:min(len(texts), maxTXT)] {
		value, ok := strings.CutPrefix(text, "dnsaddr=")
		if !ok || len(value) > peer.MaxHintLength {
			continue
		}
		m, err := ma.NewMultiaddr(value)
		if err != nil {
			continue
		}
		found, err := r.expand(ctx, m, depth+1)
		if err != nil {
			continue
		}
		for _, c := range found {
			if id == "" || c.id == id {
				all = merge(all, c)
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("dnsaddr %s names nobody", name)
	}
	return all, nil
}

// merge adds c's addresses to those of the same peer.
func merge(all []candidate, c candidate) []candidate {
	for i := range all {
		if all[i].id == c.id {
			all[i].addrs = append(all[i].addrs, c.addrs...)
			return all
		}
	}
	return append(all, c)
}
