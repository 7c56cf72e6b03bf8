package namespace_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// secret returns a key that depends on nothing but its name.
func secret(t testing.TB, name string) nix.SecretKey {
	t.Helper()
	seed := sha256.Sum256([]byte("flurry test key " + name))
	k, err := nix.NewSecretKey(name, bytes.NewReader(seed[:]))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func address(t testing.TB, name string) namespace.Address {
	t.Helper()
	return namespace.AddressOf(secret(t, name).Public())
}

// path returns a store path whose hash part depends on nothing but the name.
func path(t testing.TB, name string) nix.StorePath {
	t.Helper()
	sum := sha256.Sum256([]byte(name))
	p, err := nix.ParseBaseName(nix.PathHash(sum[:20]).String() + "-" + name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func at(t testing.TB, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func id(n int) namespace.ID { return sha256.Sum256(fmt.Append(nil, "id ", n)) }

// entry returns an entry for a path that refers to itself and to refs, signed by
// k, with all its hash parts in use.
func entry(t testing.TB, k nix.SecretKey, name string, refs ...string) namespace.Entry {
	t.Helper()
	e := namespace.Entry{
		Path:       path(t, name),
		NarHash:    sha256.Sum256([]byte("nar of " + name)),
		NarSize:    uint64(1000 + len(name)),
		References: []nix.StorePath{path(t, name)},
		Deriver:    path(t, name+".drv").Base(),
		Body:       content.BodyID(sha256.Sum256([]byte("body of " + name))),
	}
	for _, ref := range refs {
		e.References = append(e.References, path(t, ref))
		e.Slots = append(e.Slots, path(t, ref).Hash())
	}
	e.Slots = append(e.Slots, e.Path.Hash())
	e.Sigs = []nix.Signature{k.Sign(e.Fingerprint())}
	return e
}

func publication(t testing.TB) *namespace.Publication {
	t.Helper()
	k := secret(t, "acme-ci-1")
	bare := entry(t, k, "bare")
	bare.Deriver, bare.References, bare.Slots = "", nil, nil
	both := entry(t, k, "hello-1.0", "glibc-2.40", "bare")
	both.Sigs = append(both.Sigs, secret(t, "acme-1").Sign(both.Fingerprint()))
	both.Unknown = []string{"Mood: cheerful", "bare words"}
	return &namespace.Publication{
		Namespace: address(t, "acme-1"),
		Time:      at(t, "2026-09-01T12:00:00Z"),
		Expires:   at(t, "2026-11-30T12:00:00Z"),
		Pins: []namespace.Pin{
			{Name: "v1.4.2", Last: 5}, {Name: "branch/main", For: 36 * time.Hour}, {Name: "gone"},
		},
		Roots:   []nix.StorePath{path(t, "hello-1.0"), path(t, "bare")},
		Uses:    []namespace.ID{id(1), id(2), id(3)},
		Externs: []namespace.Extern{{Key: secret(t, "cache.example.org-1").Public(), Path: path(t, "glibc-2.40")}},
		Holes:   []nix.StorePath{path(t, "unfree-blob-3")},
		Unknown: []string{"weather snow", "another"},
		Entries: []namespace.Entry{both, bare},
	}
}

func document(t testing.TB) *namespace.Document {
	t.Helper()
	return &namespace.Document{
		Namespace: address(t, "acme-1"),
		Serial:    3,
		Issued:    at(t, "2026-09-01T12:00:00Z"),
		Expires:   at(t, "2027-09-01T12:00:00Z"),
		Previous:  id(4),
		Keep:      90 * 24 * time.Hour,
		Writers: []namespace.Writer{
			{Key: secret(t, "zoe").Public(), Until: at(t, "2027-01-01T00:00:00Z")},
			{Key: secret(t, "acme-ci-1").Public()},
		},
		Closed: []namespace.Closed{
			{Key: secret(t, "old-2").Public(), Keep: keepList(t).ID()},
			{Key: secret(t, "old-1").Public(), None: true},
		},
		Withdrawn: []namespace.Withdrawal{{Publication: id(5), Reason: "contains a token"}, {Publication: id(6), Reason: "too"}},
		Denied: []namespace.Denial{
			{Path: path(t, "widget").Hash(), NarHash: sha256.Sum256([]byte("b")), Reason: "a licence – of ours"},
			{Path: path(t, "widget").Hash(), NarHash: sha256.Sum256([]byte("a")), Reason: "the same path"},
		},
		Seeds:   []string{"/dns4/seed.example.org/tcp/7670", "/ip4/192.0.2.1/udp/7670/quic-v1"},
		About:   "Widgets für alle",
		Access:  "public",
		Unknown: []string{"writer oidc https://example.org sub", "motto none"},
	}
}

func keepList(t testing.TB) *namespace.KeepList {
	t.Helper()
	return &namespace.KeepList{Namespace: address(t, "acme-1"), Publications: []namespace.ID{id(9), id(8), id(7)}}
}
