package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"github.com/flurry-nix/flurry/nix"
)

// Store is this machine's Nix store. Its methods may be called concurrently;
// questions to the daemon take turns on one connection, which is opened anew
// when the daemon was restarted.
type Store struct {
	dial    dialer
	realDir string
	turn    chan struct{} // holds one token while a question is under way

	// Held for moments only, never while the daemon is waited for.
	mu     sync.Mutex
	conn   *conn // nil when there is none
	closed bool

	// Whoever has the turn has this too.
	roots map[nix.StorePath]struct{} // temporary roots, to be asked for again on a new connection
}

var errClosed = errors.New("the Nix store was closed")

// Open connects to this machine's Nix. Without one the error is an ErrNoNix;
// with a socket at which nobody answers it is a *DownError. The context bounds
// the opening alone.
func Open(ctx context.Context, o Options) (*Store, error) {
	dial, err := o.dialer()
	if err != nil {
		return nil, err
	}
	s := &Store{
		dial:    dial,
		realDir: o.realDir(),
		turn:    make(chan struct{}, 1),
		roots:   make(map[nix.StorePath]struct{}),
	}
	if err := s.do(ctx, func(*conn) error { return nil }); err != nil {
		s.Close()
		return nil, fmt.Errorf("open the Nix store: %w", err)
	}
	return s, nil
}

// Close ends the connection, and with it the temporary roots; a question under
// way is cut short.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	c := s.conn
	s.mu.Unlock()
	if c != nil {
		c.close()
	}
	return nil
}

// PathFromHash returns the valid path with that hash part, or an ErrNotValid.
func (s *Store) PathFromHash(ctx context.Context, h nix.PathHash) (nix.StorePath, error) {
	var path nix.StorePath
	err := s.do(ctx, func(c *conn) error {
		c.ask(opQueryPathFromHashPart, h.String())
		if err := c.flush(); err != nil {
			return err
		}
		if err := c.answer(); err != nil {
			return err
		}
		text, err := c.string(maxString)
		if err != nil || text == "" {
			return unexpected(err)
		}
		path, err = nix.ParseStorePath(text)
		if err == nil && path.Hash() != h {
			err = fmt.Errorf("the Nix daemon answers %s", path)
		}
		return err
	})
	if err != nil {
		return nix.StorePath{}, fmt.Errorf("path of hash %s: %w", h, err)
	}
	if path.IsZero() {
		return nix.StorePath{}, fmt.Errorf("hash %s: %w", h, ErrNotValid)
	}
	return path, nil
}

// AddTempRoot keeps Nix from collecting p until Close. A path that is not valid
// may be given; it is kept from the moment it becomes so.
func (s *Store) AddTempRoot(ctx context.Context, p nix.StorePath) error {
	err := s.do(ctx, func(c *conn) error {
		err := c.addTempRoot(p)
		if err == nil {
			s.roots[p] = struct{}{}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("hold %s: %w", p, err)
	}
	return nil
}

// Nar writes the NAR of p, straight from the disk. Nothing proves that the
// files are still what Nix registered: the caller compares the hash. A path
// that was collected is an fs.ErrNotExist.
func (s *Store) Nar(ctx context.Context, p nix.StorePath, w io.Writer) error {
	return nix.DumpNar(contextWriter{ctx, w}, filepath.Join(s.realDir, p.Base()))
}

// contextWriter fails once its context has ended.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (w contextWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}

func (c *conn) addTempRoot(p nix.StorePath) error {
	c.ask(opAddTempRoot, p.String())
	if err := c.flush(); err != nil {
		return err
	}
	if err := c.answer(); err != nil {
		return err
	}
	_, err := c.uint()
	return unexpected(err)
}
