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

// Undo takes back what the journal in dir says, the last first, and tells of each step before. What somebody else has changed
// since is left as it is, but for a line that was added to it. Killed, it goes on when it is called again.
func Undo(ctx context.Context, m Machine, dir string, tell func(what string)) (left []Left, err error) {
	j, err := readJournal(m, dir)
	if err != nil {
		return nil, err
	}
	if len(j.Entries) == 0 {
		if _, err := m.Read(path.Join(dir, journalName)); errors.Is(err, fs.ErrNotExist) {
			return nil, ErrNothing
		}
		return nil, j.remove()
	}
	for len(j.Entries) > 0 {
		if err := ctx.Err(); err != nil {
			return left, err
		}
		last := j.Entries[len(j.Entries)-1]
		why, err := undo(ctx, m, j, last, tell)
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
	return left, j.remove()
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
		return "", m.RemoveDir(e.Dir)
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
	if err := m.Remove(e.Path + unfinished); err != nil {
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
	case gone && e.Before == "", !gone && e.Before != "" && sum == e.Sum && now.Mode == e.Mode && now.UID == e.UID && now.GID == e.GID:
		// It is as it was.
	case gone:
		why = "it was removed since, and is not made again"
	case !slices.Contains(e.Wrote, sum) && sum != e.Sum:
		why, err = undoLine(m, e, now, tell)
	case e.Before == "":
		tell("remove " + e.Path)
		err = m.Remove(e.Path)
	default:
		tell("restore " + e.Path)
		err = restore(m, j, e)
	}
	if err != nil || e.Before == "" {
		return why, err
	}
	return why, errors.Join(m.Remove(path.Join(j.dir, e.Before)), m.Remove(path.Join(j.dir, e.Before)+unfinished))
}

func restore(m Machine, j *journal, e entry) error {
	before, err := m.Read(path.Join(j.dir, e.Before))
	if err != nil {
		return err
	}
	if hashOf(before.Data) != e.Sum {
		return fmt.Errorf("%s is not what %s was: it is not put back", path.Join(j.dir, e.Before), e.Path)
	}
	return m.Write(e.Path, File{Data: before.Data, Mode: e.Mode, UID: e.UID, GID: e.GID})
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
