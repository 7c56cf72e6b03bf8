package stream

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	lpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/flurry-nix/flurry/peer"
)

// RelayMode is what this node has to do with relays, which carry the first
// bytes between peers that cannot reach each other, until they can.
type RelayMode int

// The relay modes.
const (
	RelayOff   RelayMode = iota // neither uses nor is one
	RelayUse                    // uses those of HostConfig.Relays when nobody reaches it
	RelayServe                  // is one; for nodes with public addresses
)

// HostConfig is how a host is made. The zero value, with a KeyFile, is a host
// that listens on random ports of all addresses, and stays on the LAN.
type HostConfig struct {
	// KeyFile holds the node's key; it is made if it is missing.
	KeyFile string
	// Port is listened on, TCP and UDP; 0: random ones.
	Port uint16
	// Loopback listens on 127.0.0.1 and ::1 alone.
	Loopback bool
	// Connections is how many are kept; 0: 160. A seed wants 2000.
	Connections int
	// Announce are multiaddrs that peers are told besides those that are known
	// here.
	Announce []string
	// WAN makes the node reachable from the internet where it can: asks the
	// router for a port, finds out whether others get through, punches holes.
	WAN bool
	// Public says that the node is reachable, so that it need not find out.
	Public bool
	// Relay and Relays are about relays: Relays is asked for n peers that could
	// be one.
	Relay  RelayMode
	Relays func(ctx context.Context, n int) []peer.Info
	// Gate decides what is dialled; nil: a gate that permits loopback if
	// Loopback.
	Gate *DialGate
	// UserAgent is what peers are told of the program; "": flurry.
	UserAgent string
}

const (
	defaultConnections = 160

	// connectionGrace is how long a new connection is left alone when there are
	// too many: time to find out what it is good for.
	connectionGrace = 30 * time.Second
)

// NewHost makes the libp2p host of a node: TCP and QUIC, Ed25519 key, bounded
// connections and memory.
func NewHost(c HostConfig) (host.Host, error) {
	key, err := identity(c.KeyFile)
	if err != nil {
		return nil, err
	}
	announce, err := multiaddrs(c.Announce)
	if err != nil {
		return nil, err
	}
	if c.Connections == 0 {
		c.Connections = defaultConnections
	}
	if c.UserAgent == "" {
		c.UserAgent = "flurry"
	}
	if c.Gate == nil {
		c.Gate = NewDialGate(nil, c.Loopback)
	}
	resources, err := newResources(c.Connections)
	if err != nil {
		return nil, fmt.Errorf("libp2p's resource manager: %w", err)
	}
	connections, err := connmgr.NewConnManager(c.Connections*3/4, c.Connections, connmgr.WithGracePeriod(connectionGrace))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("libp2p's connection manager: %w", err), resources.Close())
	}
	// libp2p would share the TCP port in order to dial from it, which punches
	// holes that QUIC punches as well, and hides that the port is taken.
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.UserAgent(c.UserAgent),
		libp2p.ListenAddrs(listenAddrs(c)...),
		libp2p.AddrsFactory(func(own []ma.Multiaddr) []ma.Multiaddr { return append(slices.Clip(own), announce...) }),
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Transport(quic.NewTransport),
		libp2p.SwarmOpts(swarm.WithDialRanker(rank)),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(connections),
		libp2p.ConnectionGater(c.Gate),
		libp2p.DisableMetrics(),
	}
	h, err := libp2p.New(append(options, reach(c)...)...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("libp2p: %w", err), connections.Close(), resources.Close())
	}
	if err := checkListening(h, c.Port); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// reach is the options that have to do with being reached.
func reach(c HostConfig) []libp2p.Option {
	var options []libp2p.Option
	switch c.Relay {
	case RelayOff:
		options = append(options, libp2p.DisableRelay())
	case RelayUse:
		options = append(options, libp2p.EnableRelay())
		if c.Relays != nil {
			options = append(options, libp2p.EnableAutoRelayWithPeerSource(relaySource(c.Relays)))
		}
	case RelayServe:
		options = append(options, libp2p.EnableRelay(), libp2p.EnableRelayService())
	}
	if c.WAN {
		options = append(options, libp2p.NATPortMap(), libp2p.EnableAutoNATv2(), libp2p.EnableNATService())
		if c.Relay != RelayOff {
			options = append(options, libp2p.EnableHolePunching())
		}
	} else {
		options = append(options, libp2p.DisableIdentifyAddressDiscovery())
	}
	if c.Public {
		options = append(options, libp2p.ForceReachabilityPublic())
	}
	return options
}

// relaySource turns a list of peers into what libp2p asks for.
func relaySource(relays func(context.Context, int) []peer.Info) autorelay.PeerSource {
	return func(ctx context.Context, n int) <-chan lpeer.AddrInfo {
		found := relays(ctx, n)
		out := make(chan lpeer.AddrInfo, len(found))
		for _, p := range found {
			if info, err := addrInfo(p); err == nil {
				out <- info
			}
		}
		close(out)
		return out
	}
}

func listenAddrs(c HostConfig) []ma.Multiaddr {
	ip4, ip6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	if c.Loopback {
		ip4, ip6 = netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()
	}
	var all []ma.Multiaddr
	for _, a := range []netip.Addr{ip4, ip6} {
		family := "ip4"
		if a.Is6() {
			family = "ip6"
		}
		all = append(all,
			ma.StringCast(fmt.Sprintf("/%s/%s/tcp/%d", family, a, c.Port)),
			ma.StringCast(fmt.Sprintf("/%s/%s/udp/%d/quic-v1", family, a, c.Port)))
	}
	return all
}

func multiaddrs(texts []string) ([]ma.Multiaddr, error) {
	var all []ma.Multiaddr
	for _, s := range texts {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("announced address %q: %w", s, err)
		}
		all = append(all, a)
	}
	return all, nil
}

// checkListening makes sure of TCP and UDP: libp2p is content with any one
// address. A machine without IPv6 is fine; one without IPv4 is not seen.
func checkListening(h host.Host, port uint16) error {
	var on [classes]bool
	for _, a := range h.Network().ListenAddresses() {
		if c, ok := classOf(a); ok {
			on[c] = true
		}
	}
	switch {
	case !on[tcp4]:
		return fmt.Errorf("cannot listen on TCP port %d: is it in use?", port)
	case !on[quic4]:
		return fmt.Errorf("cannot listen on UDP port %d: is it in use?", port)
	}
	return nil
}
