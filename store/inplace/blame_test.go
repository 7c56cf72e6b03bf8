package inplace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/storetest"
)

// short is a shelf that lacks something for a while.
type short struct {
	*shelf
	err error
}

func (s *short) Nar(p nix.StorePath) (*nix.NarFile, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.shelf.Nar(p)
}

func (s *short) Short(err error) bool { return errors.Is(err, errShort) }

var errShort = errors.New("no more files")

// TestShortOfFiles: that this machine lacks something just now says nothing of a path. What cannot be read for good loses its
// place.
func TestShortOfFiles(t *testing.T) {
	for err, lost := range map[error]bool{errShort: false, fs.ErrPermission: true, io.ErrUnexpectedEOF: true} {
		s := &short{shelf: newShelf(t)}
		s.store.paths = s
		_, one, _, bodies, chunks := s.widgets()
		s.place(one, bodies[1])
		s.err = &fs.PathError{Op: "open", Path: s.file(one), Err: err}
		for k := range chunks[1] {
			if _, got := s.store.Frame(t.Context(), k, nil); got == nil || !lost && !errors.Is(got, err) {
				t.Fatalf("%v: read with the error %v", err, got)
			}
		}
		if got := s.lostTo(one); (got != nil) != lost || s.store.Placed(bodies[1].ID()) == lost {
			t.Errorf("%v: lost to %v", err, got)
		}
		s.err = nil
		for k, raw := range chunks[1] {
			if s.has(k, raw) == lost {
				t.Errorf("%v: %v afterwards", err, k)
			}
		}
	}
}

// TestBodyCollected: a path whose body was given up is read no more, and that is not the path's fault. What it shares with
// another is had from there.
func TestBodyCollected(t *testing.T) {
	s := newShelf(t)
	_, one, two, bodies, chunks := s.widgets()
	s.place(one, bodies[1])
	s.place(two, bodies[2])
	gone := bodies[1].ID()
	forget(t, s.below, gone)
	for k, raw := range chunks[2] {
		if !s.has(k, raw) {
			t.Errorf("%v is not read from the other path", k)
		}
	}
	if err := s.lostTo(one); !errors.Is(err, store.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lost to %v", err)
	}
	if s.store.Placed(gone) || !s.store.Placed(bodies[2].ID()) || s.lostTo(two) != nil {
		t.Errorf("placed: %v, %v; the other is lost to %v", s.store.Placed(gone), s.store.Placed(bodies[2].ID()), s.lostTo(two))
	}
}

// broken is a store that fails on the way to a body.
type broken struct{ store.Collector }

var errDisk = errors.New("the disk does not answer")

func (b broken) Frame(ctx context.Context, k store.Key, room []byte) (store.Frame, error) {
	if k.Kind == store.KindBody {
		return store.Frame{}, errDisk
	}
	return b.Collector.Frame(ctx, k, room)
}

// TestStoreBelowFails: that a body cannot be read just now is nothing that its path has done.
func TestStoreBelowFails(t *testing.T) {
	s := newShelf(t)
	_, one, _, bodies, chunks := s.widgets()
	s.place(one, bodies[1])
	s.store.Collector = broken{s.below}
	for k := range chunks[1] {
		if _, err := s.store.Frame(t.Context(), k, nil); !errors.Is(err, errDisk) {
			t.Fatalf("read with the error %v", err)
		}
	}
	if err := s.lostTo(one); err != nil || !s.store.Placed(bodies[1].ID()) {
		t.Errorf("lost to %v", err)
	}
}

// forget has a body swept.
func forget(t *testing.T, below *storetest.Mem, id content.BodyID) {
	t.Helper()
	c, err := below.StartCollection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fate := func(k store.Key) store.Fate {
		if k == store.BodyKey(id) {
			return store.Dead
		}
		return store.Keep
	}
	if done, err := c.Sweep(t.Context(), fate, store.SweepOptions{}); err != nil || done.Contents != 1 {
		t.Fatal(fmt.Errorf("swept %d, %w", done.Contents, err))
	}
}
