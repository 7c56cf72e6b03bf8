package wire

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/transfer"
)

// Serve answers a stream of protocol p.
func (v *Server) Serve(ctx context.Context, p Protocol, s Stream, from Caller) error {
	switch p {
	case Lookup:
		return v.lookup(ctx, s, from)
	case Fetch:
		return v.fetch(ctx, s, from)
	case Sync:
		return v.sync(ctx, s, from)
	case Offer:
		return v.offer(ctx, s, from)
	}
	s.Reset()
	return fmt.Errorf("%v is not one", p)
}

func (v *Server) lookup(ctx context.Context, s Stream, from Caller) error {
	return serve(ctx, v, s, from, parseLookupRequest, func(ctx context.Context, r *reply, m *lookupRequest) error {
		list, done, err := within(ctx, handlerTime, func(ctx context.Context) ([]transfer.Answer, error) {
			return v.Handler.Lookup(ctx, r.from, m.space, m.hashes)
		})
		defer done()
		if err != nil {
			return r.refuse(ctx, err)
		}
		frames, err := planLookup(m.hashes, list)
		if err != nil {
			return r.refuse(ctx, err)
		}
		for i := range frames {
			if err := r.put(ctx, frames[i].append, nil); err != nil {
				return err
			}
		}
		return r.flush(ctx)
	})
}

func (v *Server) fetch(ctx context.Context, s Stream, from Caller) error {
	return serve(ctx, v, s, from, parseFetchRequest, func(ctx context.Context, r *reply, m *fetchRequest) error {
		if m.kind == kindChunks {
			return r.chunks(ctx, m)
		}
		return r.text(ctx, m)
	})
}

// within lets a handler answer. The context that it is given ends after limit,
// if the handler has not returned by then; else when done is called, once the
// answer has been written.
func within[T any](ctx context.Context, limit time.Duration, handle func(context.Context) (T, error)) (answer T, done func(), err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(context.DeadlineExceeded) })
	answer, err = handle(ctx)
	if !timer.Stop() {
		err = context.DeadlineExceeded
	}
	return answer, func() { cancel(nil) }, err
}

func (r *reply) text(ctx context.Context, m *fetchRequest) error {
	text, done, err := within(ctx, handlerTime, func(ctx context.Context) ([]byte, error) {
		return r.server.Handler.Text(ctx, r.from, m.space, m.kind, m.id)
	})
	defer done()
	if err != nil {
		return r.refuse(ctx, err)
	}
	if len(text) == 0 || len(text) > m.kind.MaxSize() {
		return r.refuse(ctx, faulty(fmt.Errorf("a %v of %d bytes", m.kind, len(text))))
	}
	return r.parts(ctx, len(text), text)
}

// parts writes data in parts, the first of which says size.
func (r *reply) parts(ctx context.Context, size int, data []byte) error {
	for len(data) > 0 {
		m := textPart{size: size, data: data[:min(len(data), maxPart)]}
		if err := r.put(ctx, m.appendHead, m.data); err != nil {
			return err
		}
		data, size = data[len(m.data):], 0
	}
	return r.flush(ctx)
}

func (r *reply) chunks(ctx context.Context, m *fetchRequest) error {
	order := runOrder{ranges: m.ranges}
	var fault, broken error
	err := r.server.Handler.Chunks(ctx, r.from, m.space, content.BodyID(m.id), m.ranges, func(run transfer.Run) error {
		if fault == nil && broken == nil {
			if fault = order.check(run); fault == nil {
				broken = r.run(ctx, run)
			}
		}
		if broken != nil {
			return broken
		}
		return fault
	})
	switch {
	case broken != nil:
		return broken
	case fault != nil:
		return r.refuse(ctx, faulty(fault))
	case order.finished():
		return nil
	case err == nil:
		err = transfer.ErrAbsent
	}
	return r.refuse(ctx, err)
}

// check looks at a run that a handler sends.
func (o *runOrder) check(run transfer.Run) error {
	if err := checkRun(run); err != nil {
		return err
	}
	return o.accept(run)
}

// run writes one run at once.
func (r *reply) run(ctx context.Context, run transfer.Run) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m := runPart{run: run}
	if err := r.put(ctx, m.appendHead, run.Data); err != nil {
		return err
	}
	return r.flush(ctx)
}

func (v *Server) sync(ctx context.Context, s Stream, from Caller) error {
	return serve(ctx, v, s, from, parseSyncRequest, func(ctx context.Context, r *reply, m *syncRequest) error {
		limit := handlerTime
		if m.Wait {
			limit += transfer.MaxWait
		}
		answer, done, err := within(ctx, limit, func(ctx context.Context) (*transfer.SyncAnswer, error) {
			return v.Handler.Sync(ctx, r.from, m.space, m.SyncRequest)
		})
		defer done()
		if err != nil {
			return r.refuse(ctx, err)
		}
		return r.difference(ctx, m.SyncRequest, answer)
	})
}

func (r *reply) difference(ctx context.Context, asked transfer.SyncRequest, answer *transfer.SyncAnswer) error {
	head, body, err := headOf(answer)
	if err == nil {
		err = head.checkAgainst(asked)
	}
	if err != nil {
		return r.refuse(ctx, faulty(err))
	}
	if err := r.put(ctx, head.append, nil); err != nil {
		return err
	}
	return r.parts(ctx, 0, body)
}

func (v *Server) offer(ctx context.Context, s Stream, from Caller) error {
	return serve(ctx, v, s, from, parseOfferRequest, func(ctx context.Context, r *reply, m *offerRequest) error {
		var order offerOrder
		var fault, broken error
		_, done, err := within(ctx, transfer.MaxOffer, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, v.Handler.Offer(ctx, r.from, m.space, m.publication, func(u transfer.OfferUpdate) error {
				if fault == nil && broken == nil {
					if fault = order.accept(u); fault == nil {
						broken = r.update(ctx, u)
					}
				}
				return errors.Join(broken, fault)
			})
		})
		defer done()
		switch {
		case broken != nil:
			return broken
		case fault != nil:
			return r.refuse(ctx, faulty(fault))
		case order.last.State.Ends():
			return nil
		case err == nil:
			err = faulty(errors.New("an offer that is neither stored nor refused"))
		}
		return r.refuse(ctx, err)
	})
}

// update writes one update at once.
func (r *reply) update(ctx context.Context, u transfer.OfferUpdate) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m := offerAnswer{update: u}
	if err := r.put(ctx, m.append, nil); err != nil {
		return err
	}
	return r.flush(ctx)
}
