package trust_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// must fails the test on an error and returns the value.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// refused fails the test unless err is a refusal for this reason.
func refused(t testing.TB, err error, why trust.Reason) {
	t.Helper()
	var r *trust.Refusal
	switch {
	case !errors.As(err, &r):
		t.Errorf("have %v, want a refusal: %s", err, why)
	case r.Why != why:
		t.Errorf("have %v, want a refusal: %s", err, why)
	case !errors.Is(err, trust.ErrUntrusted):
		t.Errorf("%v does not wrap ErrUntrusted", err)
	case slices.Contains(r.Unwrap(), nil):
		t.Errorf("%v wraps nothing", err)
	}
}

// secret returns a key that depends on nothing but its name.
func secret(t testing.TB, name string) nix.SecretKey {
	t.Helper()
	seed := sha256.Sum256([]byte("flurry test key " + name))
	return must(nix.NewSecretKey(name, bytes.NewReader(seed[:])))(t)
}

func path(t testing.TB, name string) nix.StorePath {
	t.Helper()
	sum := sha256.Sum256([]byte(name))
	return must(nix.ParseBaseName(nix.PathHash(sum[:20]).String() + "-" + name))(t)
}

// A house is a namespace with a root and two writers, ci and zoe, of whom zoe
// leaves at the end of the year, and two closed writers: nothing stays of old-1,
// and of old-2 what kept names.
type house struct {
	t             testing.TB
	root, ci, zoe nix.SecretKey
	old1, old2    nix.SecretKey
	document      namespace.Document
	kept          namespace.KeepList
}

func day(n int) time.Time { return time.Date(2026, 9, 1+n, 12, 0, 0, 0, time.UTC) }

func newHouse(t testing.TB) *house {
	h := &house{t: t, root: secret(t, "acme-1"), ci: secret(t, "ci"), zoe: secret(t, "zoe"), old1: secret(t, "old-1"), old2: secret(t, "old-2")}
	h.kept.Namespace = h.address()
	h.document = namespace.Document{
		Namespace: h.address(),
		Serial:    2,
		Previous:  namespace.ID{1},
		Issued:    day(0),
		Expires:   day(200),
		Keep:      90 * 24 * time.Hour,
		Writers:   []namespace.Writer{{Key: h.ci.Public()}, {Key: h.zoe.Public(), Until: day(100)}},
		Access:    "public",
	}
	return h
}

func (h *house) address() namespace.Address { return namespace.AddressOf(h.root.Public()) }

// sign returns the document as it stands, signed by the root.
func (h *house) sign() trust.Document {
	h.t.Helper()
	return must(trust.VerifyDocument(h.address(), must(trust.SignDocument(&h.document, h.root))(h.t)))(h.t)
}

// policy returns the policy of the document as it stands.
func (h *house) policy() *trust.Policy {
	h.t.Helper()
	h.document.Closed = []namespace.Closed{
		{Key: h.old1.Public(), None: true},
		{Key: h.old2.Public(), Keep: h.kept.ID()},
	}
	return must(trust.NewPolicy(h.sign(), []*namespace.KeepList{&h.kept}))(h.t)
}

// entry returns a signed entry for a path that refers to itself.
func (h *house) entry(name string, k nix.SecretKey) namespace.Entry {
	p := path(h.t, name)
	e := namespace.Entry{
		Path:       p,
		NarHash:    sha256.Sum256([]byte(name)),
		NarSize:    1000,
		References: []nix.StorePath{p},
		Body:       content.BodyID(sha256.Sum256([]byte(name))),
		Slots:      []nix.PathHash{p.Hash()},
	}
	trust.SignEntry(&e, k)
	return e
}

// publication returns one of two entries, dated and signed.
func (h *house) publication(k nix.SecretKey, when time.Time) []byte {
	h.t.Helper()
	return h.signed(k, when, h.entry("hello-1.0", k), h.entry("glibc-2.40", k))
}

func (h *house) signed(k nix.SecretKey, when time.Time, entries ...namespace.Entry) []byte {
	h.t.Helper()
	return must(trust.SignPublication(h.draft(when, entries...), k))(h.t)
}

func (h *house) draft(when time.Time, entries ...namespace.Entry) *namespace.Publication {
	p := &namespace.Publication{Namespace: h.address(), Time: when, Expires: when.Add(90 * 24 * time.Hour), Entries: entries}
	for _, e := range entries {
		p.Roots = append(p.Roots, e.Path)
	}
	return p
}

// forge signs whatever text p has, checked by nobody.
func forge(p *namespace.Publication, k nix.SecretKey) []byte {
	return namespace.SignNote(p.Append(nil), k).Append(nil)
}
