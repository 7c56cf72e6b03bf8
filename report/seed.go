package report

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Seeds is the table of `flurry seed`: the namespaces that this node mirrors for others.
type Seeds struct {
	Schema string `json:"schema"` // flurry/seed/1
	Seeds  []Seed `json:"seeds"`
}

// Seed is one namespace that is mirrored. Sizes are bytes of chunks before compression, each chunk once.
type Seed struct {
	Alias        string     `json:"alias"`
	Key          string     `json:"key"`
	Quota        uint64     `json:"quota"`
	Used         uint64     `json:"used"`    // all of it that is here
	Live         uint64     `json:"live"`    // what may not go
	Pinned       uint64     `json:"pinned"`  // of that, what a pin keeps
	Promise      float64    `json:"promise"` // seconds; 0: best effort
	Synced       *time.Time `json:"synced"`
	DemandDay    uint64     `json:"demand_day"` // bytes sent in the last 24 hours
	Copies       int        `json:"copies"`     // other seeds that have all of it, of those that are connected
	OnlyCopy     uint64     `json:"only_copy"`  // bytes of NARs that no other connected seed has
	Paths        int        `json:"paths"`
	Publications int        `json:"publications"`
	Pending      int        `json:"pending"` // publications that are not here whole yet
	Refused      []string   `json:"refused"` // publications that are not taken, and why
	Until        *time.Time `json:"until,omitempty"`
	StopAfter    int        `json:"stop_after,omitempty"` // it ends when others have so many copies of all of it
	Problems     []string   `json:"problems"`
}

// PrintText writes the table.
func (s Seeds) PrintText(w io.Writer, now time.Time) {
	if len(s.Seeds) == 0 {
		fmt.Fprintln(w, "this node mirrors no namespace. next: flurry seed NAMESPACE --quota 100GiB")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAMESPACE\tQUOTA\tUSED\tLIVE\tPINNED\tPROMISE\tCATALOG\tDEMAND/DAY\tCOPIES (other seeds)")
	for _, r := range s.Seeds {
		promise := "best effort"
		if r.Promise > 0 {
			promise = span(time.Duration(r.Promise * float64(time.Second)))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s out\t%d%s\n", r.Alias, size(r.Quota), size(r.Used), size(r.Live), size(r.Pinned), promise,
			ago(r.Synced, now), size(r.DemandDay), r.Copies, r.note(now))
	}
	t.Flush()
	for _, r := range s.Seeds {
		for _, why := range r.Refused {
			fmt.Fprintf(w, "  %s: %s\n", r.Alias, why)
		}
		for _, p := range r.Problems {
			fmt.Fprintf(w, "  ! %s: %s\n", r.Alias, p)
		}
	}
}

func (s Seed) note(now time.Time) string {
	switch {
	case s.Until != nil:
		return "  <- stopped; given to others until " + s.Until.Format(time.DateOnly)
	case s.StopAfter > 0:
		return fmt.Sprintf("  <- ends when others have %s; only copy of %s", count(s.StopAfter, "copy", "copies"), size(s.OnlyCopy))
	case s.Pending > 0:
		return "  <- " + count(s.Pending, "publication", "publications") + " to fetch"
	case s.OnlyCopy > 0:
		return "  <- only copy of " + size(s.OnlyCopy)
	}
	return ""
}

// Seeded is the outcome of `flurry seed NAMESPACE`.
type Seeded struct {
	Schema   string    `json:"schema"` // flurry/seed/1
	Event    string    `json:"event"`  // done
	Alias    string    `json:"alias"`
	Key      string    `json:"key"`
	Quota    uint64    `json:"quota"`
	Promise  float64   `json:"promise"`
	Paths    int       `json:"paths"`
	NarBytes uint64    `json:"nar_bytes"`
	Pending  int       `json:"pending"`
	Trusted  bool      `json:"trusted"`
	Refused  []string  `json:"refused"`
	Warnings []Problem `json:"warnings"`
}

// PrintText writes what is hosted now.
func (s Seeded) PrintText(w io.Writer) {
	fmt.Fprintf(w, "hosting %s, up to %s.", s.Alias, size(s.Quota))
	if !s.Trusted {
		fmt.Fprintf(w, " This machine's own Nix does not trust it (that would be: flurry use).")
	}
	fmt.Fprintf(w, "\n  %s, %s of NARs\n", count(s.Paths, "path", "paths"), size(s.NarBytes))
	for _, why := range s.Refused {
		fmt.Fprintf(w, "  not taken: %s\n", why)
	}
	switch {
	case s.Pending > 0:
		fmt.Fprintf(w, "%s still to fetch; it goes on in the background\n", count(s.Pending, "publication", "publications"))
	case len(s.Warnings) == 0:
		fmt.Fprintf(w, "done. Announced: peers find this seed under %s.\n", s.Alias)
	}
	for _, p := range s.Warnings {
		p.PrintWarning(w)
	}
}

// SeedProgress says how far mirroring is. In JSON it has "event":"progress".
type SeedProgress struct {
	Publications int    `json:"publications"` // to fetch
	Have         uint64 `json:"have"`         // bytes that were lacking and are here
	Of           uint64 `json:"of"`
}

// MarshalJSON puts schema and event before the fields.
func (p SeedProgress) MarshalJSON() ([]byte, error) {
	type fields SeedProgress
	return json.Marshal(struct {
		event
		fields
	}{event{"flurry/seed/1", "progress"}, fields(p)})
}

// SeedStop is the outcome of `flurry seed NAMESPACE --stop`.
type SeedStop struct {
	Schema   string     `json:"schema"` // flurry/seed/1
	Alias    string     `json:"alias"`
	Until    *time.Time `json:"until"`                  // others are given it until then; null: no longer
	OnlyCopy uint64     `json:"only_copy"`              // bytes of NARs that no other connected seed has
	After    int        `json:"after_copies,omitempty"` // it goes on until others have so many copies
}

// PrintText writes what happens now.
func (s SeedStop) PrintText(w io.Writer) {
	if s.After > 0 {
		fmt.Fprintf(w, "%s is mirrored until others have %s of all of it; %s lack that. It ends by itself, also after a restart.\n  how far it is: flurry seed        to go on after all: flurry seed %s\n",
			s.Alias, count(s.After, "copy", "copies"), size(s.OnlyCopy), s.Alias)
		return
	}
	fmt.Fprintf(w, "%s is mirrored no more: nothing new is fetched, and it is no longer announced.\n", s.Alias)
	if s.Until != nil {
		fmt.Fprintf(w, "  what is here is given to others until %s, as was promised\n", s.Until.Format(time.DateOnly))
	}
	if s.OnlyCopy > 0 {
		fmt.Fprintf(w, "  %s of it have no other copy that is connected. Better: flurry seed %s, then --stop --after-copies 1\n", size(s.OnlyCopy), s.Alias)
	}
}
