package node

import "fmt"

// When says what is published to a namespace without being named.
type When byte

const (
	// WhenManual: nothing.
	WhenManual When = iota
	// WhenHook: what a build hook gives.
	WhenHook
	// WhenAlways: that, and all that this machine's Nix builds.
	WhenAlways
)

// String is the word of the configuration file.
func (w When) String() string { return [...]string{"manual", "hook", "always"}[w] }

// ParseWhen reads manual, hook, always or the empty word, which is manual.
func ParseWhen(s string) (When, error) {
	if s == "" {
		return WhenManual, nil
	}
	for _, w := range []When{WhenManual, WhenHook, WhenAlways} {
		if w.String() == s {
			return w, nil
		}
	}
	return WhenManual, fmt.Errorf("%.40q is not when to publish: manual, hook or always", s)
}

// Automatic is what is published to a namespace without being named, and what is left out of that, besides what is left
// out everywhere.
type Automatic struct {
	When     When
	Exclude  []string // globs on the name after the hash
	LeaveOut []string
	MaxSize  uint64 // largest NarSize; 0: as everywhere
	Full     bool   // what upstream caches have, too
}
