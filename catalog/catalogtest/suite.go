package catalogtest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// RunCatalog runs what a catalog does on a KV; open returns an empty one and
// closes it with t.Cleanup where that is needed.
func RunCatalog(t *testing.T, open func(t *testing.T) catalog.KV) {
	for name, test := range map[string]func(*testing.T, *Bench){
		"Publish":          testPublish,
		"List":             testList,
		"Held":             testHeld,
		"Expiry":           testExpiry,
		"ClockGoesBack":    testClockGoesBack,
		"Uses":             testUses,
		"UsesThroughVoid":  testUsesThroughVoid,
		"Frozen":           testFrozen,
		"Serials":          testSerials,
		"TwoOfOneSerial":   testTwoOfOneSerial,
		"EarlyDocument":    testEarlyDocument,
		"ClosedWriter":     testClosedWriter,
		"Withdraw":         testWithdraw,
		"Deny":             testDeny,
		"PolicyChanged":    testPolicyChanged,
		"Forget":           testForget,
		"Drop":             testDrop,
		"Order":            testOrder,
		"Proven":           testProven,
		"Distrust":         testDistrust,
		"Complete":         testComplete,
		"CompleteMemo":     testCompleteMemo,
		"CompleteCircle":   testCompleteCircle,
		"CompleteOneOf":    testCompleteOneOf,
		"Changes":          testChanges,
		"Changed":          testChanged,
		"Keep":             testKeep,
		"DocumentLost":     testDocumentLost,
		"Rebuild":          testRebuild,
		"NamespacesApart":  testNamespacesApart,
		"Unlisted":         testUnlisted,
		"UnlistedLives":    testUnlistedLives,
		"Received":         testReceived,
		"AddAll":           testAddAll,
		"Receipts":         testReceipts,
		"Wanted":           testWanted,
		"Touched":          testTouched,
		"Builds":           testBuilds,
		"BuildsModel":      testBuildsModel,
		"CompleteBuilders": testCompleteBuilders,
	} {
		t.Run(name, func(t *testing.T) { test(t, NewBench(t, open(t))) })
	}
}

// digest is how a set of ids is summed up, in one line.
func digest(sorted []namespace.ID) catalog.Digest {
	var all []byte
	for _, id := range sorted {
		all = append(all, id[:]...)
	}
	return catalog.Digest{Count: uint64(len(sorted)), Sum: sha256.Sum256(all)}
}

// testPublish goes once through everything that reads.
func testPublish(t *testing.T, b *Bench) {
	ctx := t.Context()
	if _, err := b.Catalog.Lookup(ctx, b.Address, nix.PathHash{}); !errors.Is(err, catalog.ErrNotFound) {
		t.Fatalf("Lookup in no namespace: %v", err)
	}
	b.Adopt(b.Document(1, nil))
	raw := b.Publication(b.Root, func(p *namespace.Publication) {
		p.Entries = []namespace.Entry{Entry("libc", ""), Entry("hello", "", Path("libc"))}
		p.Roots = []nix.StorePath{Path("hello")}
		p.Pins = []namespace.Pin{{Name: "v1", Last: 3}}
	})
	id := b.ID(raw)
	if added := b.Add(raw); !added.New || added.Missing != nil {
		t.Fatalf("added: %+v", added)
	}
	if added := b.Add(raw); added.New {
		t.Fatalf("added again: %+v", added)
	}
	for range 2 {
		found := b.Lookup("hello")
		if len(found) != 1 || found[0].Path() != Path("hello") || found[0].Publication() != id || found[0].Seniority() != 0 {
			t.Fatalf("Lookup: %+v", found)
		}
		if found := b.Lookup("nobody"); found != nil {
			t.Fatalf("Lookup of what nobody lists: %v", found)
		}
		body := content.BodyID(sha256.Sum256([]byte("body hello")))
		if has, err := b.Catalog.HasBody(ctx, b.Address, body); err != nil || !has {
			t.Fatalf("HasBody: %v, %v", has, err)
		}
		if has, err := b.Catalog.HasBody(ctx, b.Address, content.BodyID{1}); err != nil || has {
			t.Fatalf("HasBody of another: %v, %v", has, err)
		}
		if text, err := b.Catalog.Publication(ctx, b.Address, id); err != nil || !bytes.Equal(text, raw) {
			t.Fatalf("Publication: %q, %v", text, err)
		}
		if got := b.Alive(); !slices.Equal(got, []namespace.ID{id}) {
			t.Fatalf("alive: %v", got)
		}
		st := b.Catalog.Stats(b.Address)
		if st.Paths != 2 || st.Publications != 1 || st.NarBytes != 2*1000+9 || st.Serial != 1 {
			t.Fatalf("Stats: %+v", st)
		}
		infos := 0
		for info, err := range b.Catalog.Publications(ctx, b.Address) {
			if err != nil || info.ID != id || info.Roots[0] != Path("hello") || info.Pins[0].Name != "v1" || info.Entries != 2 {
				t.Fatalf("Publications: %+v, %v", info, err)
			}
			infos++
		}
		if infos != 1 {
			t.Fatalf("%d publications", infos)
		}
		b.Reopen()
	}
}
