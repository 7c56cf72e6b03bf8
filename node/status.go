package node

import (
	"fmt"
	"strings"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/report"
)

// Status fills in what the node knows of itself: namespaces, network, traffic and, if asked, peers. Gateway and store
// are for those who hold them to fill in.
func (n *Node) Status(peers bool) report.Status {
	s := report.Status{Schema: "flurry/status/1", Problems: []report.Problem{}, Sharing: report.Sharing{Mode: n.settings.Share.String()}}
	s.Store.Aside = n.scratches.size()
	s.Node = report.NodeState{State: "running", Uptime: n.Now().Sub(n.started).Seconds()}
	for _, sp := range n.spaces.all() {
		s.Namespaces = append(s.Namespaces, n.namespaceStatus(sp))
	}
	s.Traffic.ReceivedOrigins = n.upstreams.received()
	network := n.network()
	if network == nil {
		return s
	}
	self := network.Self()
	s.Node.Peer = string(self.ID)
	s.Network = report.Network{Online: true, Addresses: self.Addrs}
	for _, r := range n.peers.connected() {
		s.Network.Peers++
		if r.conn.LAN() {
			s.Network.LAN++
		}
	}
	t := network.Traffic()
	m := &s.Traffic.Moved
	m.Received, m.ReceivedLAN, m.Sent, m.SentWAN = t.Total().Received, t.LAN.Received, t.Total().Sent, t.Total().Sent-t.LAN.Sent
	if peers {
		s.Peers = n.peerStatus()
	}
	return s
}

func (n *Node) namespaceStatus(sp Space) report.Namespace {
	r := report.Namespace{Alias: sp.Alias, Key: sp.Address.String(), Trusted: sp.Use, Hold: "used", Share: n.shareOf(sp).String(), Problems: []string{}}
	stats := n.Catalog.Stats(sp.Address)
	r.Paths, r.Publications, r.Serial = stats.Paths, stats.Publications, stats.Serial
	if !stats.Expires.IsZero() {
		r.Expires = &stats.Expires
	}
	if t, ok := n.spaces.syncedAt(sp.Address); ok {
		r.Synced = &t
	}
	r.Serving = len(n.peers.serving(sp.Address, nil))
	switch {
	case sp.Publish && sp.Seed:
		r.Hold, r.Note = "all", "you publish here, and mirror it"
	case sp.Publish:
		r.Hold, r.Note = "all", "you publish here"
	case sp.Seed:
		r.Hold, r.Note = "all", "mirrored: flurry seed"
	case sp.Origin != "":
		r.Note = n.originNote(sp)
	case r.Serving == 0 && n.network() != nil:
		r.Note = "nobody who holds it is connected"
	}
	if r.Only = sp.Only; len(r.Only) > 0 {
		r.Note = strings.TrimPrefix(r.Note+"; only "+strings.Join(r.Only, ", "), "; ")
	}
	if r.Threshold = sp.threshold(); r.Threshold > 0 {
		r.Note = strings.TrimPrefix(fmt.Sprintf("%s; %d builders have to agree", r.Note, r.Threshold), "; ")
	}
	r.Problems = append(r.Problems, n.documentProblems(sp, stats)...)
	if r.Serial == 0 && !sp.Publish && sp.Origin == "" {
		r.Problems = append(r.Problems, "no document yet: nobody who holds it was found")
	}
	return r
}

// expiresSoon is from when on readers are told that a document ends, and expiresSoonHere those who may sign another: they have to
// find the key first.
const (
	expiresSoon     = 7 * 24 * time.Hour
	expiresSoonHere = 60 * 24 * time.Hour
)

// documentProblems says what is wrong with the document of sp.
func (n *Node) documentProblems(sp Space, stats catalog.Stats) (all []string) {
	now := n.Now()
	soon := expiresSoon
	if sp.Publish {
		soon = expiresSoonHere
	}
	if !stats.Rival.IsZero() {
		all = append(all, fmt.Sprintf("two documents carry serial %d: %s is followed, and %s was signed, too", stats.Serial, stats.Document.Short(), stats.Rival.Short()))
	}
	if why := n.disagreements.get(sp.Address); why != "" {
		all = append(all, why)
	}
	if why := n.ThresholdTooHigh(sp); why != "" {
		all = append(all, why)
	}
	switch {
	case stats.Expires.IsZero():
	case now.After(stats.Expires):
		all = append(all, "frozen: the document expired "+stats.Expires.Format(time.DateOnly)+", no new paths of writers are taken")
	case stats.Expires.Sub(now) < soon:
		if _, err := n.Keys.Root(sp.Address); err == nil {
			break // it is renewed here
		}
		all = append(all, "the document expires "+stats.Expires.Format(time.DateOnly)+", and no new paths are taken then")
	}
	return all
}

func (n *Node) peerStatus() []report.Peer {
	alias := make(map[namespace.Address]string)
	for _, sp := range n.spaces.all() {
		alias[sp.Address] = sp.Alias
	}
	traffic := n.network().PeerTraffic()
	out := []report.Peer{}
	for _, r := range n.peers.connected() {
		id := r.conn.Peer()
		t := traffic[id].Total()
		p := report.Peer{Peer: string(id), LAN: r.conn.LAN(), Namespaces: []string{}, Received: t.Received, Sent: t.Sent, State: "direct"}
		for _, sp := range n.spaces.all() { // in the order of preference
			if n.peers.answersFor(r, sp.Address) {
				p.Namespaces = append(p.Namespaces, alias[sp.Address])
			}
		}
		p.Speed = n.peers.speed(r)
		out = append(out, p)
	}
	for _, b := range n.network().Banned() {
		t := traffic[b.Peer].Total()
		out = append(out, report.Peer{Peer: string(b.Peer), Namespaces: []string{}, Received: t.Received, Sent: t.Sent, State: "banned", Until: &b.Until, Why: b.Why})
	}
	return out
}

func (p *peers) answersFor(r *remote, a namespace.Address) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return r.serves[a]
}

func (p *peers) speed(r *remote) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return r.load.speed()
}
