package daemon

import (
	"context"
	"errors"
	"fmt"
)

// do runs fn with a connection while no other does. Whatever fn returns but a
// *RemoteError ends the connection. What fails on an old connection is tried
// once more on a new one: the daemon may have been restarted since, and every
// question here may be asked twice.
func (s *Store) do(ctx context.Context, fn func(*conn) error) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.mu.Lock()
	old := s.conn != nil
	s.mu.Unlock()
	err := s.try(ctx, fn)
	if old && err != nil && !isAnswer(err) && ctx.Err() == nil {
		err = s.try(ctx, fn)
	}
	return err
}

func isAnswer(err error) bool {
	var remote *RemoteError
	return errors.As(err, &remote)
}

// try runs fn once, on the connection there is or on a new one. When the
// context ends before fn does, the connection is closed under it.
func (s *Store) try(ctx context.Context, fn func(*conn) error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	c, fresh, err := s.connection(ctx)
	if err != nil {
		return err
	}
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cut)
		c.close()
	})
	good := true
	if fresh {
		err = s.begin(c)
		good = err == nil
	}
	if good {
		err = fn(c)
		good = err == nil || isAnswer(err)
	}
	if !stop() {
		<-cut
		s.drop(c)
		if err != nil {
			return context.Cause(ctx)
		}
		return nil
	}
	if good {
		return err
	}
	if said := s.drop(c); said != nil {
		err = fmt.Errorf("%w: %w", err, said)
	}
	return s.orClosed(err)
}

// connection returns the connection there is, or a fresh one that has not begun.
func (s *Store) connection(ctx context.Context) (c *conn, fresh bool, err error) {
	s.mu.Lock()
	c, closed := s.conn, s.closed
	s.mu.Unlock()
	if closed {
		return nil, false, errClosed
	}
	if c != nil {
		return c, false, nil
	}
	stream, err := s.dial(ctx)
	if err != nil {
		return nil, false, err
	}
	c = newConn(stream)
	s.mu.Lock()
	closed = s.closed
	if !closed {
		s.conn = c
	}
	s.mu.Unlock()
	if closed {
		c.close()
		return nil, false, errClosed
	}
	return c, true, nil
}

// begin greets the daemon and asks again for the roots that another connection
// held.
func (s *Store) begin(c *conn) error {
	if err := c.handshake(); err != nil {
		return fmt.Errorf("greet the Nix daemon: %w", err)
	}
	for p := range s.roots {
		if err := c.addTempRoot(p); err != nil {
			return fmt.Errorf("hold %s again: %w", p, err)
		}
	}
	return nil
}

// drop gives a connection up and returns what its other end had to say.
func (s *Store) drop(c *conn) error {
	said := c.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == c {
		s.conn = nil
	}
	return said
}

// orClosed explains an error that Close caused.
func (s *Store) orClosed(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.closed {
		return errClosed
	}
	return err
}
