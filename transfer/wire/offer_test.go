package wire

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/stream/pb"
	"github.com/flurry-nix/flurry/transfer/transfertest/sample"
)

// addOffers adds the messages of offers to the specimens.
func addOffers(t testing.TB, add func(name string, encode func() []byte, m proto.Message, decode func([]byte) (any, error), want any)) {
	space, id := sample.Space(t), sample.ID("id", 1)
	r := offerRequest{space, id}
	add("offer request", func() []byte { return r.append(nil) }, &pb.OfferRequest{Namespace: space.String(), Publication: id[:]}, decoding(parseOfferRequest), r)
	for name, c := range map[string]struct {
		ours   offerAnswer
		theirs *pb.OfferAnswer
	}{
		"queued":         {offerAnswer{update: transfer.OfferUpdate{State: transfer.OfferQueued}}, &pb.OfferAnswer{State: pb.OfferAnswer_QUEUED}},
		"nothing lacked": {offerAnswer{update: transfer.OfferUpdate{State: transfer.OfferHave}}, &pb.OfferAnswer{State: pb.OfferAnswer_HAVE}},
		"some are here":  {offerAnswer{update: transfer.OfferUpdate{State: transfer.OfferHave, Have: 300, Of: 1 << 33}}, &pb.OfferAnswer{State: pb.OfferAnswer_HAVE, Have: 300, Of: 1 << 33}},
		"stored":         {offerAnswer{update: transfer.OfferUpdate{State: transfer.OfferStored, Receipt: []byte("receipt")}}, &pb.OfferAnswer{State: pb.OfferAnswer_STORED, Receipt: []byte("receipt")}},
		"over quota": {offerAnswer{update: transfer.OfferUpdate{State: transfer.OfferRefused, Why: transfer.RefusedQuota, Used: 9, Quota: 10}},
			&pb.OfferAnswer{State: pb.OfferAnswer_REFUSED, Why: pb.OfferAnswer_QUOTA, Used: 9, Quota: 10}},
		"not hosted": {offerAnswer{update: transfer.OfferUpdate{State: transfer.OfferRefused, Why: transfer.RefusedNotHosted}},
			&pb.OfferAnswer{State: pb.OfferAnswer_REFUSED, Why: pb.OfferAnswer_NOT_HOSTED}},
		"not wanted": {offerAnswer{update: transfer.OfferUpdate{State: transfer.OfferRefused, Why: transfer.RefusedByOperator, Text: "nein"}},
			&pb.OfferAnswer{State: pb.OfferAnswer_REFUSED, Why: pb.OfferAnswer_BY_OPERATOR, Text: "nein"}},
		"refused to talk": {offerAnswer{status: status{code: codeRefused}}, &pb.OfferAnswer{Code: pb.Code_REFUSED}},
	} {
		add("offer answer: "+name, func() []byte { return c.ours.append(nil) }, c.theirs, decoding(parseOfferAnswer), c.ours)
	}
}

// TestOfferOrder: what may follow what, and what not.
func TestOfferOrder(t *testing.T) {
	queued := transfer.OfferUpdate{State: transfer.OfferQueued}
	have := func(n, of uint64) transfer.OfferUpdate {
		return transfer.OfferUpdate{State: transfer.OfferHave, Have: n, Of: of}
	}
	stored := transfer.OfferUpdate{State: transfer.OfferStored, Receipt: []byte("receipt")}
	refused := transfer.OfferUpdate{State: transfer.OfferRefused, Why: transfer.RefusedDisk}
	for _, c := range []struct {
		name    string
		updates []transfer.OfferUpdate
		err     string // of the last one; "": none
	}{
		{"all of it", []transfer.OfferUpdate{queued, queued, have(0, 9), have(0, 9), have(5, 9), have(9, 9), stored}, ""},
		{"at once", []transfer.OfferUpdate{stored}, ""},
		{"refused at once", []transfer.OfferUpdate{refused}, ""},
		{"refused in the middle", []transfer.OfferUpdate{have(3, 9), refused}, ""},
		{"back in the queue", []transfer.OfferUpdate{have(3, 9), queued}, "queued after have"},
		{"less than before", []transfer.OfferUpdate{have(3, 9), have(2, 9)}, "has 2 of 9 after 3 of 9"},
		{"of more than before", []transfer.OfferUpdate{have(3, 9), have(4, 10)}, "has 4 of 10 after 3 of 9"},
		{"twice", []transfer.OfferUpdate{stored, stored}, "stored after stored"},
		{"after the end", []transfer.OfferUpdate{refused, queued}, "queued after refused"},
	} {
		var o offerOrder
		for i, u := range c.updates {
			err := o.accept(u)
			if last := i == len(c.updates)-1; !last && err != nil {
				t.Errorf("%s: update %d: %v", c.name, i, err)
			} else if last && (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", c.name, err, c.err)
			}
		}
	}
	var o offerOrder
	for range transfer.MaxOfferUpdates {
		if err := o.accept(queued); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.accept(queued); err == nil {
		t.Error("updates without end are accepted")
	}
}
