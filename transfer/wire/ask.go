package wire

import (
	"context"
	"errors"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/transfer"
)

// Lookup is [transfer.Conn]'s.
func (k *Asker) Lookup(ctx context.Context, s Stream, a namespace.Address, hashes []nix.PathHash) ([]transfer.Answer, error) {
	r := lookupRequest{space: a, hashes: hashes}
	if err := r.check(); err != nil {
		s.Reset()
		return nil, transfer.BadRequest("%v", err)
	}
	q, err := k.ask(ctx, s, r.append)
	answers := newAnswers(hashes)
	for err == nil && !answers.ended {
		err = answers.read(q)
	}
	if err = q.end(err); err != nil {
		return nil, err
	}
	return answers.list, nil
}

// Text is [transfer.Conn]'s.
func (k *Asker) Text(ctx context.Context, s Stream, a namespace.Address, kind transfer.Kind, id [32]byte) ([]byte, error) {
	r := fetchRequest{space: a, kind: kind, id: id}
	if err := r.check(); err != nil || kind == kindChunks {
		s.Reset()
		return nil, transfer.BadRequest("%v of %v", kind, err)
	}
	q, err := k.ask(ctx, s, r.append)
	var text []byte
	if err == nil {
		text, err = q.text(kind)
	}
	if err = q.end(err); err != nil {
		return nil, err
	}
	return text, nil
}

func (q *question) text(kind transfer.Kind) ([]byte, error) {
	first, err := message(q, maxPart+maxHead, parseTextPart, func(m *textPart) *status { return &m.status })
	switch {
	case err != nil:
		return nil, err
	case first.size == 0 || first.size > kind.MaxSize():
		return nil, transfer.Misbehaviour("a %v of %d bytes, at most %d", kind, first.size, kind.MaxSize())
	case len(first.data) > first.size:
		return nil, transfer.Misbehaviour("%d bytes of %d", len(first.data), first.size)
	}
	text := make([]byte, 0, min(first.size, q.believed))
	return q.parts(append(text, first.data...), first.size)
}

// Chunks is [transfer.Conn]'s.
func (k *Asker) Chunks(ctx context.Context, s Stream, a namespace.Address, body content.BodyID, ranges []transfer.Range, recv func(transfer.Run) error) error {
	r := fetchRequest{space: a, kind: kindChunks, id: body, ranges: ranges}
	if err := r.check(); err != nil {
		s.Reset()
		return transfer.BadRequest("%v", err)
	}
	q, err := k.ask(ctx, s, r.append)
	order := runOrder{ranges: ranges}
	for err == nil && !order.finished() {
		err = q.run(&order, recv)
	}
	if errors.Is(err, errNoMore) {
		err = nil
	}
	if err = q.end(err); err != nil {
		return err
	}
	if !order.complete() {
		return transfer.ErrAbsent
	}
	return nil
}

// errNoMore ends an answer of runs well.
var errNoMore = errors.New("no more runs")

// run reads one run and hands it on.
func (q *question) run(order *runOrder, recv func(transfer.Run) error) error {
	m, err := message(q, maxRunFrame, parseRunPart, func(m *runPart) *status { return &m.status })
	if errors.Is(err, transfer.ErrAbsent) {
		return errNoMore
	}
	if err != nil {
		return err
	}
	if err := order.accept(m.run); err != nil {
		return transfer.Misbehaviour("%v", err)
	}
	begun := time.Now()
	if err := recv(m.run); err != nil {
		return err
	}
	return q.read.excuse(time.Since(begun))
}

// Sync is [transfer.Conn]'s.
func (k *Asker) Sync(ctx context.Context, s Stream, a namespace.Address, sr transfer.SyncRequest) (*transfer.SyncAnswer, error) {
	r := syncRequest{space: a, SyncRequest: sr}
	if err := r.check(); err != nil {
		s.Reset()
		return nil, transfer.BadRequest("%v", err)
	}
	q, err := k.ask(ctx, s, r.append)
	var answer *transfer.SyncAnswer
	if err == nil {
		answer, err = q.sync(sr)
	}
	if err = q.end(err); err != nil {
		return nil, err
	}
	return answer, nil
}

func (q *question) sync(r transfer.SyncRequest) (*transfer.SyncAnswer, error) {
	if err := q.read.begin(patience(r, q.pace)); err != nil {
		return nil, err
	}
	head, err := message(q, MaxRequest, parseSyncHead, func(m *syncHead) *status { return &m.status })
	if err != nil {
		return nil, err
	}
	if err := head.checkAgainst(r); err != nil {
		return nil, transfer.Misbehaviour("%v", err)
	}
	body, err := q.parts(nil, head.bodySize())
	if err != nil {
		return nil, err
	}
	if err := head.fill(body); err != nil {
		return nil, transfer.Misbehaviour("%v", err)
	}
	return &head.answer, nil
}

// Offer is [transfer.Conn]'s.
func (k *Asker) Offer(ctx context.Context, s Stream, a namespace.Address, id namespace.ID, recv func(transfer.OfferUpdate) error) error {
	r := offerRequest{space: a, publication: id}
	if err := r.check(); err != nil {
		s.Reset()
		return transfer.BadRequest("%v", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, transfer.MaxOffer, transfer.ErrStalled)
	defer cancel()
	q, err := k.ask(ctx, s, r.append)
	var order offerOrder
	for err == nil && !order.last.State.Ends() {
		err = q.update(&order, recv)
	}
	return q.end(err)
}

// update reads one update and hands it on. The peer has the time of a beat, and
// what is allowed beyond, for each.
func (q *question) update(order *offerOrder, recv func(transfer.OfferUpdate) error) error {
	if err := q.read.begin(q.pace.Within); err != nil {
		return err
	}
	m, err := message(q, maxOfferFrame, parseOfferAnswer, func(m *offerAnswer) *status { return &m.status })
	if err != nil {
		return err
	}
	if err := order.accept(m.update); err != nil {
		return transfer.Misbehaviour("%v", err)
	}
	return recv(m.update)
}
