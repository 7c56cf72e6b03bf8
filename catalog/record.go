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

// listed is an entry with what its references may resolve to outside the
// namespace.
type listed struct {
	entry     *namespace.Entry
	elsewhere []elsewhere
}

// elsewhere is one way in which the reference number ref may be present though
// nothing here lists it: as an extern of key, or, when key is zero, as a hole.
type elsewhere struct {
	ref int
	key nix.PublicKey
}

func (l *listed) encode() []byte {
	var w writer
	w.uint(uint64(len(l.elsewhere)))
	for _, x := range l.elsewhere {
		w.uint(uint64(x.ref))
		w.key(x.key)
	}
	return l.entry.Append(w)
}

func decodeListed(v []byte) (l listed, err error) {
	r := reader{rest: v}
	for n := r.uint(); n > 0 && r.err == nil; n-- {
		l.elsewhere = append(l.elsewhere, elsewhere{ref: int(r.uint()), key: r.key()})
	}
	if r.err != nil {
		return l, r.err
	}
	e, err := namespace.ParseEntry(r.rest)
	if err != nil {
		return l, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	l.entry = &e
	for _, x := range l.elsewhere {
		if x.ref < 0 || x.ref >= len(e.References) {
			return l, fmt.Errorf("%w: entry %s has no reference %d", ErrDamaged, e.Path.Base(), x.ref)
		}
	}
	return l, nil
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
