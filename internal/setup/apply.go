package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/flurry-nix/flurry/internal/durable"
)

// ErrBusy says that somebody else is changing the machine with the same journal.
var ErrBusy = errors.New("another setup is at work")

// Work changes a machine, or changes it back. There is one at a time for a journal.
type Work struct {
	m      Machine
	j      *journal
	unlock func() error
	bare   bool // the journal says nothing that has to be kept
}

// Begin begins to change a machine, with the journal in dir, which is made if need be. It has to be ended by End.
func Begin(m Machine, dir string) (*Work, error) {
	maker := &journal{machine: m, dir: dir}
	for range maxBegins {
		var w *Work
		err := maker.makeDir(dir, 0o700)
		if err == nil {
			w, err = lock(m, dir)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // somebody has just taken everything back, and the directory away
		}
		if err != nil {
			return nil, err
		}
		for _, made := range maker.Made {
			if !slices.Contains(w.j.Made, made) {
				w.j.Made = append(w.j.Made, made)
			}
		}
		return w, nil
	}
	return nil, fmt.Errorf("%s: %w", dir, ErrBusy)
}

// lock takes the journal in a directory for this process alone, and reads it.
func lock(m Machine, dir string) (*Work, error) {
	unlock, err := m.Lock(dir)
	if errors.Is(err, durable.ErrLocked) {
		return nil, fmt.Errorf("%s: %w", dir, ErrBusy)
	}
	if err != nil {
		return nil, err
	}
	j, err := readJournal(m, dir)
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	_, err = m.Read(path.Join(dir, journalName))
	return &Work{m: m, j: j, unlock: unlock, bare: errors.Is(err, fs.ErrNotExist)}, nil
}

// End lets others go on. Where nothing was changed, or all was taken back, the journal goes, too.
func (w *Work) End() (err error) {
	if w.bare {
		err = w.j.remove()
	}
	return errors.Join(err, w.unlock())
}

// Apply carries out steps in their order. tell is told of each step before it is done. Files and directories that are as they are to
// be are passed over. What fails, or is killed, leaves the commands that did not run owed (Past).
func (w *Work) Apply(ctx context.Context, steps []Step, tell func(Step)) error {
	if err := w.Owe(steps); err != nil {
		return err
	}
	for _, s := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		tell(s)
		if err := w.apply(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (w *Work) apply(ctx context.Context, s Step) error {
	switch {
	case s.Done(w.m):
		return nil
	case s.Path != "":
		if err := w.j.file(s); err != nil {
			return err
		}
		return w.m.Write(s.Path, s.File)
	case s.Dir != "":
		if err := w.j.note(entry{Dir: s.Dir}); err != nil {
			return err
		}
		return w.m.MakeDir(s.Dir, s.File.Mode, s.File.UID, s.File.GID)
	case s.Do != nil:
		return s.Do()
	}
	if len(s.Undo) > 0 {
		if err := w.j.note(entry{Undo: s.Undo}); err != nil {
			return err
		}
	}
	if len(s.Run) == 0 {
		return nil
	}
	if _, err := w.m.Run(ctx, s.Run...); err != nil {
		return err
	}
	return w.j.ran(s.Run)
}

// Owe notes the commands of steps that are carried out in several parts, before the first.
func (w *Work) Owe(steps []Step) error {
	w.bare = false
	return w.j.owe(steps)
}
