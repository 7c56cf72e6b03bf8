package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/flurry-nix/flurry/namespace"
)

// publishSchema is the schema of both a publish's progress and its outcome.
const publishSchema = "flurry/publish/1"

// Publish is the outcome of one act of publishing.
type Publish struct {
	Schema       string         `json:"schema"` // flurry/publish/1
	Event        string         `json:"event"`  // done
	Namespace    string         `json:"namespace"`
	Publications []namespace.ID `json:"publications"`
	Existing     []namespace.ID `json:"existing,omitempty"` // where the roots stand already, when nothing new was published
	DryRun       bool           `json:"dry_run,omitempty"`
	Pin          string         `json:"pin,omitempty"`
	Roots        int            `json:"roots"`
	Closure      int            `json:"closure"`
	Paths        int            `json:"paths"`
	Already      int            `json:"already"`
	Upstream     int            `json:"upstream"`
	UpstreamKeys []string       `json:"upstream_keys,omitempty"`
	LeftOut      int            `json:"left_out"`
	Excluded     []Left         `json:"excluded"`
	Blocked      []Left         `json:"blocked"`
	NarBytes     uint64         `json:"nar_bytes"` // of the paths taken
	NewBytes     uint64         `json:"new_bytes"` // raw bytes of chunks that were not in the store
	Copies       []Copy         `json:"copies"`    // on other machines, as far as they said so
	Exit         int            `json:"exit"`
}

// Left is a path that was not published, and why.
type Left struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

// Copy is another node's promise to keep what was published.
type Copy struct {
	Node   string     `json:"node"`
	Peer   string     `json:"peer"`
	Time   time.Time  `json:"time"` // when it was first whole there
	Until  *time.Time `json:"until"`
	Pinned bool       `json:"pinned"`
}

// PublishProgress says how far publishing is. In JSON it has "event":"progress".
type PublishProgress struct {
	Paths     int    `json:"paths"`
	PathsDone int    `json:"paths_done"`
	Bytes     uint64 `json:"bytes"`
	BytesDone uint64 `json:"bytes_done"`
	NewBytes  uint64 `json:"new_bytes"`
}

// MarshalJSON puts schema and event before the fields.
func (p PublishProgress) MarshalJSON() ([]byte, error) {
	type fields PublishProgress
	return json.Marshal(struct {
		event
		fields
	}{event{publishSchema, "progress"}, fields(p)})
}

// String is the whole that is being published, for people.
func (p PublishProgress) String() string {
	return count(p.Paths, "path", "paths") + ", " + size(p.Bytes) + " of NARs"
}

// event is how each object of a stream begins.
type event struct {
	Schema string `json:"schema"`
	Event  string `json:"event"`
}

// Complete fills in what every outcome has: schema and event, and lists instead of null.
func (p *Publish) Complete() {
	p.Schema, p.Event = publishSchema, "done"
	if p.Publications == nil {
		p.Publications = []namespace.ID{}
	}
	if p.Excluded == nil {
		p.Excluded = []Left{}
	}
	if p.Blocked == nil {
		p.Blocked = []Left{}
	}
	if p.Copies == nil {
		p.Copies = []Copy{}
	}
}

// PrintText writes what was published, or in a dry run would be.
func (p Publish) PrintText(w io.Writer) {
	fmt.Fprintf(w, "%s: %s, closure of %s\n", p.Namespace, count(p.Roots, "root", "roots"), count(p.Closure, "path", "paths"))
	p.printLabels(w)
	switch {
	case p.DryRun:
		fmt.Fprintln(w, "nothing was published (--dry-run)")
		return
	case len(p.Publications) == 0:
		fmt.Fprintln(w, "nothing new: all of it is published already")
		printCopies(w, p.Copies)
		return
	}
	ids := make([]string, len(p.Publications))
	for i, id := range p.Publications {
		ids[i] = id.Short()
	}
	pinned := ""
	if p.Pin != "" {
		pinned = ", pinned as " + p.Pin
	}
	fmt.Fprintf(w, "published: %s %s%s\n", plural(len(ids), "publication", "publications"), strings.Join(ids, " "), pinned)
	printCopies(w, p.Copies)
	if len(p.Copies) == 0 {
		fmt.Fprintln(w, "it is safe on this machine's disk, and can be had while this machine is on and reachable")
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// printLabels writes one line for each label that a path of the closure got.
func (p Publish) printLabels(w io.Writer) {
	rows := []struct {
		label string
		paths int
		words string
	}{
		{"take", p.Paths, fmt.Sprintf("%s of NARs, %s of new chunks", size(p.NarBytes), size(p.NewBytes))},
		{"have", p.Already, "published before"},
		{"upstream", p.Upstream, fmt.Sprintf("left to whoever signed them (%s); --full takes them too", strings.Join(p.UpstreamKeys, ", "))},
		{"left out", p.LeftOut, "as asked; that they are missing is recorded"},
		{"excluded", len(p.Excluded), "by name or size"},
		{"blocked", len(p.Blocked), "they need what is excluded"},
	}
	width := len(grouped(p.Closure))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		if r.paths > 0 || r.label == "take" {
			fmt.Fprintf(t, "  %s\t%*s %s\t%s\n", r.label, width, grouped(r.paths), plural(r.paths, "path", "paths"), r.words)
		}
	}
	t.Flush()
	for _, l := range append(p.Excluded[:len(p.Excluded):len(p.Excluded)], p.Blocked...) {
		fmt.Fprintf(w, "    %s: %s\n", l.Path, l.Why)
	}
}
