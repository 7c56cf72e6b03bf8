package report

import "time"

// Show is what is known of one namespace.
type Show struct {
	Schema       string        `json:"schema"` // flurry/show/1
	Alias        string        `json:"alias"`
	Address      string        `json:"address"`
	About        string        `json:"about,omitempty"`
	Trusted      bool          `json:"trusted"`
	Publisher    bool          `json:"publisher"` // a key that may publish to it is on this machine
	Serial       uint64        `json:"serial"`    // 0: no document is known yet
	Expires      *time.Time    `json:"expires,omitempty"`
	Synced       *time.Time    `json:"synced,omitempty"`
	Paths        int           `json:"paths"`
	Publications int           `json:"publications"`
	NarBytes     uint64        `json:"nar_bytes"`
	Writers      []Writer      `json:"writers,omitempty"`
	Serving      []string      `json:"serving"` // peers that answer for it now
	Listen       []string      `json:"listen,omitempty"`
	Found        []ShowPath    `json:"found,omitempty"` // with a glob
	Acts         []Publication `json:"acts,omitempty"`  // with --publications
	Document     string        `json:"document,omitempty"`
}

// Writer is a key that may publish to a namespace.
type Writer struct {
	Name  string     `json:"name"`
	Key   string     `json:"key"`
	Until *time.Time `json:"until,omitempty"`
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
