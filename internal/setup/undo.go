package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

// Left is something that Undo could not put back as it was.
type Left struct {
	What string
	Why  string
}

// ErrNothing says that there is no journal: nothing was set up, or all of it is undone.
var ErrNothing = errors.New("nothing was set up here")

// Resume takes up what was begun with the journal in dir, to take it back. It has to be ended by End.
func Resume(m Machine, dir string) (*Work, error) {
	w, err := lock(m, dir)
	if errors.Is(err, fs.ErrNotExist) { // perhaps killed when it was making its directory
		return nil, errors.Join(m.RemoveDir(Unfinished(dir)), m.RemoveDir(Unfinished(path.Dir(dir))), m.RemoveDir(path.Dir(dir)), ErrNothing)
	}
	if err != nil {
		return nil, err
	}
	if w.bare {
		return nil, errors.Join(w.End(), ErrNothing) // killed when it had made no more than that
	}
	return w, nil
}

// Undo takes back what the journal says, the last first, and tells of each step before. What somebody else has changed since is
// left as it is, but for a line that was added to it. Killed, it goes on when it is called again.
func (w *Work) Undo(ctx context.Context, tell func(what string)) (left []Left, err error) {
	j := w.j
	for len(j.Entries) > 0 {
		if err := ctx.Err(); err != nil {
			return left, err
		}
		last := j.Entries[len(j.Entries)-1]
		why, err := undo(ctx, w.m, j, last, tell)
		if err != nil {
			return left, err
		}
		if why != "" {
			left = append(left, Left{last.what(), why})
		}
		j.Entries = j.Entries[:len(j.Entries)-1]
		if err := j.save(); err != nil {
			return left, err
		}
	}
	w.bare = true
	return left, nil
}

func (e entry) what() string {
	switch {
	case e.Path != "":
		return e.Path
	case e.Dir != "":
		return e.Dir
	}
	return fmt.Sprint(e.Undo)
}

// undo takes one entry back. why says what was left, if something was.
func undo(ctx context.Context, m Machine, j *journal, e entry, tell func(string)) (why string, err error) {
	switch {
	case e.Path != "":
		return undoFile(m, j, e, tell)
	case e.Dir != "":
		tell("remove " + e.Dir + ", if it is empty")
		return "", errors.Join(m.RemoveDir(Unfinished(e.Dir)), m.RemoveDir(e.Dir))
	}
	tell(fmt.Sprintf("run %s", join(e.Undo)))
	if _, err := m.Run(ctx, e.Undo...); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return err.Error(), nil
	}
	return "", nil
}

func join(words []string) string {
	var b bytes.Buffer
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(w)
	}
	return b.String()
}

func undoFile(m Machine, j *journal, e entry, tell func(string)) (why string, err error) {
	if err := m.Remove(Unfinished(e.Path)); err != nil {
		return "", err
	}
	now, err := m.Read(e.Path)
	gone := errors.Is(err, fs.ErrNotExist)
	if err != nil && !gone {
		return "it is no file any more", nil
	}
	err = nil
	sum := hashOf(now.Data)
	switch {
	case gone && e.Before == "", !gone && e.Before != "" && sum == e.Sum && ownershipOf(now) == e.was():
		// It is as it was.
	case gone:
		why = "it was removed since, and is not made again"
	case !slices.Contains(e.Wrote, sum) && sum != e.Sum:
		why, err = undoLine(m, e, now, tell)
	case e.Before == "":
		tell("remove " + e.Path)
		err = m.Remove(e.Path)
	default:
		why, err = restore(m, j, e, now, tell)
	}
	if err != nil || e.Before == "" || !slices.Contains(j.Aside, e.Before) {
		return why, err
	}
	return why, errors.Join(m.Remove(path.Join(j.dir, e.Before)), m.Remove(Unfinished(path.Join(j.dir, e.Before))))
}

// was is whose the file was.
func (e entry) was() ownership { return ownership{e.Mode, e.UID, e.GID} }

// restore puts back what a file was. Who may do what with it is left to whoever has said so since.
func restore(m Machine, j *journal, e entry, now File, tell func(string)) (why string, err error) {
	kept := path.Join(j.dir, e.Before)
	before, err := m.Read(kept)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if hashOf(before.Data) != e.Sum { // also of one that is not there
		j.Aside = slices.DeleteFunc(j.Aside, func(name string) bool { return name == e.Before }) // what is left of it stays
		why = fmt.Sprintf("%s is not what it was: it is not put back", kept)
		if e.Line != "" {
			_, err = undoLine(m, e, now, tell)
			return why + ", and only the line is taken out", err
		}
		return why, nil
	}
	tell("restore " + e.Path)
	to := File{Data: before.Data, Mode: e.Mode, UID: e.UID, GID: e.GID}
	if is := ownershipOf(now); is != e.was() && !slices.Contains(e.As, is) {
		to.Mode, to.UID, to.GID = is.Mode, is.UID, is.GID
		why = "its mode or owner was changed since, and is left"
	}
	return why, m.Write(e.Path, to)
}

// undoLine takes the line that was added out of a file that was changed since.
func undoLine(m Machine, e entry, now File, tell func(string)) (why string, err error) {
	lines := bytes.SplitAfter(now.Data, []byte("\n"))
	kept := slices.DeleteFunc(slices.Clone(lines), func(l []byte) bool {
		return e.Line != "" && string(bytes.TrimSpace(l)) == e.Line
	})
	if len(kept) == len(lines) {
		if e.Line != "" {
			return "", nil // somebody took it out already
		}
		return "it was changed since, and is left as it is", nil
	}
	tell(fmt.Sprintf("take %q out of %s, which was changed since", e.Line, e.Path))
	now.Data = bytes.Join(kept, nil)
	return "it was changed since: only the line was taken out", m.Write(e.Path, now)
}
