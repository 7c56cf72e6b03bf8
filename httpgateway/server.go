package httpgateway

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// NewServer returns a server with the bounds that a gateway needs, for any
// number of listeners. There is no limit on the length of a request's answer: a
// large archive takes its time, and each part of it has its own. ErrorLog is for
// the caller to set.
//
// Connections that never asked anything cost no place: of those that did, maxConns
// are served. maxTurnedAway more are answered as by a cache that has nothing, and
// closed, because a connection that nobody answers would stall a build for
// minutes. When there are as many as both together, the one that has been silent
// longest makes way for the next.
func NewServer(handler http.Handler) *http.Server {
	return newServer(handler, newTurnstile(maxConns, maxTurnedAway))
}

func newServer(handler http.Handler, t *turnstile) *http.Server {
	return &http.Server{
		Handler:           t.wrap(handler),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnContext:       t.enter,
		ConnState:         t.state,
	}
}

// turnstile counts a server's connections.
type turnstile struct {
	serve, most int

	mu     sync.Mutex
	all    map[net.Conn]*visit
	silent list.List // of *visit: those that have not asked yet, the oldest first
	asking int       // how many have a place
	room   sync.Cond
}

// visit is a connection. The turnstile's lock is for all of it; whether it has a
// place is read without, since that never changes back.
type visit struct {
	conn  net.Conn
	quiet *list.Element // nil: it asked, or was told to go
	place atomic.Bool
}

func newTurnstile(serve, turnAway int) *turnstile {
	t := &turnstile{serve: serve, most: serve + turnAway, all: make(map[net.Conn]*visit)}
	t.room.L = &t.mu
	return t
}

// visitKey is what a connection's context has its visit under.
type visitKey struct{}

// enter is the server's ConnContext: called by its accept loop, once for each
// connection, which is why waiting here leaves the others in the kernel's queue.
func (t *turnstile) enter(ctx context.Context, c net.Conn) context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.all) >= t.most {
		if oldest := t.silent.Front(); oldest != nil {
			v := oldest.Value.(*visit)
			t.silent.Remove(oldest)
			v.quiet = nil
			t.mu.Unlock()
			_ = v.conn.Close() // it said nothing, and is told nothing
			t.mu.Lock()
			if len(t.all) < t.most {
				break
			}
		}
		t.room.Wait()
	}
	v := &visit{conn: c}
	v.quiet = t.silent.PushBack(v)
	t.all[c] = v
	return context.WithValue(ctx, visitKey{}, v)
}

// asks is called for each request that was read. It reports whether the
// connection has a place.
func (t *turnstile) asks(v *visit) bool {
	if v.place.Load() {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if v.quiet != nil {
		t.silent.Remove(v.quiet)
		v.quiet = nil
	}
	if t.asking >= t.serve {
		return false
	}
	t.asking++
	v.place.Store(true)
	return true
}

// state is the server's ConnState: both of these are final.
func (t *turnstile) state(c net.Conn, s http.ConnState) {
	if s != http.StateClosed && s != http.StateHijacked {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.all[c]
	if v == nil {
		return
	}
	delete(t.all, c)
	if v.quiet != nil {
		t.silent.Remove(v.quiet)
	}
	if v.place.Load() {
		t.asking--
	}
	t.room.Signal()
}

func (t *turnstile) wrap(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			// It cannot fail: the connection is a server's own.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
		}
		if v, ok := r.Context().Value(visitKey{}).(*visit); !ok || t.asks(v) {
			handler.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Connection", "close")
		writeEmpty(w, r, parseTarget(r.URL.Path), textCrowded)
	})
}
