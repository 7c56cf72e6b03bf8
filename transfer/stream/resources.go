package stream

import (
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"

	"github.com/flurry-nix/flurry/transfer/wire"
)

// How many connections one address may have and make. libp2p's own limits, 8
// and 1 in 5 s, would lock out an office or a CI farm behind one router.
const (
	connectionsPerAddress = 64
	dialsPerSecond        = 5
	dialsAtOnce           = 128
	dialMemory            = time.Minute

	// silentPerAddress and silentInAll are how many connections may be open that
	// have not shown whose they are: an office that comes back after a power cut
	// behind one router, and many such. Each costs a descriptor and a goroutine.
	silentPerAddress = 48
	silentInAll      = 256
	// silentTime is after how long libp2p has given such a connection up: 15 s
	// (p2p/net/upgrader), and some for a busy machine.
	silentTime = 20 * time.Second

	// addressBits6 is what one customer has of IPv6.
	addressBits6 = 56

	// protocolMemory is what streams of one protocol may reserve, in bytes:
	// windows of yamux and QUIC. Streams beyond it are slower.
	protocolMemory = 512 << 20

	// streamsOfOthers is what a peer may have besides ours: DHT, identify.
	streamsOfOthers = 256
)

// newResources is libp2p's defaults, which scale with the machine, but for what
// this program needs more of.
func newResources(connections int) (network.ResourceManager, error) {
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	for p := range wire.Protocols {
		limits.AddProtocolLimit(protocolID(p), rcmgr.BaseLimit{
			StreamsInbound: streamsInAll, StreamsOutbound: streamsInAll, Streams: 2 * streamsInAll, Memory: protocolMemory,
		}, rcmgr.BaseLimitIncrease{})
		// A little above our own limit, so that it is ours that acts.
		limits.AddProtocolPeerLimit(protocolID(p), rcmgr.BaseLimit{
			StreamsInbound: streamsPerPeer + 64, StreamsOutbound: 2 * streamsPerPeer, Streams: 4 * streamsPerPeer, Memory: protocolMemory / 4,
		}, rcmgr.BaseLimitIncrease{})
	}
	const silent = 2 * silentInAll // those that were closed a moment ago included
	partial := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: rcmgr.LimitVal(4*connections + silent), ConnsInbound: rcmgr.LimitVal(2*connections + silent), ConnsOutbound: rcmgr.LimitVal(2 * connections),
			Streams: 4 * streamsInAll, StreamsInbound: 2 * streamsInAll, StreamsOutbound: 2 * streamsInAll,
			FD: rcmgr.LimitVal(4*connections + silent),
		},
		// Where connections are that have not shown whose they are. Ours acts first.
		Transient: rcmgr.ResourceLimits{
			Conns: rcmgr.LimitVal(silent + connections), ConnsInbound: silent, ConnsOutbound: rcmgr.LimitVal(connections), FD: rcmgr.LimitVal(silent + connections),
		},
		PeerDefault: rcmgr.ResourceLimits{
			Streams: 4 * streamsPerPeer, StreamsInbound: 2*streamsPerPeer + streamsOfOthers, StreamsOutbound: 4 * streamsPerPeer,
		},
	}
	perSubnet := func(bits int) []rcmgr.ConnLimitPerSubnet {
		return []rcmgr.ConnLimitPerSubnet{{PrefixLength: bits, ConnCount: connectionsPerAddress}}
	}
	often := rate.Limit{RPS: dialsPerSecond, Burst: dialsAtOnce}
	return rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(partial.Build(limits.AutoScale())),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(perSubnet(32), perSubnet(addressBits6)),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: loopbackUnlimited(),
			SubnetRateLimiter: rate.SubnetLimiter{
				GracePeriod:      dialMemory,
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: often}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: addressBits6, Limit: often}},
			},
		}))
}

// loopbackUnlimited exempts this machine: whoever is on it can do worse.
func loopbackUnlimited() []rate.PrefixLimit {
	return []rate.PrefixLimit{
		{Prefix: netip.MustParsePrefix("127.0.0.0/8")},
		{Prefix: netip.MustParsePrefix("::1/128")},
	}
}
