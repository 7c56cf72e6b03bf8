package httpgateway

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// NewServer returns a server with the bounds that a gateway needs, for any
// number of listeners. There is no limit on the length of a request's answer: a
// large archive takes its time, and each part of it has its own. ErrorLog is for
// the caller to set.
//
// Of the connections, maxConns are served. maxTurnedAway more are answered as
// by a cache that has nothing, and closed, because a connection that nobody
// answers would stall a build for minutes; beyond that no more are accepted.
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
	inside int
	room   sync.Cond
}

func newTurnstile(serve, turnAway int) *turnstile {
	t := &turnstile{serve: serve, most: serve + turnAway}
	t.room.L = &t.mu
	return t
}

// crowded marks the context of a connection that is to be turned away.
type crowded struct{}

// enter is the server's ConnContext: called by its accept loop, once for each
// connection, which is why waiting here leaves the others in the kernel's queue.
func (t *turnstile) enter(ctx context.Context, _ net.Conn) context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.inside >= t.most {
		t.room.Wait()
	}
	t.inside++
	if t.inside > t.serve {
		return context.WithValue(ctx, crowded{}, true)
	}
	return ctx
}

// state is the server's ConnState: both of these are final.
func (t *turnstile) state(_ net.Conn, s http.ConnState) {
	if s != http.StateClosed && s != http.StateHijacked {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inside--
	t.room.Signal()
}

func (t *turnstile) wrap(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			// It cannot fail: the connection is a server's own.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
		}
		if r.Context().Value(crowded{}) == nil {
			handler.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Connection", "close")
		writeEmpty(w, r, parseTarget(r.URL.Path), textCrowded)
	})
}
