package trust_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// The way of a path from its publisher to a reader, who knows nothing but the
// address and trusts nothing of what comes.
func Example() {
	// The publisher: a root key, a document, one path.
	root, err := nix.NewSecretKey("acme-1", strings.NewReader("32 bytes that everybody can know"))
	if err != nil {
		panic(err)
	}
	address := namespace.AddressOf(root.Public())
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	rawDocument, err := trust.SignDocument(&namespace.Document{
		Namespace: address,
		Serial:    1,
		Issued:    now,
		Expires:   now.AddDate(1, 0, 0),
		Keep:      90 * 24 * time.Hour,
		Access:    "public",
	}, root)
	if err != nil {
		panic(err)
	}
	hello, err := nix.ParseBaseName("0i0k4ppf3k7i8bbcqyk5gwyg7l2r2xjq-hello-1.0")
	if err != nil {
		panic(err)
	}
	entry := namespace.Entry{Path: hello, NarHash: nix.NarHash{1}, NarSize: 1000, Body: [32]byte{2}}
	trust.SignEntry(&entry, root)
	rawPublication, err := trust.SignPublication(&namespace.Publication{
		Namespace: address,
		Time:      now,
		Expires:   now.AddDate(0, 3, 0),
		Roots:     []nix.StorePath{hello},
		Entries:   []namespace.Entry{entry},
	}, root)
	if err != nil {
		panic(err)
	}

	// The reader.
	document, err := trust.VerifyDocument(address, rawDocument)
	if err != nil {
		panic(err)
	}
	policy, err := trust.NewPolicy(document, nil)
	if err != nil {
		panic(err)
	}
	publication, err := policy.VerifyPublication(rawPublication)
	if err != nil {
		panic(err)
	}
	live := publication.Standing(policy, now).State == trust.Live
	fmt.Println(live, publication.Entries()[0].Path().Name())

	rawPublication[len(rawPublication)-10] ^= 1
	_, err = policy.VerifyPublication(rawPublication)
	fmt.Println(err != nil)
	// Output:
	// true hello-1.0
	// true
}
