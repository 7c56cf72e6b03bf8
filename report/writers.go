package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/flurry-nix/flurry/namespace"
)

// Writers is who may publish to a namespace.
type Writers struct {
	Schema  string   `json:"schema"` // flurry/writers/1
	Alias   string   `json:"alias"`
	Serial  uint64   `json:"serial"`
	Writers []Writer `json:"writers"`
}

// PrintText writes a line for each.
func (v Writers) PrintText(w io.Writer, now time.Time) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WRITER\tKEY\tEXPIRES\tPUBLICATIONS\tLAST")
	for _, x := range v.Writers {
		expires, last := "-", "never"
		if x.Until != nil {
			expires = x.Until.Format(time.DateOnly)
		}
		if x.Closed {
			expires = "revoked"
		}
		if x.Last != nil {
			last = ago(x.Last, now)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", x.Name, shortKey(x.Key), expires, grouped(x.Publications), last)
	}
	t.Flush()
}

// shortKey is the name and the beginning of a key.
func shortKey(key string) string {
	name, rest, ok := strings.Cut(key, ":")
	if !ok || len(rest) <= 4 {
		return key
	}
	return name + ":" + rest[:4] + "…"
}

// WriterChange is the outcome of adding or revoking a writer.
type WriterChange struct {
	Schema       string `json:"schema"` // flurry/writer/1
	Alias        string `json:"alias"`
	Name         string `json:"name"`
	Key          string `json:"key"`
	Serial       uint64 `json:"serial"`
	Secret       string `json:"secret,omitempty"` // of a key that was made for it
	Have         int    `json:"have"`             // connected peers that have the new document
	Of           int    `json:"of"`
	Dropped      int    `json:"dropped"` // publications that do not count any more
	DroppedPaths int    `json:"dropped_paths"`
	Kept         int    `json:"kept"`
}

// PrintAdded writes what a new writer may do.
func (c WriterChange) PrintAdded(w io.Writer) {
	fmt.Fprintf(w, "%s: %s may publish from now on (document serial %d).%s\n", c.Alias, c.Name, c.Serial, spread(c.Have, c.Of))
}

// PrintRevoked writes what a revocation changed.
func (c WriterChange) PrintRevoked(w io.Writer) {
	fmt.Fprintf(w, "document serial %d signed.%s\n", c.Serial, spread(c.Have, c.Of))
	fmt.Fprintf(w, "%s dropped, %s kept. %s given to nobody any more.\n", count(c.Dropped, "publication", "publications"), grouped(c.Kept), count(c.DroppedPaths, "path is", "paths are"))
}

// spread says who has a new document.
func spread(have, of int) string {
	if of == 0 {
		return " Nobody who holds the namespace is connected: others learn of it when they next sync."
	}
	return fmt.Sprintf(" %d of %d connected peers have it.", have, of)
}

// Revocation is what revoking a writer would keep and drop.
type Revocation struct {
	Schema       string         `json:"schema"` // flurry/revocation/1
	Alias        string         `json:"alias"`
	Name         string         `json:"name"`
	Key          string         `json:"key"`
	After        *time.Time     `json:"after,omitempty"`
	All          bool           `json:"all"`
	Total        int            `json:"total"`
	Kept         int            `json:"kept"`
	KeptHere     int            `json:"kept_here"`  // received here by then
	KeptSeeds    int            `json:"kept_seeds"` // received by a seed by then
	Dropped      int            `json:"dropped"`
	DroppedPaths int            `json:"dropped_paths"`
	Keep         []namespace.ID `json:"keep"`
	Silent       []string       `json:"silent,omitempty"` // seeds that were to be asked, and did not answer
}

// String is the plan in words.
func (r Revocation) String() string {
	by := "received so far"
	if r.After != nil {
		by = "received by " + r.After.UTC().Format("2006-01-02 15:04")
	}
	if r.All {
		return fmt.Sprintf("%s made %s. None is kept, and any that turn up under that key, whatever date they carry, are dropped everywhere at the next sync.",
			r.Name, count(r.Total, "publication", "publications"))
	}
	s := fmt.Sprintf("%s made %s. %d were %s (%d by this node, %d by a seed): kept, by name.\n%d others, and any more that turn up under that key whatever date they carry, are dropped everywhere at the next sync.",
		r.Name, count(r.Total, "publication", "publications"), r.Kept, by, r.KeptHere, r.KeptSeeds, r.Dropped)
	for _, name := range r.Silent {
		s += "\nThe seed " + name + " did not answer: what it had by then is not counted."
	}
	return s
}

// Retraction is the outcome of `flurry retract`.
type Retraction struct {
	Schema       string   `json:"schema"` // flurry/retract/1
	Alias        string   `json:"alias"`
	What         string   `json:"what"`
	Reason       string   `json:"reason"`
	Serial       uint64   `json:"serial"`
	Publications []string `json:"publications"`
	Paths        int      `json:"paths"`
	Have         int      `json:"have"`
	Of           int      `json:"of"`
}

// PrintText writes what was taken back, and what cannot be.
func (r Retraction) PrintText(w io.Writer) {
	fmt.Fprintf(w, "retracted (document serial %d).%s\n", r.Serial, spread(r.Have, r.Of))
	fmt.Fprintln(w, "Whoever fetched it before still has it, and no network can change that: a secret in it has to be made anew.")
}

// Pins are the pins of a namespace.
type Pins struct {
	Schema string `json:"schema"` // flurry/pins/1
	Alias  string `json:"alias"`
	Pins   []Pin  `json:"pins"`
}

// Pin is a name with a history.
type Pin struct {
	Name     string     `json:"name"`
	Roots    []string   `json:"roots"` // of the newest version
	Versions int        `json:"versions"`
	Last     int        `json:"last"`
	For      float64    `json:"for"` // seconds
	NarBytes uint64     `json:"nar_bytes"`
	Copies   int        `json:"copies"`
	Until    *time.Time `json:"until"` // the first version ends then, unless it is renewed
}

// PrintText writes a line for each pin.
func (p Pins) PrintText(w io.Writer) {
	if len(p.Pins) == 0 {
		fmt.Fprintf(w, "%s has no pins. next: flurry publish %s ./result --pin NAME\n", p.Alias, p.Alias)
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PIN\tROOT\tVERSIONS\tKEEPS\tSIZE\tCOPIES\tUNTIL")
	for _, x := range p.Pins {
		keeps, until := "last "+grouped(x.Last), "-"
		if x.For > 0 {
			keeps = "for " + span(time.Duration(x.For*float64(time.Second)))
		}
		if x.Until != nil {
			until = x.Until.Format(time.DateOnly) + ", renewed before"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%d\t%s\n", x.Name, orDash(strings.Join(x.Roots, " ")), x.Versions, keeps, size(x.NarBytes), x.Copies, until)
	}
	t.Flush()
}

// Pinned is the outcome of pinning.
type Pinned struct {
	Schema      string   `json:"schema"` // flurry/pin/1
	Alias       string   `json:"alias"`
	Name        string   `json:"name"`
	Publication string   `json:"publication"`
	Roots       []string `json:"roots"`
	Last        int      `json:"last"`
	For         float64  `json:"for"`
	Deleted     bool     `json:"deleted"`
}

// PrintText writes what the name stands for now.
func (p Pinned) PrintText(w io.Writer) {
	switch {
	case p.Deleted:
		fmt.Fprintf(w, "%s: the pin %s is ended. What it alone kept lives as long as it was published for.\n", p.Alias, p.Name)
	case len(p.Roots) == 0:
		fmt.Fprintf(w, "%s: %s keeps %s\n", p.Alias, p.Name, p.keeps())
	default:
		fmt.Fprintf(w, "%s: pinned as %s, which keeps %s\n", p.Alias, p.Name, p.keeps())
	}
}

func (p Pinned) keeps() string {
	if p.For > 0 {
		return "versions for " + span(time.Duration(p.For*float64(time.Second)))
	}
	return "the last " + plural(p.Last, "version", grouped(p.Last)+" versions")
}

// WriterKey is a key that was made here, to become a writer's.
type WriterKey struct {
	Schema string `json:"schema"` // flurry/writer-key/1
	Key    string `json:"key"`
	File   string `json:"file"`
}

// PrintText writes the public half, which is the answer.
func (k WriterKey) PrintText(w io.Writer) { fmt.Fprintln(w, k.Key) }

// Edited is the outcome of changing a document.
type Edited struct {
	Schema  string    `json:"schema"` // flurry/document/1
	Alias   string    `json:"alias"`
	Serial  uint64    `json:"serial"`
	Expires time.Time `json:"expires"`
	Have    int       `json:"have"`
	Of      int       `json:"of"`
}

// PrintText writes which document is in force.
func (e Edited) PrintText(w io.Writer) {
	fmt.Fprintf(w, "%s: document serial %d signed, valid until %s.%s\n", e.Alias, e.Serial, e.Expires.Format(time.DateOnly), spread(e.Have, e.Of))
}
