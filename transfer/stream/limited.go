package stream

import (
	"context"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/transfer"
)

// limited is a handler that lets so many answers of each kind be under way. An
// answer is under way until it has been written, which is when its context
// ends: what it holds in memory is held until then.
type limited struct {
	transfer.Handler

	lookups, texts, bodies, syncs, polls, offers *slots
	uploads                                      *slots // to the LAN, and to all when nothing is capped
	uploadsWAN                                   *slots
}

func newLimited(h transfer.Handler, uploads int, rate int64) *limited {
	l := &limited{
		Handler: h,
		lookups: newSlots(lookups, lookupsPerPeer, queueTime),
		texts:   newSlots(texts, textsPerPeer, queueTime),
		bodies:  newSlots(bodies, bodiesPerPeer, queueTime),
		syncs:   newSlots(syncs, syncsPerPeer, queueTime),
		polls:   newSlots(polls, pollsPerPeer, 0),
		offers:  newSlots(offers, offersPerPeer, queueTime),
		uploads: newSlots(uploads, share(uploads), queueTime),
	}
	l.uploadsWAN = l.uploads
	if rate > 0 {
		slow := int(min(int64(uploads), max(2, rate/slowestUpload)))
		l.uploadsWAN = newSlots(slow, share(slow), queueTime)
	}
	return l
}

func share(uploads int) int { return (uploads + uploadsShare - 1) / uploadsShare }

func (l *limited) Lookup(ctx context.Context, from transfer.Remote, a namespace.Address, hashes []nix.PathHash) ([]transfer.Answer, error) {
	if err := l.lookups.take(ctx, from.Peer); err != nil {
		return nil, err
	}
	return l.Handler.Lookup(ctx, from, a, hashes)
}

func (l *limited) Text(ctx context.Context, from transfer.Remote, a namespace.Address, k transfer.Kind, id [32]byte) ([]byte, error) {
	s := l.texts
	if k == transfer.Body {
		s = l.bodies
	}
	if err := s.take(ctx, from.Peer); err != nil {
		return nil, err
	}
	return l.Handler.Text(ctx, from, a, k, id)
}

func (l *limited) Chunks(ctx context.Context, from transfer.Remote, a namespace.Address, body content.BodyID, ranges []transfer.Range, send func(transfer.Run) error) error {
	s := l.uploadsWAN
	if from.LAN {
		s = l.uploads
	}
	if err := s.take(ctx, from.Peer); err != nil {
		return err
	}
	return l.Handler.Chunks(ctx, from, a, body, ranges, send)
}

func (l *limited) Sync(ctx context.Context, from transfer.Remote, a namespace.Address, r transfer.SyncRequest) (*transfer.SyncAnswer, error) {
	if !r.Wait {
		if err := l.syncs.take(ctx, from.Peer); err != nil {
			return nil, err
		}
		return l.Handler.Sync(ctx, from, a, r)
	}
	if err := l.polls.take(ctx, from.Peer); err != nil {
		return nil, err
	}
	answer, err := l.Handler.Sync(ctx, from, a, r)
	if err != nil {
		return nil, err
	}
	// News may come to a thousand at once: they are told by turns.
	return answer, l.syncs.take(ctx, from.Peer)
}

func (l *limited) Offer(ctx context.Context, from transfer.Remote, a namespace.Address, id namespace.ID, send func(transfer.OfferUpdate) error) error {
	if err := l.offers.take(ctx, from.Peer); err != nil {
		return err
	}
	return l.Handler.Offer(ctx, from, a, id, send)
}
