package main

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
)

const (
	// rootsWait is how long Nix may take to be asked to keep a path. Who reads waits for that, and reads all the same.
	rootsWait = time.Second
	// rootsIdle is how long paths are kept that nobody reads any more, rootsLong how long one connection keeps what it was
	// asked to, rootsFresh after how long Nix is asked again for a path that is still read, since it may have been restarted and
	// forgotten, and rootsAgain after how long a Nix that did not answer is asked again.
	rootsIdle  = 2 * time.Minute
	rootsFresh = 15 * time.Second
	rootsLong  = 30 * time.Minute
	rootsAgain = time.Minute
)

// nixPaths is this machine's Nix store as content is read from it. A path is kept from being collected while it is read.
type nixPaths struct {
	options daemon.Options
	dir     string // where the files of /nix/store lie
	seed    maphash.Seed
	log     *slog.Logger
	turn    chan struct{} // holds a token while Nix is asked

	mu     sync.Mutex
	store  *daemon.Store               // nil while nothing is kept
	held   map[nix.StorePath]time.Time // when Nix was asked
	begun  time.Time
	used   time.Time
	silent time.Time // until then Nix is not asked
}

func newNixPaths(o daemon.Options, log *slog.Logger) *nixPaths {
	return &nixPaths{options: o, dir: o.StoreDir(), seed: maphash.MakeSeed(), log: log, turn: make(chan struct{}, 1)}
}

func (p *nixPaths) file(path nix.StorePath) string { return filepath.Join(p.dir, path.Base()) }

// Nar returns the NAR of a path.
func (p *nixPaths) Nar(path nix.StorePath) (*nix.NarFile, error) { return nix.IndexNar(p.file(path)) }

// Stamp changes when a path is made anew: neither its inode nor the time of its last change can be set back.
func (p *nixPaths) Stamp(path nix.StorePath) (uint64, error) {
	info, err := os.Lstat(p.file(path))
	if err != nil {
		return 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, nil
	}
	return maphash.Comparable(p.seed, [2]uint64{st.Ino, uint64(changeTime(st))}), nil
}

// Short reports whether err says nothing of the path that was read.
func (p *nixPaths) Short(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

// Hold has Nix keep a path for as long as it is read, and some minutes more. Who reads may leave, what is kept stays: a question
// that was cut off would take the connection with it, and with that everything that is kept for others.
func (p *nixPaths) Hold(ctx context.Context, path nix.StorePath) {
	if p.holds(path) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rootsWait)
	defer cancel()
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return
	}
	if p.holds(path) {
		return
	}
	if err := p.ask(ctx, path); err != nil && ctx.Err() == nil {
		p.log.Debug("Nix may collect a path while it is read", "path", path.Base(), "err", err)
	}
}

// holds reports whether there is nothing to ask: the path is kept, or Nix does not answer anyway.
func (p *nixPaths) holds(path nix.StorePath) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.store != nil && now.Sub(p.begun) < rootsLong && now.Sub(p.held[path]) < rootsFresh {
		p.used = now
		return true
	}
	return now.Before(p.silent)
}

// ask has Nix keep a path. It is called with the turn.
func (p *nixPaths) ask(ctx context.Context, path nix.StorePath) error {
	p.mu.Lock()
	s, begun := p.store, p.begun
	p.mu.Unlock()
	now := time.Now()
	if s != nil && now.Sub(begun) < rootsLong {
		err := s.AddTempRoot(ctx, path)
		if err == nil {
			p.keeps(path, now)
			return nil
		}
		if ctx.Err() != nil {
			p.fail(s)
			return err
		}
		p.log.Debug("what Nix keeps is asked for anew", "err", err) // it was restarted, most likely
	}
	fresh, err := daemon.Open(ctx, p.options)
	if err != nil {
		p.fail(s)
		return err
	}
	p.put(fresh, now)
	if err := fresh.AddTempRoot(ctx, path); err != nil {
		p.fail(fresh)
		return err
	}
	p.keeps(path, now)
	return nil
}

func (p *nixPaths) keeps(path nix.StorePath, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held[path], p.used = now, now
}

// put has another connection keep what is read from now on.
func (p *nixPaths) put(s *daemon.Store, now time.Time) {
	p.mu.Lock()
	old := p.store
	p.store, p.held, p.begun = s, make(map[nix.StorePath]time.Time), now
	p.mu.Unlock()
	p.close(old)
}

// fail ends the use of s, and leaves Nix alone for a while.
func (p *nixPaths) fail(s *daemon.Store) {
	p.mu.Lock()
	p.silent = time.Now().Add(rootsAgain)
	if p.store == s {
		p.store = nil
	}
	p.mu.Unlock()
	p.close(s)
}

func (p *nixPaths) close(s *daemon.Store) {
	if s == nil {
		return
	}
	if err := s.Close(); err != nil {
		p.log.Debug("closing the Nix store", "err", err)
	}
}

// run lets go what is not read any more, until ctx ends, and then everything.
func (p *nixPaths) run(ctx context.Context) error {
	look := time.NewTicker(rootsIdle)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			p.rest(time.Now())
			return nil
		case now := <-look.C:
			p.rest(now.Add(-rootsIdle))
		}
	}
}

// rest lets everything go, if nothing was read since then.
func (p *nixPaths) rest(since time.Time) {
	p.mu.Lock()
	old := p.store
	if p.used.After(since) {
		old = nil
	} else {
		p.store = nil
	}
	p.mu.Unlock()
	p.close(old)
}

// installed is what this machine's Nix has, asked over a connection that ends with the answer: it is asked seldom.
type installed struct{ options daemon.Options }

func (n installed) Infos(ctx context.Context, paths []nix.StorePath) ([]daemon.PathInfo, error) {
	s, err := daemon.Open(ctx, n.options)
	if err != nil {
		return nil, err
	}
	defer s.Close() // it only ever read
	return s.Infos(ctx, paths)
}
