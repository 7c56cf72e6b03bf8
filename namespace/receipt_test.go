package namespace_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/namespace"
)

// seedSecret returns a seed's key that depends on nothing but its name.
func seedSecret(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("flurry test seed " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func receipt(t testing.TB) *namespace.Receipt {
	t.Helper()
	return &namespace.Receipt{
		Namespace:   address(t, "acme-1"),
		Publication: id(7),
		Time:        at(t, "2026-09-01T12:00:07Z"),
		Promise:     namespace.Promise{Kind: namespace.PromiseUntil, Until: at(t, "2026-10-01T12:00:07Z")},
	}
}

func TestPromises(t *testing.T) {
	for _, p := range []namespace.Promise{
		{Kind: namespace.PromisePinned},
		{Kind: namespace.PromiseBestEffort},
		{Kind: namespace.PromiseUntil, Until: at(t, "2030-01-01T00:00:00Z")},
	} {
		r := receipt(t)
		r.Promise = p
		again, err := namespace.ParseReceipt(r.Append(nil))
		if err != nil || again.Promise != p {
			t.Errorf("%v: read as %v, %v", p, again, err)
		}
	}
}

func TestRejectReceipt(t *testing.T) {
	good := receipt(t).Append(nil)
	parse := func(b []byte) error { _, err := namespace.ParseReceipt(b); return err }
	rejects(t, good, parse, []change{
		{"flurry receipt 1", "flurry receipt 2", "line 1: want"},
		{"namespace acme-1:", "namespace acme 1:", "line 2"},
		{"publication sha256:", "publication ", "line 3"},
		{"time 2026-09-01T12:00:07Z", "time 2026-09-01T12:00:07.5Z", "not a time"},
		{"promise until", "promise kept until", "not a promise"},
		{"promise until 2026-10-01T12:00:07Z", "promise until later", "not a time"},
		{"promise until 2026-10-01T12:00:07Z\n", "", `want "promise "`},
		{"promise until 2026-10-01T12:00:07Z\n", "promise pinned\npromise best-effort\n", "follows the end"},
		{"promise until 2026-10-01T12:00:07Z\n", "promise pinned\nmotto none\n", "follows the end"},
		{"promise until 2026-10-01T12:00:07Z\n", "promise pinned", "no newline"},
	})
	if err := parse([]byte(strings.Repeat(" ", namespace.MaxReceipt+1))); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a long one: %v", err)
	}
}

// TestSeedNames: the vectors are peer ids that go-libp2p gives to these keys.
func TestSeedNames(t *testing.T) {
	key := seedSecret("seed").Public().(ed25519.PublicKey)
	name := namespace.SeedName(key)
	if !strings.HasPrefix(name, "12D3KooW") || len(name) != 52 {
		t.Errorf("%s does not look like a peer id", name)
	}
	if back, err := namespace.SeedKey(name); err != nil || !back.Equal(key) {
		t.Errorf("%s: read as %x, %v", name, back, err)
	}
	for _, bad := range []string{"", "12D3KooW", name[:51], name + "1", "1" + name, strings.ToLower(name), "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
		strings.Repeat("1", namespace.MaxNameLength+1), strings.Replace(name, "o", "0", 1)} {
		if key, err := namespace.SeedKey(bad); err == nil {
			t.Errorf("%q is read as %x", bad, key)
		}
	}
}

func FuzzReceipt(f *testing.F) {
	f.Add(receipt(f).Append(nil))
	f.Add(noteText(f, "testdata/receipt.txt"))
	f.Fuzz(func(t *testing.T, text []byte) { identity(t, text, namespace.ParseReceipt) })
}

func FuzzSeedKey(f *testing.F) {
	f.Add(namespace.SeedName(seedSecret("seed").Public().(ed25519.PublicKey)))
	f.Fuzz(func(t *testing.T, name string) {
		key, err := namespace.SeedKey(name)
		if err == nil && namespace.SeedName(key) != name {
			t.Fatalf("%q is read as the key of %q", name, namespace.SeedName(key))
		}
	})
}
