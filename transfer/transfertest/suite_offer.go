package transfertest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/transfertest/sample"
)

// offering answers offers with these updates.
func offering(updates ...transfer.OfferUpdate) Handler {
	return Handler{OnOffer: func(_ context.Context, _ transfer.Remote, _ namespace.Address, _ namespace.ID, send func(transfer.OfferUpdate) error) error {
		for _, u := range updates {
			if err := send(u); err != nil {
				return err
			}
		}
		return nil
	}}
}

// testOffer: updates arrive one by one and in order, whatever they are.
func testOffer(t *testing.T, pair Pair) {
	ctx, space, id := testContext(t), sample.Space(t), sample.ID("publication", 1)
	for name, want := range map[string][]transfer.OfferUpdate{
		"stored": {{State: transfer.OfferQueued}, {State: transfer.OfferHave, Of: 10}, {State: transfer.OfferHave, Have: 10, Of: 10},
			{State: transfer.OfferStored, Receipt: sample.Noise(1, namespace.MaxReceipt)}},
		"over quota":  {{State: transfer.OfferRefused, Why: transfer.RefusedQuota, Used: 1 << 40, Quota: 1<<40 + 1}},
		"by operator": {{State: transfer.OfferHave, Of: 1}, {State: transfer.OfferRefused, Why: transfer.RefusedByOperator, Text: "notice 2026-113"}},
		"unverified":  {{State: transfer.OfferQueued}, {State: transfer.OfferRefused, Why: transfer.RefusedUnverified}},
	} {
		var got []transfer.OfferUpdate
		err := dial(t, pair, offering(want...)).Offer(ctx, space, id, func(u transfer.OfferUpdate) error {
			got = append(got, u)
			return nil
		})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
}

// testOfferPulls: who takes an offer asks the one who made it, over the same connection, before it answers.
func testOfferPulls(t *testing.T, pair Pair) {
	ctx, space, id := testContext(t), sample.Space(t), sample.ID("publication", 1)
	var back transfer.Network
	a, b := pair(t, Handler{OnText: func(context.Context, transfer.Remote, namespace.Address, transfer.Kind, [32]byte) ([]byte, error) {
		return []byte("the publication"), nil
	}}, Handler{OnOffer: func(ctx context.Context, from transfer.Remote, a namespace.Address, id namespace.ID, send func(transfer.OfferUpdate) error) error {
		all := back.Connected()
		at := slices.IndexFunc(all, func(c transfer.Conn) bool { return c.Peer() == from.Peer })
		if at < 0 {
			return errors.New("the offerer is not connected")
		}
		text, err := all[at].Text(ctx, a, transfer.Publication, id)
		return errors.Join(err, send(transfer.OfferUpdate{State: transfer.OfferStored, Receipt: text}))
	}})
	back = b
	c := connect(t, a, b)
	wantEvent(t, b.Events(ctx), a, true)
	var receipt []byte
	err := c.Offer(ctx, space, id, func(u transfer.OfferUpdate) error {
		receipt = u.Receipt
		return nil
	})
	if err != nil || string(receipt) != "the publication" {
		t.Errorf("%q, %v", receipt, err)
	}
}

// testOfferEnds: a receiver that has enough ends the call, and the handler hears of it.
func testOfferEnds(t *testing.T, pair Pair) {
	ctx, space, id := testContext(t), sample.Space(t), sample.ID("publication", 1)
	ended := make(chan error, 1)
	c := dial(t, pair, Handler{OnOffer: func(ctx context.Context, _ transfer.Remote, _ namespace.Address, _ namespace.ID, send func(transfer.OfferUpdate) error) error {
		err := send(transfer.OfferUpdate{State: transfer.OfferQueued})
		<-ctx.Done()
		ended <- ctx.Err()
		return err
	}})
	enough := errors.New("enough")
	if err := c.Offer(ctx, space, id, func(transfer.OfferUpdate) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("%v, want what the receiver said", err)
	}
	select {
	case <-ended:
	case <-ctx.Done():
		t.Error("the handler was not told")
	}
}

// testOfferFaults: what a handler gets wrong about an offer is told as busy.
func testOfferFaults(t *testing.T, pair Pair) {
	ctx, space, id := testContext(t), sample.Space(t), sample.ID("publication", 1)
	for name, h := range map[string]Handler{
		"no end":             offering(transfer.OfferUpdate{State: transfer.OfferQueued}),
		"no receipt":         offering(transfer.OfferUpdate{State: transfer.OfferStored}),
		"two ends, at first": offering(transfer.OfferUpdate{State: transfer.OfferHave, Have: 1}),
	} {
		var busy *transfer.BusyError
		if err := dial(t, pair, h).Offer(ctx, space, id, func(transfer.OfferUpdate) error { return nil }); !errors.As(err, &busy) {
			t.Errorf("%s: %v, want busy", name, err)
		}
	}
}
