package report

import "time"

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
	Namespaces []Namespace `json:"namespaces"`
	Peers      []Peer      `json:"peers,omitempty"`
	Problems   []Problem   `json:"problems"`
}

// NodeState says whether the node runs, and as whom.
type NodeState struct {
	State  string  `json:"state"`  // running
	Uptime float64 `json:"uptime"` // seconds
	Peer   string  `json:"peer"`   // its peer id; empty before anything went on the wire
}

// Gateway is what Nix asked since the start.
type Gateway struct {
	URL       string     `json:"url"`
	Signer    string     `json:"signer,omitempty"` // the public key that its narinfos carry
	Connected bool       `json:"nix_connected"`
	LastAsked *time.Time `json:"last_asked,omitempty"`
	Asked     uint64     `json:"asked"`
	Given     uint64     `json:"given"`
	NotHere   uint64     `json:"not_here"`
	Late      uint64     `json:"late"` // answers that the budget cut off
	Median    float64    `json:"p50"`  // seconds, of the answers remembered
	Max       float64    `json:"max"`
}

// Traffic is what was moved since the start, in bytes.
type Traffic struct {
	NarBytes    uint64 `json:"nar_bytes"` // of NARs given to Nix
	Received    uint64 `json:"received"`  // payload from peers
	ReceivedLAN uint64 `json:"received_lan"`
	Sent        uint64 `json:"sent"`
	SentWAN     uint64 `json:"sent_wan"`
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
	Announced int      `json:"announced"` // keys kept in the DHT
}

// Store is what lies on the disk.
type Store struct {
	Bytes    int64 `json:"bytes"`
	Quota    int64 `json:"quota"` // 0: none
	Chunks   int64 `json:"chunks"`
	Packs    int   `json:"packs"`
	DiskFree int64 `json:"disk_free"`
	Reserve  int64 `json:"reserve"`
}

// Namespace is one line of the table of namespaces.
type Namespace struct {
	Alias        string     `json:"alias"`
	Key          string     `json:"key"`
	Trusted      bool       `json:"trusted"` // this machine's Nix may be given it
	Hold         string     `json:"hold"`    // used, all
	Share        string     `json:"share"`
	Paths        int        `json:"paths"`
	Publications int        `json:"publications"`
	Synced       *time.Time `json:"synced,omitempty"`
	Serial       uint64     `json:"serial"`
	Expires      *time.Time `json:"expires,omitempty"`
	Serving      int        `json:"serving"` // connected peers that answer for it
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
