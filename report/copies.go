package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Copies is what became of offering publications to others.
type Copies struct {
	Wanted  int            `json:"wanted"`
	Copies  []Copy         `json:"copies"`
	Refused []OfferRefused `json:"refused"` // seeds, and peers that were named, that did not take it
}

// OfferRefused is one who did not take what was offered, and why.
type OfferRefused struct {
	Node string `json:"node"`
	Why  string `json:"why"`
}

// Enough reports whether there are as many copies as were wanted.
func (c Copies) Enough() bool { return len(c.Copies) >= c.Wanted }

// OfferProgress says how far one peer is with taking what it was offered. In JSON it has "event":"progress".
type OfferProgress struct {
	Node  string `json:"node"`
	Peer  string `json:"peer"`
	State string `json:"state"` // queued, have, stored, refused, silent
	Have  uint64 `json:"have"`  // bytes that it lacked and has now
	Of    uint64 `json:"of"`
	Why   string `json:"why,omitempty"`
}

// MarshalJSON puts schema and event before the fields.
func (p OfferProgress) MarshalJSON() ([]byte, error) {
	type fields OfferProgress
	return json.Marshal(struct {
		event
		fields
	}{event{publishSchema, "progress"}, fields(p)})
}

// promise is how long a copy is kept, for people.
func (c Copy) promise() string {
	switch {
	case c.Pinned:
		return "kept while pinned"
	case c.Until != nil:
		return "kept until " + c.Until.Format(time.DateOnly)
	}
	return "best effort"
}

// printCopies writes a line for each copy.
func printCopies(w io.Writer, copies []Copy) {
	for _, c := range copies {
		fmt.Fprintf(w, "  %-20s  %s\n", c.Node, c.promise())
	}
}

// Wait is the outcome of `flurry wait`.
type Wait struct {
	Schema  string     `json:"schema"` // flurry/wait/1
	Wanted  int        `json:"wanted"`
	Paths   []WaitPath `json:"paths"`
	Missing []string   `json:"missing"` // paths that nobody has published, or that have too few copies
	Exit    int        `json:"exit"`
}

// WaitPath is one path that was waited for.
type WaitPath struct {
	Path        string    `json:"path"`
	Namespace   string    `json:"namespace"`
	Publication string    `json:"publication"`
	Writer      string    `json:"writer"`
	Published   time.Time `json:"published"`
	Copies      []Copy    `json:"copies"`
}

// PrintText writes a line for each path.
func (v Wait) PrintText(w io.Writer, now time.Time) {
	for _, p := range v.Paths {
		var nodes []string
		for _, c := range p.Copies {
			nodes = append(nodes, c.Node)
		}
		word := "available"
		if len(p.Copies) < v.Wanted {
			word = "published"
		}
		where := ""
		if len(nodes) > 0 {
			where = " (" + strings.Join(nodes, ", ") + ")"
		}
		one := ""
		if len(v.Paths)+len(v.Missing) > 1 {
			one = p.Path + ": "
		}
		fmt.Fprintf(w, "%s%s: %s%s, published %s by %s\n", one, word, count(len(p.Copies), "copy", "copies"), where, ago(&p.Published, now), p.Writer)
	}
}

// WaitProgress says how far waiting is. In JSON it has "event":"progress".
type WaitProgress struct {
	Path   string `json:"path"`
	Copies int    `json:"copies"`
	Wanted int    `json:"wanted"`
}

// MarshalJSON puts schema and event before the fields.
func (p WaitProgress) MarshalJSON() ([]byte, error) {
	type fields WaitProgress
	return json.Marshal(struct {
		event
		fields
	}{event{"flurry/wait/1", "progress"}, fields(p)})
}
