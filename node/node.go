// Package node holds flurry's verbs: publish, substitute, follow, discover, announce, serve and collect.
//
// A Node joins what the packages below it keep apart: the catalog knows what may be served, the store holds bytes,
// transfer asks peers, dht finds them, trust judges. The node decides whom to ask, in which order, for how long, and
// what to do with who lied.
//
// It opens no file, no socket and no libp2p host, reads no environment and no clock but the one it is given, and
// decides no question of trust: a narinfo leaves it only as a trust.Verified.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/transfer"
)

// Source is this machine's Nix store as publish asks for it. *daemon.Store satisfies it.
type Source interface {
	// Closure returns roots and everything they refer to, dependencies first.
	Closure(ctx context.Context, roots []nix.StorePath) ([]daemon.PathInfo, error)
	// AddTempRoot keeps Nix from collecting p while this process lives.
	AddTempRoot(ctx context.Context, p nix.StorePath) error
	// Nar writes the NAR of p to w.
	Nar(ctx context.Context, p nix.StorePath, w io.Writer) error
}

// Keys gives secret keys to sign with. The node keeps none.
type Keys interface {
	// Signer returns a key that may publish to a: its root key or a writer's. The error says why there is none.
	Signer(a namespace.Address) (nix.SecretKey, error)
	// Root returns the root key of a. The error says why there is none.
	Root(a namespace.Address) (nix.SecretKey, error)
}

// Needs is what a node is made of. All fields but Origin and Named are required.
type Needs struct {
	Catalog *catalog.Catalog
	Store   store.Collector
	Codec   *store.Codec
	Keys    Keys
	Log     *slog.Logger
	Now     func() time.Time
	// Origin makes the Origin of an HTTP cache at a URL. Nil: upstream namespaces are served from what is here.
	Origin func(url string) (Origin, error)
	// Named are the peers that hints led to. Nil: none.
	Named func(hints []peer.Hint) []peer.ID
	// InPlace is what of Store reads from /nix/store, and Installed says what Nix has there. Nil: all content lies in the store.
	InPlace InPlace
	// Scratch gives room on the disk for what came from an origin, until it is quiet enough to take it into the store. Nil: that
	// is done while it comes.
	Scratch   func() (Scratch, error)
	Installed Installed
}

// Settings are the choices of whoever runs the node.
type Settings struct {
	// Share says who gets what this node merely uses. Own publications and seeded namespaces go to all unless marked.
	Share Share
	// TrustedByNix are the keys in this machine's nix.conf: what is signed by them counts as present for Nix.
	TrustedByNix []nix.PublicKey
	// HoleFilled reports whether a path that a publication left out is valid on this machine. Nil: never.
	HoleFilled func(nix.StorePath) bool
	// BudgetLAN and BudgetWAN are how long a question may wait for peers on the LAN, and for others. Zero: the constants of
	// that name.
	BudgetLAN, BudgetWAN time.Duration
	// Collect: the node gives up content by itself, when the store fills and when something is due. Else only Collect does.
	Collect bool
	// Grace is how long after the start an answer may wait for a namespace that was never synced. Zero: GraceAfterStart.
	Grace time.Duration
}

// Node is one running flurry. Its methods are safe for concurrent use.
type Node struct {
	Needs
	settings Settings

	online        atomic.Pointer[links]
	spaces        *spaces
	peers         *peers
	bodies        *bodies
	crowd         *crowd
	rooms         rooms // for chunks that are read
	disagreements disagreements
	pool          *content.Pool // of what comes from origins
	blocks        blocks        // so
	upstreams     *upstreams
	later         later // of what comes from origins
	batches       *batches
	mirrors       *mirrors
	pulls         *pulls
	demand        *demand
	places        *places
	editing       chan struct{} // holds a token while a document is edited
	// collecting holds a token while content is collected.
	collecting chan struct{}
	pressure   chan struct{} // holds a token when the store was found full
	wishes     chan struct{} // holds a token when copies are wanted that were not before
	flights    flights
	wholes     wholes
	tasks      *tasks
	stats      stats

	started   time.Time
	moved     atomic.Pointer[time.Time] // when the machine came to another network; nil: never
	revision  atomic.Uint64             // grows with every change of spaces and providers that may alter an answer
	mu        sync.Mutex
	downloads map[downloadKey]*download
	throughs  map[throughKey]*through
	scratches *scratches
	foresight *foresight
	dropped   []content.BodyID // what publications named that were taken out of the catalog and not collected yet
}

// New wires a node. It starts nothing: Start does.
func New(needs Needs, settings Settings) *Node {
	if settings.BudgetLAN == 0 {
		settings.BudgetLAN = BudgetLAN
	}
	if settings.BudgetWAN == 0 {
		settings.BudgetWAN = BudgetWAN
	}
	if settings.Grace == 0 {
		settings.Grace = GraceAfterStart
	}
	n := &Node{Needs: needs, settings: settings, started: needs.Now(), downloads: make(map[downloadKey]*download), throughs: make(map[throughKey]*through), pool: new(content.Pool), batches: newBatches(), tasks: newTasks()}
	n.spaces = newSpaces(func() { n.revision.Add(1) })
	n.peers = newPeers(needs.Now, func() { n.revision.Add(1) })
	n.bodies = newBodies()
	n.crowd = newCrowd(&n.rooms)
	n.upstreams = newUpstreams(needs.Origin)
	n.later.codec = store.NewQuickCodec()
	n.mirrors = newMirrors()
	n.pulls = newPulls()
	n.demand = newDemand(needs.Now)
	n.places = newPlaces(n)
	n.scratches = newScratches(needs.Scratch)
	n.foresight = newForesight()
	n.wishes = make(chan struct{}, 1)
	n.editing = make(chan struct{}, 1)
	n.collecting, n.pressure = make(chan struct{}, 1), make(chan struct{}, 1)
	return n
}

// Start makes the node run until ctx ends: from now on it fetches, and follows others once it is online. It is called
// once. Wait must be called after ctx has ended.
func (n *Node) Start(ctx context.Context) error {
	if err := n.tasks.open(ctx); err != nil {
		return err
	}
	n.tasks.Go(n.keepUp)
	n.tasks.Go(n.watchBuilders)
	if n.settings.Collect {
		n.tasks.Go(n.collectAll)
	}
	if n.InPlace != nil {
		n.tasks.Go(n.keepPlaces)
		n.tasks.Go(n.keepPromised)
	}
	return nil
}

// Wait returns when the context of Start and everything the node started have ended.
func (n *Node) Wait() { n.tasks.wait() }

// links are a node's ways to others.
type links struct {
	network transfer.Network
	router  dht.Router    // nil: nobody is looked for and nothing is announced beyond who is connected
	sign    ReceiptSigner // nil: nobody is given receipts, and nothing is mirrored
}

// ReceiptSigner signs a receipt as the node that the network proves this one to be.
type ReceiptSigner func(*namespace.Receipt) ([]byte, error)

// GoOnline gives a running node its ways to others. Before it the node is silent: it answers from what is here. It is
// called once.
func (n *Node) GoOnline(network transfer.Network, router dht.Router, sign ReceiptSigner) error {
	if !n.online.CompareAndSwap(nil, &links{network, router, sign}) {
		return errors.New("node: already online")
	}
	n.tasks.Go(n.watchConnections)
	n.tasks.Go(n.offerWanted)
	if sign != nil {
		n.tasks.Go(n.mirrorAll)
	}
	if router != nil {
		n.tasks.Go(n.discover)
		n.tasks.Go(n.announceAll)
	}
	return nil
}

// network is nil before GoOnline.
func (n *Node) network() transfer.Network {
	if l := n.online.Load(); l != nil {
		return l.network
	}
	return nil
}

// router is nil before GoOnline, and for a node that uses no DHT.
func (n *Node) router() dht.Router {
	if l := n.online.Load(); l != nil {
		return l.router
	}
	return nil
}

// Generation grows whenever an earlier answer of Info may no longer hold.
func (n *Node) Generation() uint64 {
	return n.Catalog.Generation() + n.revision.Load()
}

// space returns the namespace called alias.
func (n *Node) space(alias string) (Space, error) {
	s, ok := n.spaces.byAlias(alias)
	if !ok {
		return Space{}, fmt.Errorf("%w: %q", ErrUnknownNamespace, alias)
	}
	return s, nil
}
