package httpgateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/flurry-nix/flurry/nix"
)

// Options are a Gateway's settings. The zero value is usable.
type Options struct {
	// Signer signs what was verified once more, with this node's own key, so
	// that Nix needs to trust one key only. nil: publishers' signatures alone.
	Signer *nix.SecretKey

	// Budget is the time for a whole answer about a path; 0 is DefaultBudget.
	// It is the hard end; a Cache that knows better answers sooner.
	Budget time.Duration

	// Grace is how much longer an answer may take just now: after a start, when
	// nothing could be learned yet and Nix would remember a miss for an hour. It
	// is asked for each question that the memory cannot answer. nil: never any.
	Grace func() time.Duration

	// Hosts are the values of the Host header that are served: "name" with any
	// port, or "name:port". None: localhost, 127.0.0.1 and [::1].
	Hosts []string

	// Log is told of failures, at most one line a second; nil: nobody is.
	Log *slog.Logger

	// Page answers what is not Nix's. It must answer 404 to what it does not
	// know. nil: a few words at "/".
	Page http.Handler
}

// Gateway is an http.Handler that answers Nix out of a Cache.
type Gateway struct {
	cache  Cache
	door   door
	page   http.Handler
	asker  asker
	nars   crew
	memory Memory
	tally  tally
	log    *hushedLog

	narInfoType []string // a header value, shared by all answers
}

// New makes a Gateway. It starts nothing.
func New(c Cache, o Options) *Gateway {
	if o.Budget <= 0 {
		o.Budget = DefaultBudget
	}
	if o.Grace == nil {
		o.Grace = func() time.Duration { return 0 }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Page == nil {
		o.Page = http.HandlerFunc(smallPage)
	}
	return &Gateway{
		cache: c,
		door:  newDoor(o.Hosts),
		page:  o.Page,
		asker: asker{
			cache: c, signer: o.Signer, budget: o.Budget, grace: o.Grace,
			kept:    newRendered(maxRendered),
			crew:    crew{max: maxAsks},
			running: make(map[runningKey]*ask),
		},
		nars:        crew{max: maxNars},
		log:         &hushedLog{log: o.Log},
		narInfoType: []string{"text/x-nix-narinfo"},
	}
}

// Close waits until the Cache has returned from every call, but not longer than
// ctx. Stop the server first: calls end with the requests that they are for. A
// Gateway that is closed answers 404.
func (g *Gateway) Close(ctx context.Context) error {
	return errors.Join(g.asker.crew.close(ctx), g.nars.close(ctx))
}

// Memory is what Nix was told of late.
func (g *Gateway) Memory() *Memory { return &g.memory }

// Alive returns when the Gateway could come to ask its Cache. That a Cache answers is the Cache's to say.
func (g *Gateway) Alive() {
	g.asker.alive()
	g.nars.count()
}

// Stuck reports whether the Cache holds a question whose time is over: it waits
// for something that does not come, such as a disk.
func (g *Gateway) Stuck() bool { return g.asker.stuck() }

// Stats returns the counts since New.
func (g *Gateway) Stats() Stats {
	s := g.tally.stats()
	s.Waiting = g.asker.crew.count() + g.nars.count()
	return s
}

// ServeHTTP answers one request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t := parseTarget(r.URL.Path)
	if t.kind == kindPage {
		g.servePage(w, r)
		return
	}
	if !g.door.admits(r) {
		g.tally.refused.Add(1)
		writeNotFound(w, textForeign)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		writeNotFound(w, textReadOnly)
		return
	}
	began := time.Now()
	g.tally.lastAsked.Store(began.UnixNano())
	switch t.kind {
	case kindCacheInfo:
		writeCacheInfo(w)
	case kindNarInfo:
		g.serveNarInfo(w, r, t, began)
	case kindNar:
		g.serveNar(w, r, t, began)
	default:
		writeNotFound(w, textNowhere)
	}
}

func (g *Gateway) servePage(w http.ResponseWriter, r *http.Request) {
	if !g.door.admitsPage(r) {
		g.tally.refused.Add(1)
		writeText(w, http.StatusForbidden, textForeign)
		return
	}
	g.page.ServeHTTP(w, r)
}

func (g *Gateway) serveNarInfo(w http.ResponseWriter, r *http.Request, t target, began time.Time) {
	text, err := g.asker.answer(r.Context(), asked{view: t.view, hash: t.hash})
	outcome := outcomeOf(err)
	if err == nil {
		h := w.Header()
		h["Content-Type"] = g.narInfoType
		h["Content-Length"] = text.length
		writeBody(w, http.StatusOK, text.body)
	} else {
		writeMiss(w, t, outcome)
	}
	g.note(t, outcome, began, err)
}

func (g *Gateway) serveNar(w http.ResponseWriter, r *http.Request, t target, began time.Time) {
	f := newFeed(w, r, t)
	err := errBusy
	if g.nars.start(func() { f.run(g.cache, g.noteClose) }) {
		err = f.wait()
	}
	begun, sent, err := f.end(err)
	g.tally.narBytes.Add(uint64(sent))
	outcome := outcomeOf(err)
	switch {
	case err == nil:
	case r.Context().Err() != nil: // also when a write failed
		outcome = Left
	case begun:
		outcome = Aborted
	}
	g.note(t, outcome, began, err)
	switch {
	case err == nil && !begun: // HEAD
		f.writeHeader()
	case err == nil:
	case begun || outcome == Left:
		// The only way to say that this was not the whole of it.
		panic(http.ErrAbortHandler)
	default:
		writeMiss(w, t, outcome)
	}
}

// outcomeOf judges an answer of which the client has seen nothing yet.
func outcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return Given
	case errors.Is(err, ErrNotHere) || errors.Is(err, errBeyondEnd):
		return NotHere
	case errors.Is(err, errLate) || errors.Is(err, errStalled) || errors.Is(err, context.DeadlineExceeded):
		return Late
	default:
		return Failed
	}
}

// note counts, remembers and, if need be, logs an answer.
func (g *Gateway) note(t target, o Outcome, began time.Time, err error) {
	nar := t.kind == kindNar
	g.tally.count(nar, o)
	g.memory.add(Answer{View: t.view, Hash: t.hash, Nar: nar, Outcome: o, At: began, Took: time.Since(began)})
	switch o {
	case Late, Failed, Aborted:
		g.log.warn("nix was not given a path", "hash", t.hash, "view", t.view, "nar", nar, "outcome", o, "err", err)
	}
}

func (g *Gateway) noteClose(err error) {
	if err != nil {
		g.log.warn("closing an archive", "err", err)
	}
}
