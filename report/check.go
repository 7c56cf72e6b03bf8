package report

import (
	"encoding/json"
	"fmt"
	"io"
)

// checkSchema is the schema of both a check's progress and its outcome.
const checkSchema = "flurry/check/1"

// Check is the outcome of `flurry store check`.
type Check struct {
	Schema   string   `json:"schema"` // flurry/check/1
	Event    string   `json:"event"`  // done
	Chunks   int      `json:"chunks"`
	Others   int      `json:"others"` // bodies and texts
	Bytes    int64    `json:"bytes"`
	Damaged  []string `json:"damaged"`    // found by this check
	OutOfUse int      `json:"out_of_use"` // damaged, found whenever, and not stored again since
	Repaired int      `json:"repaired"`
	Rebuilt  bool     `json:"rebuilt,omitempty"` // the index was made anew from the packs
	Exit     int      `json:"exit"`
}

// Complete fills in what every outcome has: schema and event, the exit code, and a list instead of null.
func (c *Check) Complete() {
	c.Schema, c.Event = checkSchema, "done"
	if c.Damaged == nil {
		c.Damaged = []string{}
	}
	if c.OutOfUse > 0 || len(c.Damaged) > c.Repaired {
		c.Exit = ExitFailed
	}
}

// CheckProgress says how far a check is. In JSON it has "event":"progress".
type CheckProgress struct {
	Bytes int64 `json:"bytes"`
	Of    int64 `json:"of"`
}

// MarshalJSON puts schema and event before the fields.
func (p CheckProgress) MarshalJSON() ([]byte, error) {
	type fields CheckProgress
	return json.Marshal(struct {
		event
		fields
	}{event{checkSchema, "progress"}, fields(p)})
}

// String is the whole that is being checked, for people.
func (p CheckProgress) String() string { return size(p.Of) }

// PrintText writes what the check found, as far as it is good. What is not is Problem's to say.
func (c Check) PrintText(w io.Writer) {
	fmt.Fprintf(w, "%s and %s, %s, read and compared with their names\n", count(c.Chunks, "chunk", "chunks"),
		count(c.Others, "text or body", "texts and bodies"), size(c.Bytes))
	if c.Rebuilt {
		fmt.Fprintln(w, "the index was made anew from the packs")
	}
	if c.Repaired > 0 {
		fmt.Fprintf(w, "%d fetched again from peers\n", c.Repaired)
	}
	if c.Exit == ExitOK {
		fmt.Fprintln(w, "nothing is wrong")
	}
}

// Problem is what a check has to complain about, nil if nothing.
func (c Check) Problem() *Problem {
	if c.Exit == ExitOK {
		return nil
	}
	bad := max(c.OutOfUse, len(c.Damaged)-c.Repaired)
	p := StoreDamaged(bad, c.Chunks+c.Others+c.OutOfUse)
	p.Exit = c.Exit
	const shown = 10
	for i, d := range c.Damaged {
		if i == shown {
			p.Found = append(p.Found, fmt.Sprintf("and %s more", grouped(len(c.Damaged)-shown)))
			break
		}
		p.Found = append(p.Found, d)
	}
	return p
}

// StoreDamaged is the problem that bad of all records are damaged.
func StoreDamaged(bad, all int) *Problem {
	return &Problem{ID: "store-damaged", Try: []string{"look at the disk: smartctl -a …"},
		Message: fmt.Sprintf("%s of %s do not match their names (disk error?). They are out of use, and fetched again when they are asked for",
			grouped(bad), count(all, "record", "records"))}
}
