package setup

import (
	"errors"
	"io/fs"
	"slices"
)

// Past is what a journal tells of the setups before. Its zero value tells of none.
type Past struct {
	// Owed are the commands that a Work which did not come to its end has left to run: a service whose file is new is not yet
	// started anew.
	Owed [][]string

	m       Machine
	entries []entry
}

// Look reads the journal in dir without taking it. One that this process may not read tells of nothing.
func Look(m Machine, dir string) (Past, error) {
	j, err := readJournal(m, dir)
	if errors.Is(err, fs.ErrPermission) {
		return Past{}, nil
	}
	if err != nil {
		return Past{}, err
	}
	return Past{Owed: j.Owed, m: m, entries: j.Entries}, nil
}

// Whose is who made a file what it is.
type Whose int

const (
	Nobodys Whose = iota // it is not there, or cannot be read
	Ours                 // a setup wrote it, and nobody changed it
	Before               // it was there before the first setup
	Changed              // a setup wrote it, and somebody changed it
)

// Whose reports who made a file what it is.
func (p Past) Whose(name string) Whose {
	if p.m == nil {
		return Nobodys
	}
	f, err := p.m.Read(name)
	if err != nil {
		return Nobodys
	}
	at := slices.IndexFunc(p.entries, func(e entry) bool { return e.Path == name })
	switch sum := hashOf(f.Data); {
	case at < 0, sum == p.entries[at].Sum:
		return Before
	case slices.Contains(p.entries[at].Wrote, sum):
		return Ours
	}
	return Changed
}
