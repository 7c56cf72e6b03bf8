package dht_test

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

func address(t *testing.T, s string) namespace.Address {
	t.Helper()
	a, err := namespace.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestKeyVectors pins the derivation: a network whose nodes derive keys
// differently falls apart in silence.
func TestKeyVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/keys.txt")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		var got dht.Key
		switch f[0] {
		case "namespace":
			got = dht.NamespaceKey(address(t, f[1]))
		case "path":
			h, err := nix.ParsePathHash(f[2])
			if err != nil {
				t.Fatal(err)
			}
			got = dht.PathKey(address(t, f[1]), h)
		default:
			t.Fatalf("a line that begins with %q", f[0])
		}
		if want := f[len(f)-1]; got.String() != want {
			t.Errorf("%s %s = %s, want %s", f[0], strings.Join(f[1:len(f)-1], " "), got, want)
		}
		checked++
	}
	if checked != 10 {
		t.Errorf("checked %d vectors, want 10", checked)
	}
}

func TestHintsDoNotAlterKeys(t *testing.T) {
	const plain = "acme-1:WGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY="
	hinted, _, err := namespace.ParseHinted(plain + "?seed=/ip4/203.0.113.9/tcp/7670")
	if err != nil {
		t.Fatal(err)
	}
	if dht.NamespaceKey(hinted) != dht.NamespaceKey(address(t, plain)) {
		t.Error("an address with hints has another key than the same without")
	}
}

func TestMultihash(t *testing.T) {
	k := dht.NamespaceKey(address(t, "acme-1:WGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY="))
	m := k.Multihash()
	if got, want := hex.EncodeToString(m), "1220"+k.String(); got != want {
		t.Errorf("multihash %s, want %s", got, want)
	}
	if back, ok := dht.KeyOf(m); !ok || back != k {
		t.Errorf("KeyOf(%x) = %s, %v", m, back, ok)
	}
	for name, bad := range map[string][]byte{
		"empty":             nil,
		"other function":    append([]byte{0x16, 32}, k[:]...),
		"other length":      append([]byte{0x12, 31}, k[1:]...),
		"short":             m[:33],
		"long":              append(k.Multihash(), 0),
		"digest without it": k[:],
	} {
		if got, ok := dht.KeyOf(bad); ok {
			t.Errorf("%s: KeyOf(%x) = %s, want none", name, bad, got)
		}
	}
}
