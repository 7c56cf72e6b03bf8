package catalog

import (
	"fmt"
	"slices"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

func factsOf(p trust.Publication) *facts {
	v := p.Value()
	f := &facts{
		id:      p.ID(),
		signer:  p.Signer(),
		time:    v.Time.Unix(),
		expires: v.Expires.Unix(),
		entries: uint64(len(v.Entries)),
		text:    uint64(len(p.Raw())),
		uses:    v.Uses,
	}
	for i := range v.Entries {
		f.nar += v.Entries[i].NarSize
	}
	return f
}

// indexOps are what the index says of a publication. They do not depend on what
// is there already.
func (s spaceID) indexOps(p trust.Publication, f *facts) []Op {
	v := p.Value()
	d := details{roots: v.Roots, pins: v.Pins}
	ops := make([]Op, 0, 2+4*len(v.Entries))
	ops = append(ops, put(s.factsKey(f.id), f.encode()), put(s.detailsKey(f.id), d.encode()))
	declared := declarations(v)
	for i := range v.Entries {
		e := &v.Entries[i]
		ops = append(ops, s.entryOps(f.id, e, declared.of(e))...)
	}
	return ops
}

func (s spaceID) entryOps(id namespace.ID, e *namespace.Entry, x []elsewhere) []Op {
	h := e.Path.Hash()
	l := listing{size: e.NarSize, name: e.Path.Name(), hash: e.NarHash, fact: factOf(e), elsewhere: x}
	for _, ref := range e.References {
		l.refs = append(l.refs, referenceTo(ref))
	}
	ops := []Op{
		put(s.entryKey(id, h), e.Append(nil)),
		put(s.listerKey(h, id), l.encode()),
		put(s.listedKey(h), nil),
	}
	if e.HasBody() {
		ops = append(ops, put(s.bodyKey(e.Body, id, h), nil))
	}
	return ops
}

// declared is where a publication says that paths may be which it does not list.
type declared map[nix.StorePath][]nix.PublicKey // a zero key: a hole

func declarations(v *namespace.Publication) declared {
	d := make(declared, len(v.Externs)+len(v.Holes))
	for _, x := range v.Externs {
		d[x.Path] = append(d[x.Path], x.Key)
	}
	for _, hole := range v.Holes {
		d[hole] = append(d[hole], nix.PublicKey{})
	}
	return d
}

func (d declared) of(e *namespace.Entry) []elsewhere {
	if len(d) == 0 {
		return nil
	}
	var all []elsewhere
	for i, ref := range e.References {
		for _, key := range d[ref] {
			all = append(all, elsewhere{ref: i, key: key})
		}
	}
	return all
}

// unindexOps take publications out of the index again. What coming lists, which
// is written in the same batch, keeps its proofs.
func (c *Catalog) unindexOps(s *space, gone []*publication, coming *namespace.Publication) ([]Op, error) {
	if len(gone) == 0 {
		return nil, nil
	}
	stays := make(map[nix.PathHash]bool)
	if coming != nil {
		for i := range coming.Entries {
			stays[coming.Entries[i].Path.Hash()] = true
		}
	}
	var ops []Op
	for _, p := range gone {
		more, err := c.unindexOne(s, p.id, stays)
		if err != nil {
			return nil, fmt.Errorf("remove publication %s: %w", p.id.Short(), err)
		}
		ops = append(ops, more...)
	}
	return ops, nil
}

func (c *Catalog) unindexOne(s *space, id namespace.ID, stays map[nix.PathHash]bool) ([]Op, error) {
	entries, err := c.listedBy(s, id)
	if err != nil {
		return nil, err
	}
	ops := []Op{remove(s.id.factsKey(id)), remove(s.id.detailsKey(id)), remove(s.id.unlistedKey(id)),
		remove(s.id.receivedKey(id)), remove(s.id.wantedKey(id)), removePrefix(s.id.receiptsKey(id))}
	for _, e := range entries {
		more, err := c.unlistOps(s, id, e, stays[e.Path.Hash()])
		if err != nil {
			return nil, err
		}
		ops = append(ops, more...)
	}
	return ops, nil
}

// unlistOps take one entry out of the index. When nobody else lists its path,
// and it does not stay for another reason, its proofs go as well.
func (c *Catalog) unlistOps(s *space, id namespace.ID, e *namespace.Entry, stays bool) ([]Op, error) {
	h := e.Path.Hash()
	ops := []Op{remove(s.id.entryKey(id, h)), remove(s.id.listerKey(h, id))}
	if e.HasBody() {
		ops = append(ops, remove(s.id.bodyKey(e.Body, id, h)))
	}
	listers, err := c.listers(s, h)
	if err != nil {
		return nil, err
	}
	if len(listers) <= 1 && !stays {
		ops = append(ops, remove(s.id.listedKey(h)), removePrefix(s.id.provensKey(h)))
	}
	return ops, nil
}

// listedBy returns the entries of one publication, from the index.
func (c *Catalog) listedBy(s *space, id namespace.ID) ([]*namespace.Entry, error) {
	var entries []*namespace.Entry
	err := c.kv.Scan(s.id.entriesKey(id), nil, func(_, v []byte) (bool, error) {
		e, err := decodeEntry(v)
		entries = append(entries, e)
		return true, err
	})
	return entries, err
}

// decodeEntry reads the text of an entry.
func decodeEntry(v []byte) (*namespace.Entry, error) {
	e, err := namespace.ParseEntry(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return &e, nil
}

// listers returns the ids of the publications that list a path, dead ones too.
func (c *Catalog) listers(s *space, h nix.PathHash) ([]namespace.ID, error) {
	var ids []namespace.ID
	err := c.kv.Scan(s.id.listersKey(h), nil, func(k, v []byte) (bool, error) {
		l, err := decodeListingKey(k, v)
		ids = append(ids, l.id)
		return true, err
	})
	return ids, err
}

// rawListing is a listing of which only the key and the size were read.
type rawListing struct {
	listing
	value []byte
}

// rawListings returns what publications list for a path, dead ones too.
func (c *Catalog) rawListings(s *space, h nix.PathHash) ([]rawListing, error) {
	var all []rawListing
	err := c.kv.Scan(s.id.listersKey(h), nil, func(k, v []byte) (bool, error) {
		l, err := decodeListingKey(k, v)
		all = append(all, rawListing{l, slices.Clone(v)})
		return true, err
	})
	return all, err
}

// listings returns what publications that are alive list for a path.
func (c *Catalog) listings(s *space, h nix.PathHash) ([]listing, error) {
	raw, err := c.rawListings(s, h)
	if err != nil {
		return nil, err
	}
	c.mu.RLock()
	raw = slices.DeleteFunc(raw, func(l rawListing) bool { return !s.lives(l.id) })
	c.mu.RUnlock()
	alive := make([]listing, len(raw))
	for i, l := range raw {
		if err := l.decode(l.value); err != nil {
			return nil, err
		}
		alive[i] = l.listing
	}
	return alive, nil
}

// wipe takes all of a namespace out of the index but its record.
func (s *space) wipe() []Op {
	ops := make([]Op, 0, len(spaceKinds))
	for i := range len(spaceKinds) {
		ops = append(ops, removePrefix(s.id.key(spaceKinds[i])))
	}
	return ops
}
