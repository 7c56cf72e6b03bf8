package setup

import "context"

// Apply carries out steps in their order, with the journal in dir, which is made if need be. tell is told of each
// step before it is done. Files and directories that are as they are to be are passed over.
func Apply(ctx context.Context, m Machine, dir string, steps []Step, tell func(Step)) error {
	j, err := readJournal(m, dir)
	if err != nil {
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
	_, err := m.Run(ctx, s.Run...)
	return err
}
