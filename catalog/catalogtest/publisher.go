package catalogtest

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// Publisher is a namespace's root and its writers, for tests: it makes signed
// texts that are in order. Equal seeds make equal keys.
type Publisher struct {
	T       testing.TB
	Root    nix.SecretKey
	Address namespace.Address
	Start   time.Time // when it is, for the texts it makes: whole seconds
	Life    time.Duration

	seed uint64
}

// NewPublisher returns the publisher of a namespace called name.
func NewPublisher(t testing.TB, name string, seed uint64) *Publisher {
	p := &Publisher{T: t, Start: time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC), Life: 90 * 24 * time.Hour, seed: seed}
	p.Root = p.Key(name)
	p.Address = namespace.AddressOf(p.Root.Public())
	return p
}

// Key returns the key of that name.
func (p *Publisher) Key(name string) nix.SecretKey {
	p.T.Helper()
	k, err := nix.NewSecretKey(name, rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, p.seed, name))))
	if err != nil {
		p.T.Fatal(err)
	}
	return k
}

// Document returns a signed document of that serial, issued at Start, expiring a
// year later, altered by change before it is signed.
func (p *Publisher) Document(serial uint64, change func(*namespace.Document)) trust.Document {
	p.T.Helper()
	d := &namespace.Document{
		Namespace: p.Address,
		Serial:    serial,
		Issued:    p.Start,
		Expires:   p.Start.AddDate(1, 0, 0),
		Keep:      p.Life,
		Access:    "public",
	}
	if serial > 1 {
		d.Previous = sha256.Sum256(fmt.Append(nil, serial))
	}
	if change != nil {
		change(d)
	}
	raw, err := trust.SignDocument(d, p.Root)
	if err != nil {
		p.T.Fatal(err)
	}
	signed, err := trust.VerifyDocument(p.Address, raw)
	if err != nil {
		p.T.Fatal(err)
	}
	return signed
}

// Writers makes keys writers of a document.
func Writers(keys ...nix.SecretKey) func(*namespace.Document) {
	return func(d *namespace.Document) {
		for _, k := range keys {
			d.Writers = append(d.Writers, namespace.Writer{Key: k.Public()})
		}
	}
}

// Path returns the store path of that name; its hash follows from the name.
func Path(name string) nix.StorePath {
	sum := sha256.Sum256([]byte(name))
	path, err := nix.ParseBaseName(nix.PathHash(sum[:20]).String() + "-" + name)
	if err != nil {
		panic(err)
	}
	return path
}

// Entry returns an unsigned entry for that path, whose content follows from
// name and build.
func Entry(name string, build string, refs ...nix.StorePath) namespace.Entry {
	e := namespace.Entry{
		Path:       Path(name),
		NarHash:    sha256.Sum256([]byte("nar " + name + build)),
		NarSize:    uint64(1000 + len(name)),
		References: slices.SortedFunc(slices.Values(refs), nix.StorePath.Compare),
		Body:       content.BodyID(sha256.Sum256([]byte("body " + name + build))),
	}
	for _, ref := range e.References {
		e.Slots = append(e.Slots, ref.Hash())
	}
	return e
}

// Publication returns a publication by k, made at Start and living for Life,
// altered by change before it and its entries are signed.
func (p *Publisher) Publication(k nix.SecretKey, change func(*namespace.Publication)) []byte {
	p.T.Helper()
	v := &namespace.Publication{Namespace: p.Address, Time: p.Start, Expires: p.Start.Add(p.Life)}
	if change != nil {
		change(v)
	}
	for i := range v.Entries {
		trust.SignEntry(&v.Entries[i], k)
	}
	raw, err := trust.SignPublication(v, k)
	if err != nil {
		p.T.Fatal(err)
	}
	return raw
}

// ID returns the id of a text.
func (p *Publisher) ID(raw []byte) namespace.ID {
	p.T.Helper()
	id, err := namespace.TextID(raw)
	if err != nil {
		p.T.Fatal(err)
	}
	return id
}
