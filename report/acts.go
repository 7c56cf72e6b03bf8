package report

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Use is the outcome of `flurry use`.
type Use struct {
	Schema    string     `json:"schema"` // flurry/use/1
	Alias     string     `json:"alias"`
	Address   string     `json:"address"`
	About     string     `json:"about,omitempty"`
	Serving   []string   `json:"serving"` // peers that hold it and were found in time
	LAN       int        `json:"lan"`     // of them on the LAN
	Writers   int        `json:"writers"` // keys that may publish, the root's included
	Paths     int        `json:"paths"`
	Serial    uint64     `json:"serial"`    // of its document; 0: none is known yet
	Publisher bool       `json:"publisher"` // it is published from here
	Synced    bool       `json:"synced"`
	Expires   *time.Time `json:"expires,omitempty"`
	Warnings  []Problem  `json:"warnings"`
	Elsewhere []string   `json:"elsewhere,omitempty"` // caches that it leaves paths to
	Origin    string     `json:"origin,omitempty"`    // the HTTP cache that it is
	Only      []string   `json:"only,omitempty"`      // paths of these names alone are taken from it
	Threshold int        `json:"threshold,omitempty"` // how many builders have to agree on a path; 0: one is enough
}

// PrintText writes what using it brought.
func (u Use) PrintText(w io.Writer) {
	what, only := "what it signs", ""
	if u.Threshold > 1 {
		what = fmt.Sprintf("what %d of its builders agree on", u.Threshold)
	}
	if len(u.Only) > 0 {
		only = " and calls " + strings.Join(u.Only, ", ")
	}
	fmt.Fprintf(w, "%s is in use: this machine's Nix now accepts %s%s.\n", u.Alias, what, only)
	if len(u.Serving) > 0 {
		fmt.Fprintf(w, "  found %s (%d on the LAN)\n", count(len(u.Serving), "peer", "peers"), u.LAN)
	}
	if u.Origin != "" {
		fmt.Fprintf(w, "  its paths come from %s, and are kept here for the next time\n", u.Origin)
	}
	if u.Serial == 0 {
		return
	}
	about := ""
	if u.About != "" {
		about = fmt.Sprintf("%q, ", u.About)
	}
	state := "as of the last sync"
	switch {
	case u.Publisher:
		state = "published from here"
	case u.Synced:
		state = "catalog synced"
	}
	fmt.Fprintf(w, "  %s%s, %s, %s\n", about, count(u.Writers, "writer", "writers"), count(u.Paths, "path", "paths"), state)
	for _, name := range u.Elsewhere {
		fmt.Fprintf(w, "  it leaves out what %s has\n", name)
	}
}

// Leave is the outcome of `flurry leave`.
type Leave struct {
	Schema    string `json:"schema"` // flurry/leave/1
	Alias     string `json:"alias"`
	Publisher bool   `json:"publisher"`          // it is still published from here
	Mirrored  bool   `json:"mirrored,omitempty"` // it is still mirrored here, or was promised to be given to others
	Purged    bool   `json:"purged"`
}

// PrintText writes that it was left.
func (l Leave) PrintText(w io.Writer) {
	fmt.Fprintf(w, "%s is not in use any more: this machine's Nix accepts nothing new that it signs.\n", l.Alias)
	if l.Publisher {
		fmt.Fprintln(w, "  you still publish it from here")
	}
	if l.Mirrored {
		fmt.Fprintf(w, "  it is still kept here for others; to end that: flurry seed %s --stop\n", l.Alias)
	}
	if l.Purged {
		fmt.Fprintln(w, "  what was known of it is forgotten")
	}
}

// New is the outcome of `flurry new`.
type New struct {
	Schema     string    `json:"schema"` // flurry/new/1
	Alias      string    `json:"alias"`
	Address    string    `json:"address"`
	KeyFile    string    `json:"key_file"`
	WriterFile string    `json:"writer_key_file,omitempty"` // of the key that this machine publishes with, where the root's is elsewhere
	Adopted    bool      `json:"adopted"`                   // the key was there before
	Copy       string    `json:"copy,omitempty"`            // a second copy of it, which is noted
	Serial     uint64    `json:"serial"`
	Expires    time.Time `json:"expires"`
}

// PrintText writes the new namespace's address and what comes next.
func (n New) PrintText(w io.Writer) {
	known, copied := "", ". Keep a copy somewhere else: nobody can make it again."
	if n.Adopted {
		known, copied = "   (the key your users already have in nix.conf)", ", copied. Keep your own copy somewhere else."
	}
	fmt.Fprintf(w, "%s is a namespace now.\n  address   %s%s\n  root key  %s%s\n", n.Alias, n.Address, known, n.KeyFile, copied)
	if n.Copy != "" {
		fmt.Fprintf(w, "  copy      %s: doctor knows that there is one\n", n.Copy)
	}
	if n.WriterFile != "" {
		fmt.Fprintf(w, "  writer    %s: this machine publishes with it\n", n.WriterFile)
	}
	fmt.Fprintf(w, "  document  serial %d, valid until %s\n", n.Serial, n.Expires.Format(time.DateOnly))
	fmt.Fprintf(w, "next: flurry publish %s PATH        flurry show %s --card\n", n.Alias, n.Alias)
}

// Health is what a monitor asks.
type Health struct {
	Status  string   `json:"status"` // ok, degraded; standby: the node is not running
	Reasons []string `json:"reasons"`
}

// Daemon says where a daemon can be reached, once it can be.
type Daemon struct {
	Schema  string   `json:"schema"` // flurry/daemon/1
	Version string   `json:"version"`
	Gateway []string `json:"gateway"` // URLs
	Socket  string   `json:"socket"`
	Signer  string   `json:"signer,omitempty"` // the public key that its narinfos carry
}

// PrintText writes what the person who started it wants to know.
func (d Daemon) PrintText(w io.Writer) {
	for _, url := range d.Gateway {
		fmt.Fprintf(w, "flurry %s: gateway on %s, control socket %s\n", d.Version, url, d.Socket)
	}
	if d.Signer != "" {
		fmt.Fprintf(w, "this machine's key, for trusted-public-keys: %s\n", d.Signer)
	}
}
