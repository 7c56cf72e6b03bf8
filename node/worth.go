package node

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/trust"
)

// worth is why content is kept, the better reason the larger.
type worth byte

const (
	worthNothing worth = iota // refused or denied: it goes at once
	worthLeft                 // of a namespace that this node has left: it goes when room is needed, or when somebody collects
	worthExpired              // of publications that expired more than expiredGrace ago: likewise
	worthCached               // of a namespace that is merely used: it goes when room is needed and nothing else is left
	worthLive                 // never goes
)

// claim is one reason to keep some bodies that may lose: it goes as a whole. The worst claims go first, and of those that
// are worth the same the ones that were asked for longest ago.
type claim struct {
	worth       worth
	asked       time.Time // when any of the bodies was asked for last, as far as is known
	address     namespace.Address
	publication namespace.ID // none where a single body is cached
	bodies      []content.BodyID
	lost        bool // it was taken out of the catalog, or would be
}

// compare is less than 0 when c goes before o.
func (c *claim) compare(o *claim) int {
	return cmp.Or(cmp.Compare(c.worth, o.worth), c.asked.Compare(o.asked), c.publication.Compare(o.publication),
		slices.CompareFunc(c.bodies, o.bodies, func(x, y content.BodyID) int { return slices.Compare(x[:], y[:]) }))
}

// survey is what the catalog names, and why.
type survey struct {
	texts  map[store.Key]bool
	live   []content.BodyID
	claims []*claim // worthLeft to worthCached, the worst first
	dead   []content.BodyID
	unlist map[namespace.Address][]namespace.ID // refused and still marked as listed
	blind  bool                                 // a document cannot be read: which texts it names is not known
}

// survey finds out what the namespaces name: all, or one alone.
func (n *Node) survey(ctx context.Context, of ...namespace.Address) (*survey, error) {
	s := &survey{texts: make(map[store.Key]bool), unlist: make(map[namespace.Address][]namespace.ID)}
	if len(of) == 0 {
		of = n.Catalog.Namespaces()
	}
	for _, a := range of {
		if err := n.surveyOne(ctx, s, a); err != nil && !errors.Is(err, catalog.ErrNotFound) { // it may have been left just now
			return nil, err
		}
	}
	slices.SortFunc(s.claims, (*claim).compare)
	return s, nil
}

// surveyed is what is known of one namespace while it is surveyed.
type surveyed struct {
	node    *Node
	to      *survey
	address namespace.Address
	policy  *trust.Policy // nil: its document cannot be read
	most    worth         // what its living publications are worth
	states  map[namespace.ID]worth
	claims  map[namespace.ID]*claim
	denied  map[nix.PathHash][]nix.NarHash
	entries map[namespace.ID]map[nix.PathHash]nix.NarHash // of publications that name a denied path
}

func (n *Node) surveyOne(ctx context.Context, to *survey, a namespace.Address) error {
	s := &surveyed{node: n, to: to, address: a, most: n.worthOf(a), states: make(map[namespace.ID]worth), claims: make(map[namespace.ID]*claim),
		denied: make(map[nix.PathHash][]nix.NarHash), entries: make(map[namespace.ID]map[nix.PathHash]nix.NarHash)}
	if err := s.documents(ctx); err != nil {
		return err
	}
	for info, err := range n.Catalog.Publications(ctx, a) {
		if err != nil {
			return err
		}
		if err := s.publication(ctx, info); err != nil {
			return err
		}
	}
	return s.bodies(ctx)
}

// worthOf is what the living publications of a namespace are worth to this node.
func (n *Node) worthOf(a namespace.Address) worth {
	sp, known := n.spaces.get(a)
	switch {
	case !known:
		return worthLeft
	case sp.Seed, sp.Publish, n.Now().Before(sp.Until):
		return worthLive
	}
	return worthCached
}

// documents notes the texts of the document and of what belongs to it.
func (s *surveyed) documents(ctx context.Context) error {
	s.policy, _ = s.node.Catalog.Policy(s.address)
	if s.policy == nil {
		s.to.blind = true
		return nil
	}
	if s.policy.Upstream() {
		return nil
	}
	followed, rival, err := s.node.Catalog.Documents(ctx, s.address)
	if err != nil {
		return err
	}
	for _, raw := range [][]byte{followed, rival} {
		if id, err := namespace.TextID(raw); err == nil {
			s.to.texts[store.DocumentKey(id)] = true
		}
	}
	d, _ := s.policy.Document()
	for _, c := range d.Value().Closed {
		if !c.None {
			s.to.texts[store.KeepListKey(c.Keep)] = true
		}
	}
	for _, x := range d.Value().Denied {
		s.denied[x.Path] = append(s.denied[x.Path], x.NarHash)
	}
	return nil
}

// publication notes what a publication is worth. What is refused keeps its place in the catalog, and its text, so that it is
// known when somebody offers it; but it must not count as held if it should ever live again.
func (s *surveyed) publication(ctx context.Context, info catalog.PublicationInfo) error {
	s.to.texts[store.PublicationKey(info.ID)] = true
	w := s.most
	switch {
	case s.policy == nil:
		w = worthLive
	case s.most == worthLeft:
	case info.Standing.State == trust.Refused && forGood(info.Standing.Err):
		w = worthNothing
		if info.Listed {
			s.to.unlist[s.address] = append(s.to.unlist[s.address], info.ID)
		}
	case info.Standing.State == trust.Expired && !s.node.Now().Before(latest(info.Expires, info.Lives).Add(expiredGrace)):
		promised, err := s.promised(ctx, info.ID)
		if err != nil {
			return err
		}
		if !promised {
			w = worthExpired
		}
	}
	s.states[info.ID] = w
	if w == worthLeft || w == worthExpired {
		c := &claim{worth: w, asked: latest(info.Received, info.Lives), address: s.address, publication: info.ID}
		s.claims[info.ID] = c
		s.to.claims = append(s.to.claims, c)
	}
	return nil
}

// promised reports whether this node has given its word to keep a publication until later, whatever its expiry.
func (s *surveyed) promised(ctx context.Context, id namespace.ID) (bool, error) {
	sp, _ := s.node.spaces.get(s.address)
	if sp.Promise <= 0 || s.most != worthLive {
		return false, nil
	}
	if s.node.network() == nil {
		return true, nil // by which name it was given is not known yet
	}
	at, err := s.node.storedAt(ctx, s.address, id)
	return !at.IsZero() && s.node.Now().Before(at.Add(sp.Promise)), err
}

// forGood reports whether a refusal is somebody's decision about a publication, and not for want of something.
func forGood(err error) bool {
	var refusal *trust.Refusal
	if !errors.As(err, &refusal) {
		return false
	}
	switch refusal.Why {
	case trust.Withdrawn, trust.WriterClosed, trust.WriterExpired: // not NotAWriter: of two documents with one serial, one may not name it
		return true
	}
	return false
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// bodies notes what each body is worth: what its best use is.
func (s *surveyed) bodies(ctx context.Context) error {
	var uses []catalog.BodyUse // of one body
	for use, err := range s.node.Catalog.Bodies(ctx, s.address) {
		if err != nil {
			return err
		}
		if len(uses) > 0 && uses[0].Body != use.Body {
			if err := s.body(ctx, uses); err != nil {
				return err
			}
			uses = uses[:0]
		}
		uses = append(uses, use)
	}
	if len(uses) == 0 {
		return nil
	}
	return s.body(ctx, uses)
}

func (s *surveyed) body(ctx context.Context, uses []catalog.BodyUse) error {
	id, best := uses[0].Body, worthNothing
	var asked time.Time
	for _, use := range uses {
		w, err := s.use(ctx, use)
		if err != nil {
			return err
		}
		best = max(best, w)
		if w == worthNothing || w == worthLive {
			continue
		}
		if asked.IsZero() {
			if asked, err = s.node.Catalog.Touched(ctx, s.address, id); err != nil {
				return err
			}
		}
		if c := s.claims[use.Publication]; c != nil {
			c.asked = latest(c.asked, asked)
			c.bodies = append(c.bodies, id)
		}
	}
	switch best {
	case worthNothing:
		s.to.dead = append(s.to.dead, id)
	case worthLive:
		s.to.live = append(s.to.live, id)
	case worthCached:
		s.to.claims = append(s.to.claims, &claim{worth: best, asked: asked, address: s.address, bodies: []content.BodyID{id}})
	}
	return nil
}

// use is what one use of a body is worth.
func (s *surveyed) use(ctx context.Context, use catalog.BodyUse) (worth, error) {
	w, known := s.states[use.Publication]
	if !known {
		return s.most, nil // it came just now, or is kept of an upstream namespace
	}
	hashes := s.denied[use.Path]
	if w == worthNothing || len(hashes) == 0 {
		return w, nil
	}
	entries, err := s.entriesOf(ctx, use.Publication)
	if err != nil {
		return w, err
	}
	if hash, known := entries[use.Path]; known && slices.Contains(hashes, hash) {
		return worthNothing, nil
	}
	return w, nil
}

// entriesOf is the NarHash of each path of a publication, by its text; none when that cannot be read.
func (s *surveyed) entriesOf(ctx context.Context, id namespace.ID) (map[nix.PathHash]nix.NarHash, error) {
	if entries, asked := s.entries[id]; asked {
		return entries, nil
	}
	entries := make(map[nix.PathHash]nix.NarHash)
	s.entries[id] = entries
	raw, err := s.node.Catalog.RawPublication(ctx, s.address, id)
	if errors.Is(err, catalog.ErrNotFound) {
		return entries, nil
	}
	if err != nil {
		return nil, err
	}
	note, err := namespace.ParseNote(raw)
	if err != nil {
		return entries, nil
	}
	text, err := namespace.ParsePublication(note.Text)
	if err != nil {
		return entries, nil
	}
	for i := range text.Entries {
		entries[text.Entries[i].Path.Hash()] = text.Entries[i].NarHash
	}
	return entries, nil
}
