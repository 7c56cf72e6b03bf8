// Package static finds the peers that people named: on the command line, in the
// configuration, as hints of a namespace.
//
// It turns hints into peers: resolves names, finds out the id of whoever is at
// HOST:PORT, connects, checks that it speaks flurry, and tries again as long as
// it runs. It will not decide what a peer is good for, and it knows no hint that
// nobody gave it.
package static

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	lpeer "github.com/libp2p/go-libp2p/core/peer"

	"github.com/flurry-nix/flurry/peer"
)

// Options are what a Finder can be told. The zero value is fine.
type Options struct {
	// Every is how often each peer is looked for, found or not; 0: a minute.
	Every time.Duration
	// Permit is told of each address before it is dialled, which may be one
	// that strangers could not make this node dial; nil: nobody is told.
	Permit func(netip.Addr)
	// Log is told when a hint begins or ceases to lead to somebody; nil: nobody
	// is told.
	Log *slog.Logger
}

// Finder finds the peers that hints lead to. Make one with [New].
type Finder struct {
	hints    []peer.Hint
	every    time.Duration
	log      *slog.Logger
	resolver *resolver

	mu     sync.Mutex
	states []State       // of each hint
	again  chan struct{} // closed to have all hints followed at once
}

var _ peer.Finder = (*Finder)(nil)

// State is how it stands with one hint.
type State struct {
	Hint peer.Hint
	// Peers are whom it led to the last time that it led to anybody.
	Peers []peer.Info
	// Err is why it leads to nobody now, mostly an [*UnreachableError].
	Err error
	// Tried is when that was found out; zero: not yet.
	Tried time.Time
}

// New returns a Finder that dials from h.
func New(h host.Host, hints []peer.Hint, o Options) *Finder {
	if o.Every == 0 {
		o.Every = defaultEvery
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &Finder{hints: hints, every: o.Every, log: o.Log, resolver: newResolver(h, o.Permit), again: make(chan struct{})}
	for _, hint := range hints {
		f.states = append(f.states, State{Hint: hint})
	}
	return f
}

// States tells how it stands with each hint, in the order given to New.
func (f *Finder) States() []State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]State(nil), f.states...)
}

// Hasten has everybody who is not connected looked for at once: this machine
// came to another network.
func (f *Finder) Hasten() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.again)
	f.again = make(chan struct{})
}

// hastened is closed by the next Hasten.
func (f *Finder) hastened() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.again
}

// Run implements [peer.Finder].
func (f *Finder) Run(ctx context.Context, found func(peer.Info)) error {
	results := make(chan peer.Info)
	turns := make(chan struct{}, atOnce)
	var wait sync.WaitGroup
	for i := range f.hints {
		wait.Go(func() { f.follow(ctx, i, turns, results) })
	}
	go func() { wait.Wait(); close(results) }()
	for info := range results {
		found(info)
	}
	<-ctx.Done() // without hints there is nothing to do, which is fine
	return nil
}

// follow asks after one hint again and again.
func (f *Finder) follow(ctx context.Context, i int, turns chan struct{}, results chan<- peer.Info) {
	retry := firstRetry
	for ctx.Err() == nil {
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			return
		}
		again := f.hastened()
		found, err := f.look(ctx, i)
		<-turns
		if ctx.Err() != nil {
			return
		}
		f.note(i, found, err)
		for _, info := range found {
			select {
			case results <- info:
			case <-ctx.Done():
				return
			}
		}
		pause := f.every
		if err != nil {
			pause, retry = min(retry, f.every), min(2*retry, f.every)
		} else {
			retry = firstRetry
		}
		if sleep(ctx, pause, again) {
			retry = firstRetry
		}
	}
}

// sleep waits for d, or less: it reports whether it was hastened.
func sleep(ctx context.Context, d time.Duration, again <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-again:
		return true
	case <-ctx.Done():
	}
	return false
}

// look asks after hint i, unless everybody that it led to is still connected.
func (f *Finder) look(ctx context.Context, i int) ([]peer.Info, error) {
	f.mu.Lock()
	known := f.states[i].Peers
	f.mu.Unlock()
	if len(known) > 0 && f.connected(known) {
		return known, nil
	}
	return f.resolver.resolve(ctx, f.hints[i])
}

func (f *Finder) connected(peers []peer.Info) bool {
	for _, p := range peers {
		id, err := lpeer.Decode(string(p.ID))
		if err != nil || f.resolver.host.Network().Connectedness(id) != network.Connected {
			return false
		}
	}
	return true
}

// note keeps what came of hint i, and logs it if it is news.
func (f *Finder) note(i int, found []peer.Info, err error) {
	f.mu.Lock()
	s := &f.states[i]
	first, before := s.Tried.IsZero(), s.Err
	s.Tried, s.Err = time.Now(), err
	if err == nil {
		s.Peers = found
	}
	f.mu.Unlock()
	var failure *UnreachableError
	switch itself := errors.As(err, &failure) && failure.Reason == Itself; {
	case err == nil && (first || before != nil):
		f.log.Info("peer found", "hint", f.hints[i], "peer", found[0].ID)
	case err != nil && !itself && (first || before == nil || before.Error() != err.Error()):
		f.log.Warn("peer not found", "hint", f.hints[i], "err", err)
	}
}
