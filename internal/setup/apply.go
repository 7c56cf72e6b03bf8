package setup

import (
	"context"
	"errors"
	"io/fs"
)

// Apply carries out steps in their order, with the journal in dir, which is made if need be. tell is told of each
// step before it is done. Files and directories that are as they are to be are passed over. What fails, or is killed, leaves the
// commands that did not run owed (Owed).
func Apply(ctx context.Context, m Machine, dir string, steps []Step, tell func(Step)) error {
	j, err := readJournal(m, dir)
	if err != nil {
		return err
	}
	if err := j.owe(steps); err != nil {
		return err
	}
	for _, s := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		tell(s)
		if err := apply(ctx, m, j, s); err != nil {
			return err
		}
	}
	return nil
}

func apply(ctx context.Context, m Machine, j *journal, s Step) error {
	switch {
	case s.Done(m):
		return nil
	case s.Path != "":
		if err := j.file(s); err != nil {
			return err
		}
		return m.Write(s.Path, s.File)
	case s.Dir != "":
		if err := j.note(entry{Dir: s.Dir}); err != nil {
			return err
		}
		return m.MakeDir(s.Dir, s.File.Mode, s.File.UID, s.File.GID)
	case s.Do != nil:
		return s.Do()
	}
	if len(s.Undo) > 0 {
		if err := j.note(entry{Undo: s.Undo}); err != nil {
			return err
		}
	}
	if len(s.Run) == 0 {
		return nil
	}
	if _, err := m.Run(ctx, s.Run...); err != nil {
		return err
	}
	return j.ran(s.Run)
}

// Owe notes the commands of steps that are carried out in several parts, before the first.
func Owe(m Machine, dir string, steps []Step) error {
	j, err := readJournal(m, dir)
	if err != nil {
		return err
	}
	return j.owe(steps)
}

// Owed are the commands that an Apply which did not come to its end has left to run: a service whose file is new is not yet
// started anew. A journal that this process may not read tells of none.
func Owed(m Machine, dir string) ([][]string, error) {
	j, err := readJournal(m, dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return j.Owed, nil
}
