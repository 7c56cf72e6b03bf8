package report

import (
	"fmt"
	"io"
	"slices"
)

// Setup is what `flurry setup` does, or has done.
type Setup struct {
	Schema string      `json:"schema"`           // flurry/setup/1
	Head   string      `json:"head"`             // what was found
	Steps  []SetupStep `json:"steps"`            // none: nothing is to be done
	Notes  []string    `json:"notes"`            // what a person has to know or do
	Module string      `json:"module,omitempty"` // on NixOS: the text of a module that does it, in the place of steps
	Done   bool        `json:"done"`             // the steps were carried out
	Undo   string      `json:"undo"`             // the command that takes them back
	Next   string      `json:"next,omitempty"`
}

// SetupStep is one change.
type SetupStep struct {
	Verb  string   `json:"verb"`
	What  string   `json:"what"`
	Lines []string `json:"lines,omitempty"`
}

// Same reports whether two plans tell people the same.
func (s Setup) Same(other Setup) bool {
	return slices.EqualFunc(s.Steps, other.Steps, func(a, b SetupStep) bool {
		return a.Verb == b.Verb && a.What == b.What && slices.Equal(a.Lines, b.Lines)
	}) && slices.Equal(s.Notes, other.Notes)
}

// PrintPlan writes what will be done.
func (s Setup) PrintPlan(w io.Writer) {
	if len(s.Steps) == 0 {
		fmt.Fprintf(w, "nothing to do: %s\n", s.Head)
	} else {
		fmt.Fprintf(w, "%s\n\n", s.Head)
	}
	for _, step := range s.Steps {
		fmt.Fprintf(w, "  %-8s %s\n", step.Verb, step.What)
		for _, l := range step.Lines {
			fmt.Fprintf(w, "             %s\n", l)
		}
	}
	for _, n := range s.Notes {
		fmt.Fprintf(w, "\n%s\n", n)
	}
}

// PrintText writes the end.
func (s Setup) PrintText(w io.Writer) {
	if s.Done {
		fmt.Fprintf(w, "\ndone. Everything above is undone by: %s\n", s.Undo)
	}
	if s.Next != "" {
		fmt.Fprintf(w, "next: %s\n", s.Next)
	}
}

// Undone is what `flurry setup --undo` took back.
type Undone struct {
	Schema string       `json:"schema"` // flurry/undone/1
	Undone []string     `json:"undone"` // what was done for it
	Left   []UndoneLeft `json:"left"`   // what could not be put back
	Kept   []string     `json:"kept"`   // what stays, since it is not setup's
	Notes  []string     `json:"notes"`  // what is left to do by hand
}

// UndoneLeft is something that is not as it was.
type UndoneLeft struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// PrintText writes what is left.
func (u Undone) PrintText(w io.Writer) {
	if len(u.Undone) == 0 {
		fmt.Fprintln(w, "nothing to do: flurry setup was not run here, or is undone")
	} else {
		fmt.Fprintln(w, "done. This machine is as it was before flurry setup.")
	}
	for _, l := range u.Left {
		fmt.Fprintf(w, "  but %s: %s\n", l.What, l.Why)
	}
	for _, k := range u.Kept {
		fmt.Fprintf(w, "  kept: %s\n", k)
	}
	for _, n := range u.Notes {
		fmt.Fprintf(w, "\n%s\n", n)
	}
}
