package setup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

const (
	journalName = "journal.json"
	schema      = "flurry/setup/1"
)

// entry is one change, and how it is taken back.
type entry struct {
	// Path is a file that was changed. Before names the journal's copy of what it was; empty: it was not there.
	Path   string      `json:"path,omitempty"`
	Before string      `json:"before,omitempty"`
	Sum    string      `json:"sum,omitempty"` // SHA-256 of what it was
	Mode   fs.FileMode `json:"mode,omitempty"`
	UID    int         `json:"uid,omitempty"`
	GID    int         `json:"gid,omitempty"`
	Wrote  []string    `json:"wrote,omitempty"` // SHA-256 of what was, or was about to be, written
	As     []ownership `json:"as,omitempty"`    // and as whose
	Line   string      `json:"line,omitempty"`

	Dir string `json:"dir,omitempty"` // was made

	Undo []string `json:"undo,omitempty"` // takes a command back
}

// ownership is who may do what with a file.
type ownership struct {
	Mode fs.FileMode `json:"mode"`
	UID  int         `json:"uid"`
	GID  int         `json:"gid"`
}

func ownershipOf(f File) ownership { return ownership{f.Mode, f.UID, f.GID} }

// journal is what was changed, in the order in which it was.
type journal struct {
	machine Machine
	dir     string
	Schema  string  `json:"schema"`
	Entries []entry `json:"entries"`
	// Made are the directories that were made for the journal, the outermost first.
	Made []string `json:"made,omitempty"`
	// Aside are the copies of what files were, also those that a crash kept from being an entry's.
	Aside []string `json:"aside,omitempty"`
	// Owed are commands that were to run after steps of which some may be done. A command that ran is owed no longer.
	Owed [][]string `json:"owed,omitempty"`
}

// readJournal reads the journal in a directory; one that is not there is empty.
func readJournal(m Machine, dir string) (*journal, error) {
	j := &journal{machine: m, dir: dir, Schema: schema}
	f, err := m.Read(path.Join(dir, journalName))
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, err
	}
	if len(f.Data) > maxJournal {
		return nil, fmt.Errorf("%s has %d bytes, more than a journal can have", path.Join(dir, journalName), len(f.Data))
	}
	if err := json.Unmarshal(f.Data, j); err != nil {
		return nil, fmt.Errorf("%s: %w", path.Join(dir, journalName), err)
	}
	if j.Schema != schema {
		return nil, fmt.Errorf("%s: it is of another flurry (%.40q)", path.Join(dir, journalName), j.Schema)
	}
	return j, nil
}

// save makes the journal durable.
func (j *journal) save() error {
	if err := j.makeDir(j.dir, 0o700); err != nil {
		return err
	}
	text, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	return j.machine.Write(path.Join(j.dir, journalName), j.kept(append(text, '\n')))
}

// makeDir makes a directory of the journal's, and those that it lies in.
func (j *journal) makeDir(name string, mode fs.FileMode) error {
	if j.machine.IsDir(name) {
		return nil
	}
	if err := j.makeDir(path.Dir(name), 0o755); err != nil {
		return err
	}
	uid, gid := j.machine.Owner()
	if err := j.machine.MakeDir(name, mode, uid, gid); err != nil {
		return err
	}
	j.Made = append(j.Made, name)
	return nil
}

// kept is a file of the journal's own: of whoever runs this, and nobody else's.
func (j *journal) kept(data []byte) File {
	uid, gid := j.machine.Owner()
	return File{Data: data, Mode: 0o600, UID: uid, GID: gid}
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// file notes that a file is about to be written. What it was when it was written first is what it goes back to; a file that is
// not setup's alone, but has a line added, goes back to what somebody has made of it since, if somebody has.
func (j *journal) file(s Step) error {
	wrote := hashOf(s.File.Data)
	before, err := j.machine.Read(s.Path)
	there := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	at := slices.IndexFunc(j.Entries, func(e entry) bool { return e.Path == s.Path })
	replaced := ""
	switch {
	case at < 0:
		e, err := j.keep(s, before, there)
		if err != nil {
			return err
		}
		j.Entries = append(j.Entries, e)
		at = len(j.Entries) - 1
	case s.Line != "" && j.Entries[at].changed(before, there):
		e, err := j.keep(s, before, there)
		if err != nil {
			return err
		}
		if old := j.Entries[at].Before; old != e.Before {
			replaced = old
		}
		j.Entries[at] = e
	}
	e := &j.Entries[at]
	if !slices.Contains(e.Wrote, wrote) {
		e.Wrote = append(e.Wrote, wrote)
		if s.Line != "" {
			e.Line = s.Line
		}
	}
	if as := ownershipOf(s.File); !slices.Contains(e.As, as) {
		e.As = append(e.As, as)
	}
	if err := j.save(); err != nil || replaced == "" {
		return err
	}
	return j.machine.Remove(path.Join(j.dir, replaced)) // what it was once is of no use any more
}

// keep puts aside what a file is, durably, before the journal speaks of it.
func (j *journal) keep(s Step, before File, there bool) (entry, error) {
	e := entry{Path: s.Path, Line: s.Line}
	if !there {
		return e, nil
	}
	e.Sum = hashOf(before.Data)
	e.Before = "before-" + hashOf([]byte(s.Path + "\x00" + e.Sum))[:16]
	e.Mode, e.UID, e.GID = before.Mode, before.UID, before.GID
	if !slices.Contains(j.Aside, e.Before) {
		j.Aside = append(j.Aside, e.Before)
	}
	if err := j.save(); err != nil { // also its directory
		return e, err
	}
	return e, j.machine.Write(path.Join(j.dir, e.Before), j.kept(before.Data))
}

// changed reports whether a file is neither what it was nor what was written.
func (e entry) changed(now File, there bool) bool {
	if !there {
		return e.Before != ""
	}
	sum := hashOf(now.Data)
	return sum != e.Sum && !slices.Contains(e.Wrote, sum)
}

// owe notes the commands of steps that are about to be done, so that they are not forgotten when only some are.
func (j *journal) owe(steps []Step) error {
	owed := slices.Clone(j.Owed)
	for _, s := range steps {
		if len(s.Run) > 0 && !slices.ContainsFunc(owed, func(o []string) bool { return slices.Equal(o, s.Run) }) {
			owed = append(owed, s.Run)
		}
	}
	if len(owed) == len(j.Owed) {
		return nil
	}
	j.Owed = owed
	return j.save()
}

// ran notes that a command ran.
func (j *journal) ran(command []string) error {
	j.Owed = slices.DeleteFunc(j.Owed, func(o []string) bool { return slices.Equal(o, command) })
	return j.save()
}

// note adds another entry, unless it is there.
func (j *journal) note(e entry) error {
	if slices.ContainsFunc(j.Entries, func(o entry) bool { return o.Dir == e.Dir && o.Path == "" && slices.Equal(o.Undo, e.Undo) }) {
		return nil
	}
	j.Entries = append(j.Entries, e)
	return j.save()
}

// remove ends the journal, when nothing is left in it.
func (j *journal) remove() error {
	name := path.Join(j.dir, journalName)
	var errs []error
	for _, copied := range j.Aside {
		copied = path.Join(j.dir, copied)
		errs = append(errs, j.machine.Remove(Unfinished(copied)), j.machine.Remove(copied))
	}
	errs = append(errs, j.machine.Remove(Unfinished(name)), j.machine.Remove(name))
	// Also those that were made right before a crash: they are flurry's own.
	made := slices.Clone(j.Made)
	slices.Reverse(made)
	for _, dir := range append([]string{j.dir, path.Dir(j.dir)}, made...) {
		errs = append(errs, j.machine.RemoveDir(Unfinished(dir)), j.machine.RemoveDir(dir))
	}
	return errors.Join(errs...)
}
