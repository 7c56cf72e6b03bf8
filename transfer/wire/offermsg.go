package wire

import (
	"fmt"
	"math"
	"slices"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/transfer"
)

// offerRequest is OfferRequest of flurry.proto.
type offerRequest struct {
	space       namespace.Address
	publication namespace.ID
}

func (m *offerRequest) append(b []byte) []byte {
	b = appendBytes(b, 1, m.space.String())
	return appendDigest(b, 2, m.publication)
}

func parseOfferRequest(raw []byte) (m offerRequest, err error) {
	d := decoder{rest: raw}
	for d.next() {
		switch d.num {
		case 1:
			m.space = d.address()
		case 2:
			m.publication = d.digest()
		}
	}
	if d.err != nil {
		return m, d.err
	}
	return m, m.check()
}

func (m *offerRequest) check() error {
	switch {
	case m.space.IsZero():
		return fmt.Errorf("no namespace")
	case m.publication.IsZero():
		return fmt.Errorf("no publication")
	}
	return nil
}

// offerAnswer is OfferAnswer of flurry.proto: one update.
type offerAnswer struct {
	status
	update transfer.OfferUpdate
}

func (m *offerAnswer) append(b []byte) []byte {
	b = m.status.append(b)
	if m.code != codeOK {
		return b
	}
	u := &m.update
	b = appendUint(b, 4, uint64(u.State))
	b = appendUint(b, 5, u.Have)
	b = appendUint(b, 6, u.Of)
	b = appendBytes(b, 7, u.Receipt)
	b = appendUint(b, 8, uint64(u.Why))
	b = appendUint(b, 9, u.Used)
	b = appendUint(b, 10, u.Quota)
	return appendBytes(b, 11, u.Text)
}

func parseOfferAnswer(raw []byte) (m offerAnswer, err error) {
	d := decoder{rest: raw}
	u := &m.update
	for d.next() {
		switch {
		case m.status.parse(&d):
		case d.num == 4:
			u.State = transfer.OfferState(d.uint(uint64(transfer.OfferRefused)))
		case d.num == 5:
			u.Have = d.uint(math.MaxUint64)
		case d.num == 6:
			u.Of = d.uint(math.MaxUint64)
		case d.num == 7:
			u.Receipt = slices.Clone(d.bytes(namespace.MaxReceipt))
		case d.num == 8:
			u.Why = transfer.OfferRefusal(d.uint(uint64(transfer.RefusedUnverified)))
		case d.num == 9:
			u.Used = d.uint(math.MaxUint64)
		case d.num == 10:
			u.Quota = d.uint(math.MaxUint64)
		case d.num == 11:
			u.Text = d.text(transfer.MaxOfferText)
		}
	}
	if d.err != nil {
		return m, d.err
	}
	if err := m.status.check(d.num); err != nil || m.code != codeOK {
		return m, err
	}
	return m, checkUpdate(*u)
}

// checkUpdate looks at one update: each state has its own fields, and no others.
func checkUpdate(u transfer.OfferUpdate) error {
	want := transfer.OfferUpdate{State: u.State}
	switch u.State {
	case transfer.OfferQueued:
	case transfer.OfferHave:
		want.Have, want.Of = u.Have, u.Of
	case transfer.OfferStored:
		if len(u.Receipt) == 0 || len(u.Receipt) > namespace.MaxReceipt {
			return fmt.Errorf("a receipt of %d bytes", len(u.Receipt))
		}
	case transfer.OfferRefused:
		if u.Why < transfer.RefusedQuota || u.Why > transfer.RefusedUnverified {
			return fmt.Errorf("refused for %v", u.Why)
		}
		want.Why = u.Why
		if u.Why == transfer.RefusedQuota {
			want.Used, want.Quota = u.Used, u.Quota
		}
		if u.Why == transfer.RefusedByOperator && len(u.Text) <= transfer.MaxOfferText {
			want.Text = u.Text
		}
	default:
		return fmt.Errorf("an update in %v", u.State)
	}
	if u.State != transfer.OfferStored && len(u.Receipt) > 0 {
		return fmt.Errorf("a receipt with %v", u.State)
	}
	if u.Have > u.Of || u.Have != want.Have || u.Of != want.Of || u.Why != want.Why || u.Used != want.Used || u.Quota != want.Quota || u.Text != want.Text {
		return fmt.Errorf("%v with fields that it has not: %+v", u.State, u)
	}
	return nil
}

// offerOrder is what may follow what in the answer to an offer.
type offerOrder struct {
	last transfer.OfferUpdate // the state is 0 before the first
	n    int
}

// accept takes the next update, or says why it may not come now.
func (o *offerOrder) accept(u transfer.OfferUpdate) error {
	if err := checkUpdate(u); err != nil {
		return err
	}
	last := o.last
	o.n++
	switch {
	case last.State.Ends():
		return fmt.Errorf("%v after %v", u.State, last.State)
	case u.State == transfer.OfferQueued && last.State == transfer.OfferHave:
		return fmt.Errorf("%v after %v", u.State, last.State)
	case u.State == transfer.OfferHave && last.State == transfer.OfferHave && (u.Have < last.Have || u.Of != last.Of):
		return fmt.Errorf("has %d of %d after %d of %d", u.Have, u.Of, last.Have, last.Of)
	case o.n > transfer.MaxOfferUpdates:
		return fmt.Errorf("more than %d updates of one offer", transfer.MaxOfferUpdates)
	}
	o.last = u
	return nil
}
