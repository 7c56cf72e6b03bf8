package report

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Expired is what of a namespace goes first when room is needed, in that order.
type Expired struct {
	Schema       string               `json:"schema"` // flurry/expired/1
	Alias        string               `json:"alias"`
	Publications []ExpiredPublication `json:"publications"`
}

// ExpiredPublication is one that has expired, or will soon.
type ExpiredPublication struct {
	ID       string     `json:"id"`
	Signer   string     `json:"signer"`
	Roots    []string   `json:"roots"`
	Expired  bool       `json:"expired"`
	Ends     time.Time  `json:"ends"`
	Asked    *time.Time `json:"asked,omitempty"` // when anything of it was asked for here the last time, if that is known
	NarBytes uint64     `json:"nar_bytes"`
	Place    int        `json:"place,omitempty"` // in the order of going; 0: it stays for now
}

// PrintText writes a line for each.
func (e Expired) PrintText(w io.Writer, now time.Time) {
	if len(e.Publications) == 0 {
		fmt.Fprintf(w, "nothing of %s has expired here, or will within 30 days\n", e.Alias)
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PUBLICATION\tBY\tEXPIRES\tLAST ASKED\tSIZE\tROOT")
	for _, p := range e.Publications {
		ends, root := p.Ends.Format(time.DateOnly), "-"
		if p.Expired {
			ends += ", did"
		}
		if len(p.Roots) > 0 {
			root = p.Roots[0]
		}
		if n := len(p.Roots) - 1; n > 0 {
			root += fmt.Sprintf(" and %d more", n)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", p.ID[:min(8, len(p.ID))], p.Signer, ends, ago(p.Asked, now), size(p.NarBytes), root)
	}
	t.Flush()
	fmt.Fprintln(w, "What has expired stays until its room is needed, or until: flurry store gc")
}
