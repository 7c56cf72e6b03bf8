package httpgateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

var (
	errLate     = errors.New("no answer in time")
	errBusy     = errors.New("too many calls have not returned, or the gateway is closed")
	errNoAnswer = errors.New("the call ended without an answer")
)

// asker asks a Cache what is at a path, renders what it finds and keeps that.
// A question that is under way is not asked twice, and nobody waits for it
// longer than the budget.
type asker struct {
	cache  Cache
	signer *nix.SecretKey // nil: nothing is added to what publishers signed
	budget time.Duration
	grace  func() time.Duration
	kept   *rendered
	crew   crew

	mu      sync.Mutex
	running map[runningKey]*ask
}

// runningKey: who asks after a change must not be given the answer to a question
// from before it, or a path would be denied that was just published.
type runningKey struct {
	asked
	generation uint64
}

// ask is a question under way. Its fields are set before done is closed.
type ask struct {
	done    chan struct{}
	text    *narInfoText
	err     error
	starved starvation
	over    time.Time // when its time is over, whatever happens
}

// answer returns the narinfo for key, from what is kept if that still holds.
func (a *asker) answer(ctx context.Context, key asked) (*narInfoText, error) {
	generation, err := a.generation()
	if err != nil {
		return nil, err
	}
	kept := a.kept.get(key)
	if kept != nil && kept.generation == generation {
		return kept, nil
	}
	if absent, err := a.absent(key); err != nil || absent {
		if err == nil {
			err = ErrNotHere
		}
		return nil, err
	}
	q := a.begin(ctx, runningKey{key, generation}, kept)
	if q == nil {
		return nil, errBusy
	}
	if !q.wait(a.patience()) {
		return nil, errLate
	}
	return q.text, q.err
}

// wait reports whether the answer came while there was patience. The client's own
// context is not waited for: it ends also for a client that has only closed its
// sending side, and the budget is short.
func (q *ask) wait(patience time.Duration) bool {
	left := allowance{left: patience}
	timer := time.NewTimer(left.next())
	defer timer.Stop()
	for {
		piece, began := left.next(), time.Now()
		select {
		case <-q.done:
			return true
		case <-timer.C:
		}
		left.waited(piece, time.Since(began))
		q.starved.note(left.starved)
		if left.next() == 0 {
			break
		}
		timer.Reset(left.next())
	}
	select {
	case <-q.done: // at the same time, or while nobody could run
		return true
	default:
		return false
	}
}

// absent asks a Cache that is Quick.
func (a *asker) absent(key asked) (absent bool, err error) {
	quick, ok := a.cache.(Quick)
	if !ok {
		return false, nil
	}
	err = guarded(func() error {
		absent = quick.Absent(key.view, key.hash)
		return nil
	})
	return absent, err
}

// patience is the time for an answer, now.
func (a *asker) patience() time.Duration { return a.budget + max(a.grace(), 0) }

func (a *asker) generation() (n uint64, err error) {
	err = guarded(func() error {
		n = a.cache.Generation()
		return nil
	})
	return n, err
}

// begin joins the question if it is under way and asks it if not. nil: the crew
// is full.
func (a *asker) begin(ctx context.Context, key runningKey, old *narInfoText) *ask {
	a.mu.Lock()
	defer a.mu.Unlock()
	if q := a.running[key]; q != nil {
		return q
	}
	// The answer is for everybody who joins, so it must not end with whoever
	// came first; and the request's path must not be kept alive by its name.
	ctx = context.WithoutCancel(ctx)
	key.view = strings.Clone(key.view)
	q := &ask{done: make(chan struct{}), err: errNoAnswer, over: time.Now().Add(a.patience() + maxStarved)}
	if !a.crew.start(func() { a.run(ctx, key, q, old) }) {
		return nil
	}
	a.running[key] = q
	return q
}

func (a *asker) run(ctx context.Context, key runningKey, q *ask, old *narInfoText) {
	defer close(q.done)
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.running, key)
	}()
	used := time.Duration(0) // of the time that was not counted
	for patience := a.patience(); patience > 0; {
		over := false
		if over, q.err = a.try(ctx, patience-patience/10, key, q, old); !over || q.err == nil {
			break
		}
		patience = q.starved.noted() - used
		used += patience
	}
	if q.err == nil {
		a.kept.put(key.asked, q.text)
	}
}

// try asks the Cache, and reports whether its time was over.
func (a *asker) try(ctx context.Context, patience time.Duration, key runningKey, q *ask, old *narInfoText) (over bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = guarded(func() error {
		v, err := a.cache.Info(ctx, key.view, key.hash)
		if err != nil {
			return err
		}
		q.text, err = a.render(v, key, old)
		return err
	})
	return ctx.Err() != nil, err
}

// render makes the text that Nix is given. The Cache's answer must be about the
// path that was asked for: Nix would take a narinfo for another path as a
// broken cache. old is what was kept for the same path, or nil.
func (a *asker) render(v trust.Verified, key runningKey, old *narInfoText) (*narInfoText, error) {
	if v.IsZero() {
		return nil, errors.New("found, but not verified")
	}
	if got := v.Path().Hash(); got != key.hash {
		return nil, fmt.Errorf("found %s instead", v.Path())
	}
	url := narURL(v.Entry().NarHash, key.hash)
	if a.signer == nil {
		return newNarInfoText(key.generation, v.NarInfo(url)), nil
	}
	fingerprint := v.Entry().Fingerprint()
	print := sha256.Sum256(fingerprint)
	var sig nix.Signature
	if old != nil && old.print == print {
		sig = old.sig
	} else {
		sig = a.signer.Sign(fingerprint)
	}
	text := newNarInfoText(key.generation, v.NarInfo(url, sig))
	text.print, text.sig = print, sig
	return text, nil
}

// stuck reports whether a question is under way whose time was over long ago: the
// Cache does not give it back.
func (a *asker) stuck() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, q := range a.running {
		if time.Since(q.over) > 0 {
			return true
		}
	}
	return false
}

// alive takes each lock that an answer takes.
func (a *asker) alive() {
	a.kept.get(asked{})
	a.crew.count()
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = len(a.running)
}
