package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// Values of the index. Integers are uvarints, strings are preceded by their
// lengths. The index is this node's own, so that a value that does not parse is
// damage and not an attack; it is answered with ErrDamaged all the same, never
// with a panic.

// indexFormat is the version of keys and values. An index of a later one is left
// alone.
const indexFormat = 1

// writer appends the fields of a value.
type writer []byte

func (w *writer) uint(n uint64) { *w = binary.AppendUvarint(*w, n) }

func (w *writer) string(s string) {
	w.uint(uint64(len(s)))
	*w = append(*w, s...)
}

func (w *writer) id(id namespace.ID) { *w = append(*w, id[:]...) }

// key appends a public key, not as its text: that a key is a point on the curve
// takes longer to check than all the rest of a value takes to read.
func (w *writer) key(k nix.PublicKey) {
	w.string(k.Name)
	*w = append(*w, k.Key[:]...)
}

// reader takes them off again. After the first error everything is zero.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: a value ends inside %s", ErrDamaged, what)
	}
	r.rest = nil
}

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.fail("a number")
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail("a field")
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) string() string { return string(r.bytes(r.uint())) }

func (r *reader) key() (k nix.PublicKey) {
	k.Name = r.string()
	copy(k.Key[:], r.bytes(uint64(len(k.Key))))
	return k
}

func (r *reader) id() (id namespace.ID) {
	copy(id[:], r.bytes(uint64(len(id))))
	return id
}

func (r *reader) ids() []namespace.ID {
	n := r.uint()
	if n > uint64(len(r.rest)/len(namespace.ID{})) {
		r.fail("a list of ids")
		return nil
	}
	ids := make([]namespace.ID, n)
	for i := range ids {
		ids[i] = r.id()
	}
	return ids
}

func (w *writer) ids(ids []namespace.ID) {
	w.uint(uint64(len(ids)))
	for _, id := range ids {
		w.id(id)
	}
}

// end returns the error of the whole value: a rest is one.
func (r *reader) end() error {
	if r.err == nil && len(r.rest) > 0 {
		return fmt.Errorf("%w: a value has %d bytes too many", ErrDamaged, len(r.rest))
	}
	return r.err
}

// namespaceRecord is the value of a namespace.
type namespaceRecord struct {
	address  namespace.Address
	upstream bool           // no document, no publications
	left     bool           // forgotten: only the serial is remembered
	serial   uint64         // highest ever adopted
	document namespace.ID   // of that serial
	lists    []namespace.ID // the kept lists that it names
	rival    namespace.ID   // a document of the same serial with another id; zero: none was seen
}

func (n namespaceRecord) equal(o namespaceRecord) bool {
	return bytes.Equal(n.encode(), o.encode())
}

const (
	flagUpstream = 1 << iota
	flagLeft
)

func (n namespaceRecord) encode() []byte {
	var w writer
	w.string(n.address.String())
	flags := uint64(0)
	if n.upstream {
		flags |= flagUpstream
	}
	if n.left {
		flags |= flagLeft
	}
	w.uint(flags)
	w.uint(n.serial)
	w.id(n.document)
	w.ids(n.lists)
	w.id(n.rival)
	return w
}

func decodeNamespace(v []byte) (n namespaceRecord, err error) {
	r := reader{rest: v}
	text := r.string()
	flags := r.uint()
	n.upstream, n.left = flags&flagUpstream != 0, flags&flagLeft != 0
	n.serial = r.uint()
	n.document = r.id()
	n.lists = r.ids()
	n.rival = r.id()
	if err := r.end(); err != nil {
		return n, err
	}
	if n.address, err = namespace.ParseAddress(text); err != nil {
		return n, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return n, nil
}

// facts is what is known of a publication besides its entries: what a policy
// judges, and what is counted.
type facts struct {
	id            namespace.ID
	signer        nix.PublicKey
	time, expires int64  // seconds since 1970
	entries       uint64 // how many
	text          uint64 // bytes of the signed form
	nar           uint64 // sum of NarSize
	uses          []namespace.ID
	received      int64 // when its text first came here, in seconds since 1970; not part of the value
}

func (f *facts) encode() []byte {
	var w writer
	w.key(f.signer)
	w.uint(uint64(f.time))
	w.uint(uint64(f.expires))
	w.uint(f.entries)
	w.uint(f.text)
	w.uint(f.nar)
	w.ids(f.uses)
	return w
}

func decodeFacts(id namespace.ID, v []byte) (*facts, error) {
	r := reader{rest: v}
	f := &facts{id: id}
	f.signer = r.key()
	f.time, f.expires = int64(r.uint()), int64(r.uint())
	f.entries, f.text, f.nar = r.uint(), r.uint(), r.uint()
	f.uses = r.ids()
	return f, r.end()
}

// details is what is shown of a publication.
type details struct {
	roots []nix.StorePath
	pins  []namespace.Pin
}

func (d *details) encode() []byte {
	var w writer
	w.uint(uint64(len(d.roots)))
	for _, p := range d.roots {
		w.string(p.Base())
	}
	w.uint(uint64(len(d.pins)))
	for _, p := range d.pins {
		w.string(p.Name)
		w.uint(uint64(p.Last))
		w.uint(uint64(p.For))
	}
	return w
}

func decodeDetails(v []byte) (d details, err error) {
	r := reader{rest: v}
	for n := r.uint(); n > 0 && r.err == nil; n-- {
		base := r.string()
		if r.err != nil {
			break
		}
		p, err := nix.ParseBaseName(base)
		if err != nil {
			return d, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		d.roots = append(d.roots, p)
	}
	for n := r.uint(); n > 0 && r.err == nil; n-- {
		d.pins = append(d.pins, namespace.Pin{Name: r.string(), Last: int(r.uint()), For: time.Duration(r.uint())})
	}
	return d, r.end()
}

// listing says that a publication lists a path, and of its entry what one has to
// know to walk through references: the text of an entry takes several times as
// long to read.
type listing struct {
	path      nix.PathHash // path and id are the key
	id        namespace.ID
	size      uint64 // NarSize
	name      string // of the path
	hash      nix.NarHash
	fact      factID
	refs      []reference
	elsewhere []elsewhere
}

// reference is a store path as it is read most quickly.
type reference struct {
	hash nix.PathHash
	name string
}

func referenceTo(p nix.StorePath) reference { return reference{p.Hash(), p.Name()} }

func (r reference) storePath() (nix.StorePath, error) {
	p, err := nix.ParseBaseName(r.hash.String() + "-" + r.name)
	if err != nil {
		return p, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return p, nil
}

// elsewhere is one way in which the reference number ref may be present though
// nothing here lists it: as an extern of key, or, when key is zero, as a hole.
type elsewhere struct {
	ref int
	key nix.PublicKey
}

func (l *listing) encode() []byte {
	var w writer
	w.uint(l.size)
	w.string(l.name)
	w = append(w, l.hash[:]...)
	w = append(w, l.fact[:]...)
	w.uint(uint64(len(l.refs)))
	for _, ref := range l.refs {
		w = append(w, ref.hash[:]...)
		w.string(ref.name)
	}
	w.uint(uint64(len(l.elsewhere)))
	for _, x := range l.elsewhere {
		w.uint(uint64(x.ref))
		w.key(x.key)
	}
	return w
}

// decodeListingKey reads the key and the size alone.
func decodeListingKey(k, v []byte) (l listing, err error) {
	if err := fields(k, l.path[:], l.id[:]); err != nil {
		return l, err
	}
	r := reader{rest: v}
	l.size = r.uint()
	return l, r.err
}

// decode reads the rest into l, which has its key.
func (l *listing) decode(v []byte) error {
	r := reader{rest: v}
	l.size = r.uint()
	l.name = r.string()
	copy(l.hash[:], r.bytes(uint64(len(l.hash))))
	copy(l.fact[:], r.bytes(uint64(len(l.fact))))
	n := r.uint()
	if n > uint64(len(r.rest)) {
		r.fail("the references")
		n = 0
	}
	l.refs = make([]reference, n)
	for i := range l.refs {
		copy(l.refs[i].hash[:], r.bytes(uint64(len(nix.PathHash{}))))
		l.refs[i].name = r.string()
	}
	for m := r.uint(); m > 0 && r.err == nil; m-- {
		x := elsewhere{ref: int(r.uint()), key: r.key()}
		if x.ref < 0 || x.ref >= len(l.refs) {
			r.fail("what is elsewhere")
		}
		l.elsewhere = append(l.elsewhere, x)
	}
	return r.end()
}

// factOf returns the id of what there is to prove of an entry.
func factOf(e *namespace.Entry) factID {
	h := sha256.New()
	h.Write(e.NarHash[:])
	h.Write(e.Body[:])
	for _, slot := range e.Slots {
		h.Write(slot[:])
	}
	return factID(h.Sum(nil)[:16])
}
