package report

import (
	"encoding/json"
	"fmt"
	"io"
)

// collectSchema is the schema of both a collection's progress and its outcome.
const collectSchema = "flurry/collect/1"

// Collected is the outcome of `flurry store gc`.
type Collected struct {
	Schema       string         `json:"schema"` // flurry/collect/1
	Event        string         `json:"event"`  // done
	DryRun       bool           `json:"dry_run"`
	Publications int            `json:"publications"` // forgotten
	Contents     int64          `json:"contents"`     // chunks, bodies and texts taken out of use
	Bytes        int64          `json:"bytes"`        // of those
	Freed        int64          `json:"freed"`        // bytes of disk given back
	Kept         int64          `json:"kept"`         // bytes of what stays in use
	Waiting      int64          `json:"waiting"`      // of those kept: bytes that nobody names and whose time has not come
	Why          []CollectedWhy `json:"why"`
	Used         int64          `json:"used"`  // bytes on the disk afterwards
	Quota        int64          `json:"quota"` // 0: none
	Exit         int            `json:"exit"`
}

// CollectedWhy is how much went, or would go, for one reason.
type CollectedWhy struct {
	Reason string `json:"reason"` // refused, expired, left, cache, orphan
	Bytes  int64  `json:"bytes"`
}

// Complete fills in what every outcome has.
func (c *Collected) Complete() {
	c.Schema, c.Event = collectSchema, "done"
	if c.Why == nil {
		c.Why = []CollectedWhy{}
	}
}

// collectWords are the reasons as people are told them.
func collectWords(reason string) string {
	switch reason {
	case "refused":
		return "retracted, or by a revoked writer"
	case "expired":
		return "of publications that expired more than two days ago"
	case "left":
		return "of namespaces that were left"
	case "cache":
		return "of what is merely used, asked for longest ago"
	case "orphan":
		return "named by nothing here"
	}
	return reason
}

// PrintText writes what went and why.
func (c Collected) PrintText(w io.Writer) {
	would, goes := "", "are gone"
	if c.DryRun {
		would, goes = "would be ", "would go"
	}
	if c.Contents == 0 && c.Freed == 0 {
		fmt.Fprintln(w, "nothing is there to be collected")
	} else {
		fmt.Fprintf(w, "%s, %s, %s; %s %sgiven back to the disk\n", count(int(c.Contents), "record", "records"), size(c.Bytes), goes, size(c.Freed), would)
	}
	for _, why := range c.Why {
		fmt.Fprintf(w, "  %s %s\n", size(why.Bytes), collectWords(why.Reason))
	}
	if c.Publications > 0 {
		fmt.Fprintf(w, "  %s %sforgotten\n", count(c.Publications, "expired publication", "expired publications"), would)
	}
	fmt.Fprintf(w, "%s stay", size(c.Kept))
	if c.Waiting > 0 {
		fmt.Fprintf(w, ", of which %s are named by nothing and go a day after that was seen", size(c.Waiting))
	}
	fmt.Fprintln(w)
}

// CollectProgress says how far a collection is. In JSON it has "event":"progress".
type CollectProgress struct {
	Done int64 `json:"done"` // records looked at
	Of   int64 `json:"of"`
}

// MarshalJSON puts schema and event before the fields.
func (p CollectProgress) MarshalJSON() ([]byte, error) {
	type fields CollectProgress
	return json.Marshal(struct {
		event
		fields
	}{event{collectSchema, "progress"}, fields(p)})
}
