package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// PrintText writes the status as five labelled lines, a table, and what is wrong.
func (s Status) PrintText(w io.Writer, now time.Time) {
	head := fmt.Sprintf("flurry %s, up %s", s.Version, span(time.Duration(s.Node.Uptime*float64(time.Second))))
	fmt.Fprintf(w, "%-60s %s\n", head, s.Gateway.URL)
	if s.Gateway.Connected {
		fmt.Fprintf(w, "nix      last asked %s; %s questions, %s given, %s not here; median %s, worst %s\n", ago(s.Gateway.LastAsked, now),
			grouped(s.Gateway.Asked), grouped(s.Gateway.Given), grouped(s.Gateway.NotHere), millis(s.Gateway.Median), millis(s.Gateway.Max))
	} else {
		fmt.Fprintf(w, "nix      has not asked yet\n")
	}
	fmt.Fprintf(w, "saved    %s of NARs for %s received (%s of it from the LAN)\n", size(s.Traffic.NarBytes), size(s.Traffic.Received), size(s.Traffic.ReceivedLAN))
	fmt.Fprintf(w, "sharing  %s: %s sent, %s of it to the internet\n", sharingWords(s.Sharing), size(s.Traffic.Sent), size(s.Traffic.SentWAN))
	if s.Network.Online {
		fmt.Fprintf(w, "network  %s (%d on the LAN); DHT %s\n", count(s.Network.Peers, "peer", "peers"), s.Network.LAN, orDash(s.Network.DHT))
	} else {
		fmt.Fprintf(w, "network  silent: nothing goes on the wire before the first use, publish or --peer\n")
	}
	fmt.Fprintf(w, "store    %s; disk has %s free\n", held(s.Store), size(s.Store.DiskFree))
	s.printNamespaces(w, now)
	s.printPeers(w, now)
	for _, p := range s.Problems {
		fmt.Fprintln(w)
		p.PrintWarning(w)
	}
}

func held(s Store) string {
	if s.Quota == 0 {
		return size(s.Bytes) + ", no quota"
	}
	return size(s.Bytes) + " of " + size(s.Quota)
}

func sharingWords(s Sharing) string {
	if s.Paused != "" {
		return "off, " + s.Paused
	}
	switch s.Mode {
	case "all":
		return "with all"
	case "none":
		return "with nobody"
	}
	return "LAN only"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (s Status) printNamespaces(w io.Writer, now time.Time) {
	if len(s.Namespaces) == 0 {
		fmt.Fprintf(w, "\nno namespace yet. next: flurry use NAMESPACE        or: flurry new NAME\n")
		return
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAMESPACE\tTRUST\tHOLD\tPATHS\tSYNCED\tPEERS\tNOTE")
	for _, n := range s.Namespaces {
		trust, note := "no", n.Note
		if n.Trusted {
			trust = "yes"
		}
		if len(n.Problems) > 0 {
			note = "! " + strings.Join(n.Problems, "; ")
		}
		synced := ago(n.Synced, now)
		if n.Synced == nil && n.Hold == "all" {
			synced = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", n.Alias, trust, n.Hold, grouped(n.Paths), synced, n.Serving, note)
	}
	t.Flush()
}

func (s Status) printPeers(w io.Writer, now time.Time) {
	if len(s.Peers) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PEER\tWHERE\tNAMESPACES\tIN\tOUT\tSPEED\tSTATE")
	for _, p := range s.Peers {
		where, speed, state := "internet", "-", p.State
		if p.LAN {
			where = "LAN"
		}
		if p.Speed > 0 {
			speed = size(p.Speed) + "/s"
		}
		if p.Until != nil {
			where, state = "-", fmt.Sprintf("banned %s: %s", span(p.Until.Sub(now)), p.Why)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", shortID(p.Peer), where, orDash(strings.Join(p.Namespaces, " ")), size(p.Received), size(p.Sent), speed, state)
	}
	t.Flush()
}

// PrintText writes the verdict, then who was looked at and what each said, then what to try.
func (y Why) PrintText(w io.Writer, now time.Time) {
	fmt.Fprintln(w, y.Path)
	fmt.Fprintf(w, "%s %s\n\n", y.Verdict.words(), y.Reason)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range y.Steps {
		fmt.Fprintf(t, "  %s\t%s\n", s.Asked, s.Answer)
	}
	if y.Nix != nil {
		answer := fmt.Sprintf("asked %s and was told %q in %s", y.Nix.Asked.Local().Format(time.TimeOnly), y.Nix.Answer, millis(y.Nix.Took))
		if y.Nix.RememberedUntil != nil {
			answer += "; it may remember that until " + y.Nix.RememberedUntil.Local().Format(time.TimeOnly)
		}
		fmt.Fprintf(t, "  Nix\t%s\n", answer)
	}
	if p := y.Published; p != nil {
		fmt.Fprintf(t, "  to fetch\t%s of %s\n", size(p.ToFetch), size(p.NarSize))
		fmt.Fprintf(t, "  peers\t%s\n", peersWords(p.Providers))
	}
	t.Flush()
	for _, m := range y.Missing {
		fmt.Fprintf(w, "  missing: %s\n", m)
	}
	(&Problem{Try: y.Try}).rest(w)
}

func peersWords(ids []string) string {
	if len(ids) == 0 {
		return "nobody who holds it is connected"
	}
	short := make([]string, len(ids))
	for i, id := range ids {
		short[i] = shortID(id)
	}
	return strings.Join(short, ", ")
}

// words is the verdict as it is shouted.
func (v Verdict) words() string {
	switch v {
	case Here:
		return "HERE:"
	case Available:
		return "AVAILABLE"
	case RememberedNo:
		return "AVAILABLE, BUT NIX WILL NOT ASK YET:"
	case NotAsked:
		return "AVAILABLE, BUT NIX NEVER ASKED this gateway:"
	case Unknown, Incomplete:
		return "NOT AVAILABLE:"
	case NoProvider:
		return "NOT AVAILABLE NOW:"
	}
	return "NOT GIVEN:"
}

// PrintText writes the namespace's card for who looks.
func (s Show) PrintText(w io.Writer, now time.Time) {
	fmt.Fprintf(w, "%s   %s\n", s.Alias, s.Address)
	if s.About != "" {
		fmt.Fprintf(w, "  %q\n", s.About)
	}
	trust := "not in use here"
	if s.Trusted {
		trust = "in use: this machine's Nix accepts what it signs"
	}
	if s.Publisher {
		trust += "; you publish here"
	}
	fmt.Fprintf(w, "  %s\n", trust)
	if s.Serial == 0 {
		fmt.Fprintf(w, "  no document yet: nobody who holds it was found\n")
	} else {
		fmt.Fprintf(w, "  %s in %s, %s of NARs; document serial %d, valid until %s\n", count(s.Paths, "path", "paths"),
			count(s.Publications, "publication", "publications"), size(s.NarBytes), s.Serial, s.Expires.Format(time.DateOnly))
	}
	fmt.Fprintf(w, "  synced %s; peers that hold it: %s\n", ago(s.Synced, now), peersWords(s.Serving))
	s.printWriters(w)
	s.printActs(w)
	s.printFound(w)
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

func (s Show) printActs(w io.Writer) {
	if s.Acts == nil {
		return
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PUBLICATION\tSIGNER\tTIME\tEXPIRES\tPATHS\tROOTS\tSTATE")
	for _, p := range s.Acts {
		fmt.Fprintf(t, "%.8s\t%s\t%s\t%s\t%d\t%s\t%s\n", p.ID, p.Signer, p.Time.Format(time.DateTime), p.Expires.Format(time.DateOnly), p.Entries, firstOf(p.Roots), p.Standing)
	}
	t.Flush()
}

// firstOf is the name of the first root, and how many more there are.
func firstOf(roots []string) string {
	if len(roots) == 0 {
		return "-"
	}
	name := roots[0][strings.LastIndexByte(roots[0], '/')+1:]
	if _, rest, ok := strings.Cut(name, "-"); ok {
		name = rest
	}
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
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range s.Found {
		here := ""
		if p.Held {
			here = "here"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", p.Path, size(p.NarSize), p.Signer, here)
	}
	t.Flush()
}

// PrintCard writes what a publisher pastes into a README.
func (s Show) PrintCard(w io.Writer) {
	fmt.Fprintf(w, "flurry use %s", s.Address)
	if len(s.Listen) > 0 {
		fmt.Fprintf(w, " --peer %s", s.Listen[0])
	}
	fmt.Fprintln(w)
}

// PrintText writes what using it brought.
func (u Use) PrintText(w io.Writer) {
	fmt.Fprintf(w, "%s is in use: this machine's Nix now accepts what it signs.\n", u.Alias)
	if len(u.Serving) == 0 {
		return
	}
	fmt.Fprintf(w, "  found %s (%d on the LAN)\n", count(len(u.Serving), "peer", "peers"), u.LAN)
	about := ""
	if u.About != "" {
		about = fmt.Sprintf("%q, ", u.About)
	}
	state := "catalog synced"
	if !u.Synced {
		state = "catalog still syncing"
	}
	fmt.Fprintf(w, "  %s%s, %s, %s\n", about, count(u.Writers, "writer", "writers"), count(u.Paths, "path", "paths"), state)
	for _, name := range u.Elsewhere {
		fmt.Fprintf(w, "  it leaves out what %s has\n", name)
	}
}

// PrintText writes that it was left.
func (l Leave) PrintText(w io.Writer) {
	fmt.Fprintf(w, "%s is not in use any more.\n", l.Alias)
	if l.Purged {
		fmt.Fprintln(w, "  what was known of it is forgotten")
	}
}

// PrintText writes the new namespace's address and what comes next.
func (n New) PrintText(w io.Writer) {
	fmt.Fprintf(w, "%s is a namespace now.\n  address   %s\n  root key  %s. Keep a copy somewhere else.\n", n.Alias, n.Address, n.KeyFile)
	fmt.Fprintf(w, "  document  serial %d, valid until %s\nnext: flurry publish %s PATH        flurry show %s --card\n", n.Serial, n.Expires.Format(time.DateOnly), n.Alias, n.Alias)
}

// PrintText writes what was published, or in a dry run would be.
func (p Publish) PrintText(w io.Writer) {
	fmt.Fprintf(w, "%s: %s, closure of %s\n", p.Namespace, count(p.Roots, "root", "roots"), count(p.Closure, "path", "paths"))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  take\t%s\t%s of NARs, %s of new chunks\n", count(p.Paths, "path", "paths"), size(p.NarBytes), size(p.NewBytes))
	if p.Already > 0 {
		fmt.Fprintf(t, "  have\t%s\tpublished before\n", count(p.Already, "path", "paths"))
	}
	if p.Upstream > 0 {
		fmt.Fprintf(t, "  upstream\t%s\tsigned by %s; --full takes them too\n", count(p.Upstream, "path", "paths"), strings.Join(p.UpstreamKeys, ", "))
	}
	if p.LeftOut > 0 {
		fmt.Fprintf(t, "  left out\t%s\tas asked; the holes are recorded\n", count(p.LeftOut, "path", "paths"))
	}
	for _, l := range append(p.Excluded[:len(p.Excluded):len(p.Excluded)], p.Blocked...) {
		fmt.Fprintf(t, "  excluded\t%s\t%s\n", l.Path, l.Why)
	}
	t.Flush()
	switch {
	case p.DryRun:
		fmt.Fprintln(w, "nothing was published (--dry-run)")
	case len(p.Publications) == 0:
		fmt.Fprintln(w, "nothing new: all of it is published already")
	default:
		ids := make([]string, len(p.Publications))
		for i, id := range p.Publications {
			ids[i] = id.Short()
		}
		fmt.Fprintf(w, "published: %s\n", strings.Join(ids, " "))
	}
}

// PrintText writes what the check found.
func (c Check) PrintText(w io.Writer) {
	fmt.Fprintf(w, "%s and %s, %s, read and compared with their names\n", count(c.Chunks, "chunk", "chunks"), count(c.Others, "text or body", "texts and bodies"), size(c.Bytes))
	if c.Rebuilt {
		fmt.Fprintln(w, "the index was made anew from the packs")
	}
	for _, d := range c.Damaged {
		fmt.Fprintf(w, "  damaged, out of use: %s\n", d)
	}
	if c.Repaired > 0 {
		fmt.Fprintf(w, "  %d fetched again from peers\n", c.Repaired)
	}
	if len(c.Damaged) == 0 {
		fmt.Fprintln(w, "nothing is wrong")
	}
}

// PrintText writes what lies on the disk.
func (s Store) PrintText(w io.Writer) {
	fmt.Fprintf(w, "%s in %s: %s; disk has %s free, of which %s stay free\n", held(s), count(s.Packs, "pack", "packs"), count(s.Chunks, "chunk", "chunks"), size(s.DiskFree), size(s.Reserve))
}
