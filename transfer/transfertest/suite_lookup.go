package transfertest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/transfertest/sample"
)

// answering is a handler that answers every lookup with list.
func answering(list []transfer.Answer) Handler {
	return Handler{OnLookup: func(context.Context, transfer.Remote, namespace.Address, []nix.PathHash) ([]transfer.Answer, error) {
		return list, nil
	}}
}

func testLookup(t *testing.T, pair Pair) {
	ctx, space := testContext(t), sample.Space(t)
	var asked []nix.PathHash
	var want []transfer.Answer
	for n := range transfer.MaxLookup {
		answer := transfer.Answer{Hash: sample.Path(t, n).Hash()}
		for i := 0; n%7 != 0 && i <= n%transfer.MaxLookupEntries; i++ { // every seventh is absent
			e := transfer.LookupEntry{Entry: sample.Entry(t, n, n, 1000+n, 2000)}
			if i > 0 {
				e.Publication = sample.ID("publication", i)
			}
			answer.Entries = append(answer.Entries, e)
		}
		asked = append(asked, answer.Hash)
		want = append(want, answer)
	}
	// Answers for references come along: one of what was asked, and one of that
	// one.
	want = append(want,
		transfer.Answer{Hash: sample.Path(t, 2000).Hash(), Entries: []transfer.LookupEntry{{Entry: sample.Entry(t, 2000, 2001)}}},
		transfer.Answer{Hash: sample.Path(t, 2001).Hash(), Entries: []transfer.LookupEntry{{Entry: sample.Entry(t, 2001)}}})

	var a transfer.Network
	a, b := pair(t, Handler{}, Handler{OnLookup: func(_ context.Context, from transfer.Remote, s namespace.Address, hashes []nix.PathHash) ([]transfer.Answer, error) {
		if s != space || from.Peer != a.Self().ID || !from.LAN || !slices.Equal(hashes, asked) {
			t.Errorf("asked for %d hashes in %s by %+v", len(hashes), s, from)
		}
		// The order of what is asked is made right on the way; what is nobody's
		// reference, twice there or absent is left out.
		list := slices.Clone(want)
		slices.Reverse(list[:transfer.MaxLookup])
		return append(list,
			transfer.Answer{Hash: sample.Path(t, 3000).Hash(), Entries: []transfer.LookupEntry{{Entry: sample.Entry(t, 3000)}}},
			transfer.Answer{Hash: sample.Path(t, 1003).Hash()},
			want[len(want)-1]), nil
	}})
	got, err := connect(t, a, b).Lookup(ctx, space, asked)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d answers, want %d", len(got), len(want))
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("answer %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

// testLookupRoom asks for more than fits in one answer.
func testLookupRoom(t *testing.T, pair Pair) {
	ctx, space := testContext(t), sample.Space(t)
	refs := make([]int, 450) // 45 bytes each
	for i := range refs {
		refs[i] = 10_000 + i
	}
	model := sample.Entry(t, 0, refs...)
	var asked []nix.PathHash
	var list []transfer.Answer
	for n := range transfer.MaxLookup {
		e := model
		e.Path = sample.Path(t, n)
		if n%2 == 1 { // 20 KB and 300 bytes, by turns
			e.References = nil
		}
		answer := transfer.Answer{Hash: e.Path.Hash()}
		for range transfer.MaxLookupEntries + 1 {
			answer.Entries = append(answer.Entries, transfer.LookupEntry{Entry: e})
		}
		asked = append(asked, answer.Hash)
		list = append(list, answer)
	}
	a, b := pair(t, Handler{}, answering(list))
	c := connect(t, a, b)
	got, err := c.Lookup(ctx, space, asked)
	if err != nil {
		t.Fatal(err)
	}
	entries := 0
	for i, answer := range got {
		if answer.Hash != asked[i] || len(answer.Entries) == 0 || len(answer.Entries) > transfer.MaxLookupEntries {
			t.Fatalf("answer %d: %s with %d entries, want %s", i, answer.Hash, len(answer.Entries), asked[i])
		}
		entries += len(answer.Entries)
	}
	if size := a.Traffic().Lookup.Received; size > transfer.MaxLookupAnswer || size < transfer.MaxLookupAnswer*9/10 {
		t.Errorf("%d entries in %d bytes; there is room for %d", entries, size, transfer.MaxLookupAnswer)
	}

	for i := range list {
		e := model
		e.Path = sample.Path(t, i)
		list[i].Entries = []transfer.LookupEntry{{Entry: e}}
	}
	var bad *transfer.BadRequestError
	if _, err := c.Lookup(ctx, space, asked); !errors.As(err, &bad) {
		t.Errorf("512 entries of 20 KB: %v, want to be told to ask for fewer", err)
	}
	if got, err := c.Lookup(ctx, space, asked[:256]); err != nil || len(got) != 256 {
		t.Errorf("256 entries of 20 KB: %d, %v", len(got), err)
	}
}
