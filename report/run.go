package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

const runSchema = "flurry/run/1"

// RunStart says what a command is run with. In JSON it has "event":"started".
type RunStart struct {
	Gateway string  `json:"gateway,omitempty"` // its URL; empty: there is none
	Own     bool    `json:"own"`               // for this command alone; false: the daemon's
	Serving int     `json:"serving"`           // peers that hold what is in use
	Synced  float64 `json:"synced"`            // seconds until all that is in use was synced; 0: it is not
}

// MarshalJSON puts schema and event before the fields.
func (s RunStart) MarshalJSON() ([]byte, error) {
	type fields RunStart
	return json.Marshal(struct {
		event
		fields
	}{event{runSchema, "started"}, fields(s)})
}

// String is the start in words.
func (s RunStart) String() string {
	if s.Gateway == "" {
		return "no gateway for this command"
	}
	words := "gateway on " + strings.TrimPrefix(s.Gateway, "http://")
	if !s.Own {
		return words + ", the daemon's"
	}
	words += " for this command; " + count(s.Serving, "peer", "peers")
	if s.Synced > 0 {
		words += "; catalog synced in " + millis(s.Synced)
	}
	return words
}

// Run is the outcome of `flurry run`. In JSON it has "event":"done".
type Run struct {
	Status    int      `json:"status"` // the command's exit status
	Given     uint64   `json:"given"`  // narinfos that the gateway gave while it ran
	Built     int      `json:"built"`  // paths that were built here while it ran
	Namespace string   `json:"namespace,omitempty"`
	Publish   *Publish `json:"publish,omitempty"` // null: nothing was published
	Sent      uint64   `json:"sent"`              // bytes to peers
	Drained   float64  `json:"drained"`           // seconds that publishing and copying took
	Problem   *Problem `json:"problem,omitempty"` // why publishing failed
	Exit      int      `json:"exit"`              // of flurry run
}

// MarshalJSON puts schema and event before the fields.
func (r Run) MarshalJSON() ([]byte, error) {
	type fields Run
	return json.Marshal(struct {
		event
		fields
	}{event{runSchema, "done"}, fields(r)})
}

// PrintText writes what became of what was built, if it was to be published.
func (r Run) PrintText(w io.Writer) {
	built := count(r.Built, "path", "paths") + " built here"
	p := r.Publish
	switch {
	case r.Namespace == "":
	case r.Built == 0:
		fmt.Fprintf(w, "flurry: nothing was built here, so nothing is published to %s\n", r.Namespace)
	case p == nil:
		fmt.Fprintf(w, "flurry: %s, not published\n", built)
	case len(p.Publications) == 0:
		fmt.Fprintf(w, "flurry: %s, nothing of it new in %s%s\n", built, r.Namespace, p.left())
	default:
		fmt.Fprintf(w, "flurry: %s, published to %s%s: %s sent, %s\n", built, r.Namespace, p.left(), size(r.Sent), copiesWords(p.Copies))
	}
}

// left says how much the filters left out.
func (p Publish) left() string {
	if n := len(p.Excluded) + len(p.Blocked); n > 0 {
		return fmt.Sprintf(" but for %s that the filters exclude", count(n, "path", "paths"))
	}
	return ""
}

func copiesWords(copies []Copy) string {
	words := count(len(copies), "copy", "copies")
	if len(copies) == 0 {
		return words
	}
	var nodes []string
	for _, c := range copies {
		nodes = append(nodes, c.Node)
	}
	return words + " (" + strings.Join(nodes, ", ") + ")"
}
