package setup

import "bytes"

// Step is one change. Verb, What and Lines are for people; of the others one is set.
type Step struct {
	Verb  string   // "write", "copy", "restart", …
	What  string   // what is changed
	Lines []string // what it will be, where that matters

	// Path is written with File. Line, if File is the old file with that line added, lets Undo take out the line alone when the
	// file was changed meanwhile.
	Path string
	File File
	Line string

	// Dir is made with File's mode and owner.
	Dir string

	// Run runs, and Undo takes it back. Either may be missing.
	Run, Undo []string

	// Do does something that is not taken back.
	Do func() error
}

// wanted reports whether f is as the step wants it.
func (s Step) wanted(f File) bool {
	return bytes.Equal(f.Data, s.File.Data) && f.Mode == s.File.Mode && f.UID == s.File.UID && f.GID == s.File.GID
}

// Done reports whether the file or directory of a step is as it is to be. What is neither never is.
func (s Step) Done(m Machine) bool {
	if s.Path == "" {
		return s.Dir != "" && m.IsDir(s.Dir)
	}
	f, err := m.Read(s.Path)
	return err == nil && s.wanted(f)
}
