package report

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"
)

// Show is what is known of one namespace.
type Show struct {
	Schema       string     `json:"schema"` // flurry/show/1
	Alias        string     `json:"alias"`
	Address      string     `json:"address"`
	About        string     `json:"about,omitempty"`
	Trusted      bool       `json:"trusted"`
	Only         []string   `json:"only,omitempty"`      // paths of these names alone are taken from it
	Threshold    int        `json:"threshold,omitempty"` // how many builders have to agree on a path; 0: one is enough
	Publisher    bool       `json:"publisher"`           // a key that may publish to it is on this machine
	Serial       uint64     `json:"serial"`              // 0: no document is known yet
	Expires      *time.Time `json:"expires,omitempty"`
	Synced       *time.Time `json:"synced,omitempty"`
	Paths        int        `json:"paths"`
	Publications int        `json:"publications"`
	NarBytes     uint64     `json:"nar_bytes"`
	Writers      []Writer   `json:"writers,omitempty"`
	Revoked      []Revoked  `json:"revoked,omitempty"`
	Serving      []string   `json:"serving"` // peers that answer for it now
	Listen       []string   `json:"listen,omitempty"`
	Seeds        []string   `json:"seeds,omitempty"` // hints in the document
	// LeavesOut are the keys of caches that have what its paths need besides; PublishesAs is the name of the writer's key that is
	// here, where the root's is not.
	LeavesOut   []string      `json:"leaves_out,omitempty"`
	PublishesAs string        `json:"publishes_as,omitempty"`
	Found       []ShowPath    `json:"found,omitzero"` // with a glob
	Acts        []Publication `json:"acts,omitzero"`  // with --publications
	Document    string        `json:"document,omitempty"`
	Rival       string        `json:"rival,omitempty"` // another document of the same serial, which is not followed
	Problems    []string      `json:"problems,omitempty"`
}

// Writer is a key that may publish to a namespace.
type Writer struct {
	Name  string     `json:"name"`
	Key   string     `json:"key"`
	Until *time.Time `json:"until,omitempty"`

	Closed       bool       `json:"closed,omitempty"` // revoked
	Publications int        `json:"publications,omitempty"`
	Last         *time.Time `json:"last,omitempty"`
}

// Revoked is something that a document takes back.
type Revoked struct {
	Kind   string `json:"kind"` // writer, publication, path
	What   string `json:"what"`
	Reason string `json:"reason"`
}

// ShowPath is one published path.
type ShowPath struct {
	Path        string `json:"path"`
	NarSize     uint64 `json:"nar_size"`
	Signer      string `json:"signer"`
	Publication string `json:"publication"`
	Held        bool   `json:"held"` // whole on this disk
}

// Publication is one act of publishing.
type Publication struct {
	ID       string    `json:"id"`
	Signer   string    `json:"signer"`
	Time     time.Time `json:"time"`
	Expires  time.Time `json:"expires"`
	Roots    []string  `json:"roots"`
	Entries  int       `json:"entries"`
	Standing string    `json:"standing"`
}

// PrintText writes what is known of the namespace, for who looks.
func (s Show) PrintText(w io.Writer, now time.Time) {
	fmt.Fprintf(w, "%s   %s\n", s.Alias, s.Address)
	if s.About != "" {
		fmt.Fprintf(w, "  %q\n", s.About)
	}
	trust := "not in use here"
	if s.Trusted {
		trust = "in use: this machine's Nix accepts what it signs"
		if s.Threshold > 1 {
			trust = fmt.Sprintf("in use: this machine's Nix accepts what %d of its builders agree on", s.Threshold)
		}
		if len(s.Only) > 0 {
			trust += " and calls " + strings.Join(s.Only, ", ")
		}
	}
	if s.Publisher {
		trust += "; you publish here"
	}
	fmt.Fprintf(w, "  %s\n", trust)
	if s.Serial == 0 {
		fmt.Fprintf(w, "  no document yet: nobody who holds it was found\n")
	} else {
		fmt.Fprintf(w, "  %s in %s, %s of NARs; document serial %d%s\n", count(s.Paths, "path", "paths"),
			count(s.Publications, "publication", "publications"), size(s.NarBytes), s.Serial, s.valid(now))
	}
	held := peersWords(s.Serving)
	if len(s.Serving) > 0 {
		held = "peers that hold it: " + held
	}
	if !s.Publisher || s.Synced != nil {
		held = "synced " + ago(s.Synced, now) + "; " + held
	}
	fmt.Fprintf(w, "  %s\n", held)
	for _, p := range s.Problems {
		fmt.Fprintf(w, "  ! %s\n", p)
	}
	s.printWriters(w)
	for _, r := range s.Revoked {
		fmt.Fprintf(w, "  %s %s: %s\n", r.Kind, r.What, r.Reason)
	}
	s.printActs(w, now)
	s.printFound(w)
}

func (s Show) valid(now time.Time) string {
	switch {
	case s.Expires == nil:
		return ""
	case s.Expires.Before(now):
		return ", expired " + s.Expires.Format(time.DateOnly)
	}
	return ", valid until " + s.Expires.Format(time.DateOnly)
}

func (s Show) printWriters(w io.Writer) {
	if len(s.Writers) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WRITER\tKEY\tEXPIRES")
	for _, x := range s.Writers {
		until := "-"
		if x.Until != nil {
			until = x.Until.Format(time.DateOnly)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", x.Name, x.Key, until)
	}
	t.Flush()
}

func (s Show) printActs(w io.Writer, now time.Time) {
	if s.Acts == nil {
		return
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PUBLICATION\tSIGNER\tTIME\tEXPIRES\tPATHS\tROOTS\tSTATE")
	for _, p := range s.Acts {
		fmt.Fprintf(t, "%.8s\t%s\t%s\t%s\t%d\t%s\t%s\n", p.ID, p.Signer, p.Time.In(now.Location()).Format(time.DateTime),
			p.Expires.Format(time.DateOnly), p.Entries, firstOf(p.Roots), p.Standing)
	}
	t.Flush()
}

// firstOf is the name of the first root, and how many more there are.
func firstOf(roots []string) string {
	if len(roots) == 0 {
		return "-"
	}
	name := baseName(roots[0])
	if len(roots) > 1 {
		name += fmt.Sprintf(" +%d", len(roots)-1)
	}
	return name
}

func (s Show) printFound(w io.Writer) {
	if s.Found == nil {
		return
	}
	fmt.Fprintln(w)
	if len(s.Found) == 0 {
		fmt.Fprintln(w, "no path of that name")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PATH\tNAR\tSIGNER\tPUBLICATION\tHERE")
	for _, p := range s.Found {
		here := "no"
		if p.Held {
			here = "yes"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.8s\t%s\n", p.Path, size(p.NarSize), p.Signer, p.Publication, here)
	}
	t.Flush()
}

// PrintCard writes what a publisher pastes into a README.
func (s Show) PrintCard(w io.Writer) {
	fmt.Fprintf(w, "flurry use %s", s.Address)
	at := reachable(s.Listen)
	if len(s.Seeds) > 0 {
		at = s.Seeds[0] // the owner said so
	}
	if at != "" {
		fmt.Fprintf(w, " --peer %s", at)
	}
	fmt.Fprintln(w)
}

// reachable is the address among addrs, multiaddrs, that most others can reach: of the internet before the LAN, TCP before
// UDP, and never this machine's alone.
func reachable(addrs []string) string {
	best, rank := "", 0
	for _, a := range addrs {
		if r := reach(a); r > rank {
			best, rank = a, r
		}
	}
	return best
}

func reach(addr string) int {
	parts := strings.Split(addr, "/")
	if len(parts) < 4 || strings.Contains(addr, "/p2p-circuit") {
		return 0
	}
	rank := 4
	if ip, err := netip.ParseAddr(parts[2]); err == nil {
		switch {
		case ip.IsLoopback(), ip.IsUnspecified(), ip.IsLinkLocalUnicast():
			return 0
		case ip.IsPrivate():
			rank = 1
		default:
			rank = 3
		}
	}
	if parts[3] == "tcp" {
		rank++
	}
	return rank
}
