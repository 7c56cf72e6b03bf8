package namespace_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

func TestAddress(t *testing.T) {
	const text = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
	a, err := namespace.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	if a.String() != text || a.Name() != "cache.nixos.org-1" || a.Key().String() != text || a.IsZero() || !a.CanPublish() {
		t.Errorf("%+v", a)
	}
	if a.Hash() != sha256.Sum256([]byte(text)) {
		t.Errorf("hash %x", a.Hash())
	}
	if b := namespace.AddressOf(a.Key()); b != a {
		t.Errorf("%v is not %v", b, a)
	}
	if !(namespace.Address{}).IsZero() || (namespace.Address{}).CanPublish() {
		t.Error("the zero address is an address")
	}
	if b, err := namespace.ParseAddress("odd@name+x" + text[17:]); err != nil || b.CanPublish() {
		t.Errorf("a name for upstreams only: %v, %v", b, err)
	}
	for _, bad := range []string{"", "name", text[:len(text)-1], text[:len(text)-2] + "Z=", text + " ", " " + text, text + "\n", ":" + text[18:]} {
		var keyErr *nix.KeyError
		if _, err := namespace.ParseAddress(bad); !errors.As(err, &keyErr) {
			t.Errorf("%q: error %v, want a KeyError", bad, err)
		}
	}
	if _, err := namespace.ParseAddress(text + "?seed=/ip4/192.0.2.1"); err == nil || !strings.Contains(err.Error(), "hints") {
		t.Errorf("with hints: error %v", err)
	}
}

func TestValidName(t *testing.T) {
	for _, good := range []string{"a", "A.b_c-9", strings.Repeat("x", namespace.MaxNameLength)} {
		if !namespace.ValidName(good) {
			t.Errorf("%q is not valid", good)
		}
	}
	for _, bad := range []string{"", "a b", "a+b", "a/b", "a:b", "ä", "a\n", "a@b", strings.Repeat("x", namespace.MaxNameLength+1)} {
		if namespace.ValidName(bad) {
			t.Errorf("%q is valid", bad)
		}
	}
}

func TestHinted(t *testing.T) {
	a := address(t, "acme-1")
	full := slices.Repeat([]string{"/dns4/seed.example.org/tcp/7670"}, namespace.MaxSeeds)
	longest := "/" + strings.Repeat("x", namespace.MaxSeedLength-1)
	for _, seeds := range [][]string{
		nil, {"/ip4/192.0.2.1/tcp/7670"}, {"/a", "/b"}, {"/http-path/a%2Fb&c#d+e?f"}, {longest}, full,
	} {
		text := namespace.Hinted(a, namespace.Hints{Seeds: seeds})
		b, h, err := namespace.ParseHinted(text)
		if err != nil || b != a || !slices.Equal(h.Seeds, seeds) {
			t.Errorf("%q: %v, %q, %v", text, b, h.Seeds, err)
		}
	}
	if b, h, err := namespace.ParseHinted(a.String() + "?colour=blue&seed=/a&seeds=x"); err != nil || b != a || !slices.Equal(h.Seeds, []string{"/a"}) {
		t.Errorf("unknown hints: %v, %q, %v", b, h.Seeds, err)
	}
	for _, bad := range []string{
		"?seed=", "?seed=ip4", "?seed=/", "?seed=/a%2", "?seed=/a b", "?seed=/a%00", "?seed=/%C3%B6",
		"?seed=" + longest + "x",
		"?seed=/a" + strings.Repeat("&seed=/a", namespace.MaxSeeds),
	} {
		if _, h, err := namespace.ParseHinted(a.String() + bad); err == nil {
			t.Errorf("%q: hints %q", bad, h.Seeds)
		}
	}
	if _, _, err := namespace.ParseHinted("name?seed=/a"); err == nil {
		t.Error("hints without an address are accepted")
	}
}

func FuzzHinted(f *testing.F) {
	f.Add(address(f, "acme-1").String() + "?seed=/ip4/192.0.2.1&seed=/a%26b")
	f.Add(address(f, "acme-1").String())
	f.Fuzz(func(t *testing.T, s string) {
		a, h, err := namespace.ParseHinted(s)
		if err != nil {
			return
		}
		b, again, err := namespace.ParseHinted(namespace.Hinted(a, h))
		if err != nil || a != b || !slices.Equal(h.Seeds, again.Seeds) {
			t.Fatalf("%q: %v %q, then %v %q, %v", s, a, h, b, again, err)
		}
	})
}

func TestID(t *testing.T) {
	const text = "00ff0000000000000000000000000000000000000000000000000000000000a9"
	id, err := namespace.ParseID(text)
	if err != nil || id.String() != text || id.Short() != "00ff0000" || id.IsZero() || !(namespace.ID{}).IsZero() {
		t.Errorf("%v, %v", id, err)
	}
	other, err := namespace.ParseID("01" + text[2:])
	if err != nil || id.Compare(other) != -1 || other.Compare(id) != 1 || id.Compare(id) != 0 {
		t.Errorf("%v against %v", id, other)
	}
	for _, bad := range []string{"", text[:63], text + "0", text[:63] + "A", text[:63] + "g", "sha256:" + text} {
		if _, err := namespace.ParseID(bad); err == nil {
			t.Errorf("%q is an id", bad)
		}
	}
	spoken, err := json.Marshal([]namespace.ID{id})
	var read []namespace.ID
	if err != nil || string(spoken) != `["`+text+`"]` || json.Unmarshal(spoken, &read) != nil || !slices.Equal(read, []namespace.ID{id}) {
		t.Errorf("in JSON: %s, %v, %v", spoken, read, err)
	}
	if json.Unmarshal([]byte(`["00"]`), &read) == nil {
		t.Errorf("half an id in JSON: %v", read)
	}
}
