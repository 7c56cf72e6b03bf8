package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Status is how this node is: what `flurry status` shows.
type Status struct {
	Schema     string      `json:"schema"` // flurry/status/1
	Version    string      `json:"version"`
	Node       NodeState   `json:"node"`
	Gateway    Gateway     `json:"gateway"`
	Traffic    Traffic     `json:"traffic"`
	Sharing    Sharing     `json:"sharing"`
	Network    Network     `json:"network"`
	Store      Store       `json:"store"`
	Queue      *Queue      `json:"queue,omitempty"` // what is published by itself
	Namespaces []Namespace `json:"namespaces"`
	Peers      []Peer      `json:"peers,omitempty"`
	Problems   []Problem   `json:"problems"`
}

// NodeState says whether the node runs, and as whom.
type NodeState struct {
	State  string  `json:"state"`  // running
	Uptime float64 `json:"uptime"` // seconds
	Peer   string  `json:"peer"`   // its peer id; empty before anything went on the wire

	Standby bool   `json:"standby"`         // somebody answers while the node is down
	Files   uint64 `json:"files,omitempty"` // how many it may have open
}

// Gateway is what Nix talks to.
type Gateway struct {
	URL       string     `json:"url"`
	Signer    string     `json:"signer,omitempty"` // the public key that its narinfos carry
	Connected bool       `json:"nix_connected"`
	Named     bool       `json:"nix_conf_names_it"` // has it not asked yet: whether nix.conf has its URL and trusts its key
	LastAsked *time.Time `json:"last_asked"`
	Questions `json:"since_start"`
}

// Questions are what Nix asked in some time.
type Questions struct {
	Asked   uint64  `json:"asked"`
	Given   uint64  `json:"given"`
	NotHere uint64  `json:"not_here"`
	Late    uint64  `json:"late"` // answers that the budget cut off
	Median  float64 `json:"p50"`  // seconds, of the answers remembered
	Max     float64 `json:"max"`
}

// Traffic is what was moved.
type Traffic struct {
	Moved `json:"since_start"`
}

// Moved is what was moved in some time, in bytes.
type Moved struct {
	NarBytes    uint64 `json:"nar_bytes"` // of NARs given to Nix
	Received    uint64 `json:"received"`  // payload from peers
	ReceivedLAN uint64 `json:"received_lan"`
	// ReceivedOrigins came from HTTP caches, compressed as they send it. It is not in Received.
	ReceivedOrigins uint64 `json:"received_origins"`
	Sent            uint64 `json:"sent"`
	SentWAN         uint64 `json:"sent_wan"`
}

// Came is what came from anybody, in bytes.
func (m Moved) Came() uint64 { return m.Received + m.ReceivedOrigins }

// Whence says where it came from.
func (m Moved) Whence() string {
	said := size(m.ReceivedLAN) + " of it from the LAN"
	if m.ReceivedOrigins > 0 {
		said += ", " + size(m.ReceivedOrigins) + " from other caches"
	}
	return said
}

// Sharing says who is given what is merely used here.
type Sharing struct {
	Mode   string `json:"mode"`             // none, lan or all
	Paused string `json:"paused,omitempty"` // why nothing is given at the moment
}

// Network is the node's standing among others.
type Network struct {
	Online    bool     `json:"online"` // false before the first use, publish or --peer
	Peers     int      `json:"peers"`
	LAN       int      `json:"lan"`
	Addresses []string `json:"addresses,omitempty"`
	DHT       string   `json:"dht,omitempty"`
	Announced int      `json:"announced"`          // keys kept in the DHT
	Untold    int      `json:"untold,omitempty"`   // those among them that no node was told of yet
	Replicas  int      `json:"replicas,omitempty"` // nodes that are told of each key
	Interval  float64  `json:"interval,omitempty"` // seconds after which they are told again
	Rate      int      `json:"rate,omitempty"`     // records a second at most
	Records   uint64   `json:"records,omitempty"`  // told since the start
}

// Store is what lies on the disk.
type Store struct {
	Bytes    int64 `json:"bytes"`
	Quota    int64 `json:"quota"` // 0: none
	Chunks   int64 `json:"chunks"`
	Packs    int   `json:"packs"`
	DiskFree int64 `json:"disk_free"`
	Reserve  int64 `json:"reserve"`

	InPlacePaths int    `json:"in_place_paths"` // paths that are read from /nix/store, and lie nowhere else
	InPlace      uint64 `json:"in_place"`       // bytes of their NARs
	Aside        int64  `json:"aside"`          // bytes of NARs that came from origins and are not in the store yet
}

// Namespace is one line of the table of namespaces.
type Namespace struct {
	Alias        string     `json:"alias"`
	Key          string     `json:"key"`
	Trusted      bool       `json:"trusted"`             // this machine's Nix may be given it
	Only         []string   `json:"only,omitempty"`      // paths of these names alone
	Threshold    int        `json:"threshold,omitempty"` // how many builders have to agree on a path; 0: one is enough
	Hold         string     `json:"hold"`                // used, all
	Share        string     `json:"share"`
	Paths        int        `json:"paths"`
	Publications int        `json:"publications"`
	Synced       *time.Time `json:"synced,omitempty"`
	Serial       uint64     `json:"serial"`
	Expires      *time.Time `json:"expires,omitempty"`
	Serving      int        `json:"serving"`           // connected peers that answer for it
	Publish      string     `json:"publish,omitempty"` // hook, always: what is published without being named
	Queued       int        `json:"queued"`            // paths that wait to be published
	Problems     []string   `json:"problems"`
	Note         string     `json:"note,omitempty"`
}

// Peer is one line of `flurry status --peers`.
type Peer struct {
	Peer       string     `json:"peer"`
	LAN        bool       `json:"lan"`
	Namespaces []string   `json:"namespaces"`
	Received   uint64     `json:"in"`
	Sent       uint64     `json:"out"`
	Speed      float64    `json:"speed"` // bytes a second of raw chunks; 0: not measured
	State      string     `json:"state"` // direct, banned
	Until      *time.Time `json:"until,omitempty"`
	Why        string     `json:"why,omitempty"`
}

// PrintText writes the status as labelled lines, a table, and what is wrong.
func (s Status) PrintText(w io.Writer, now time.Time) {
	head := fmt.Sprintf("flurry %s, up %s", s.Version, span(time.Duration(s.Node.Uptime*float64(time.Second))))
	fmt.Fprintf(w, "%-60s %s\n", head, s.Gateway.URL)
	s.printNix(w, now)
	fmt.Fprintf(w, "saved    %s of NARs for %s received (%s)\n", size(s.Traffic.NarBytes), size(s.Traffic.Came()), s.Traffic.Whence())
	fmt.Fprintf(w, "sharing  %s: %s sent, %s of it to the internet\n", s.Sharing.words(), size(s.Traffic.Sent), size(s.Traffic.SentWAN))
	fmt.Fprintf(w, "network  %s\n", s.Network.words())
	fmt.Fprintf(w, "store    %s%s; disk has %s free\n", s.Store.held(), s.Store.beside(), size(s.Store.DiskFree))
	s.Queue.print(w, now)
	s.printNamespaces(w, now)
	s.printPeers(w, now)
	for _, p := range s.Problems {
		fmt.Fprintln(w)
		p.PrintWarning(w)
	}
}

func (s Status) printNix(w io.Writer, now time.Time) {
	g := s.Gateway
	if g.Connected {
		fmt.Fprintf(w, "nix      last asked %s; since the start %s, %s given, %s not here; median %s, worst %s\n", ago(g.LastAsked, now),
			count(g.Asked, "question", "questions"), grouped(g.Given), grouped(g.NotHere), millis(g.Median), millis(g.Max))
		return
	}
	if g.Named {
		fmt.Fprintln(w, "nix      has not asked yet; its nix.conf names this gateway, and trusts its key")
		return
	}
	fmt.Fprintf(w, "nix      has not asked yet. To connect it, in nix.conf:\n           extra-substituters = %s\n", g.URL)
	if g.Signer != "" {
		fmt.Fprintf(w, "           extra-trusted-public-keys = %s\n", g.Signer)
	}
}

func (s Sharing) words() string {
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

func (n Network) words() string {
	if !n.Online {
		return "silent: nothing goes on the wire before the first use, publish or --peer"
	}
	return fmt.Sprintf("%s (%d on the LAN); DHT %s", count(n.Peers, "peer", "peers"), n.LAN, n.DHTWords())
}

// DHTWords says whether the DHT is used, and what it is told.
func (n Network) DHTWords() string {
	keys := count(n.Announced, "key", "keys")
	switch {
	case n.Announced > 0 && n.Untold == n.Announced:
		return fmt.Sprintf("%s, %s to announce, none told yet", orOff(n.DHT), keys)
	case n.Untold > 0:
		keys = grouped(n.Announced-n.Untold) + " of " + keys
	}
	if n.Announced > 0 && n.Replicas > 0 {
		return fmt.Sprintf("%s, %s announced to %d nodes each, every %s, %d records/s at most", orOff(n.DHT), keys, n.Replicas, span(time.Duration(n.Interval*float64(time.Second))), n.Rate)
	}
	return fmt.Sprintf("%s, %s announced", orOff(n.DHT), keys)
}

func orOff(s string) string {
	if s == "" {
		return "off"
	}
	return s
}

// held is how much lies there, and how much may.
func (s Store) held() string {
	if s.Quota == 0 {
		return size(s.Bytes) + ", no quota"
	}
	return size(s.Bytes) + " of " + size(s.Quota)
}

// beside is what is read from /nix/store.
func (s Store) beside() string {
	if s.InPlacePaths == 0 {
		return ""
	}
	return ", plus " + size(s.InPlace) + " in place in /nix/store"
}

// PrintText writes what lies on the disk.
func (s Store) PrintText(w io.Writer) {
	fmt.Fprintf(w, "%s in %s: %s; disk has %s free, of which %s stay free\n", s.held(), count(s.Packs, "pack", "packs"),
		count(s.Chunks, "chunk", "chunks"), size(s.DiskFree), size(s.Reserve))
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
		synced, paths := ago(n.Synced, now), grouped(n.Paths)
		origin := n.Serial == 0 && strings.Contains(n.Note, "origin ") // an HTTP cache, which nobody can list
		if n.Synced == nil && (n.Hold == "all" || origin) {
			synced = "-"
		}
		if n.Paths == 0 && origin {
			paths = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", n.Alias, trust, n.Hold, paths, synced, n.Serving, note)
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
