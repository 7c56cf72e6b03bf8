package report

import "time"

// Use is the outcome of `flurry use`.
type Use struct {
	Schema    string     `json:"schema"` // flurry/use/1
	Alias     string     `json:"alias"`
	Address   string     `json:"address"`
	About     string     `json:"about,omitempty"`
	Serving   []string   `json:"serving"` // peers that hold it and were found in time
	LAN       int        `json:"lan"`     // of them on the LAN
	Writers   int        `json:"writers"`
	Paths     int        `json:"paths"`
	Synced    bool       `json:"synced"`
	Expires   *time.Time `json:"expires,omitempty"`
	Warnings  []Problem  `json:"warnings"`
	Elsewhere []string   `json:"elsewhere,omitempty"` // caches that it leaves paths to
}

// Leave is the outcome of `flurry leave`.
type Leave struct {
	Schema string `json:"schema"` // flurry/leave/1
	Alias  string `json:"alias"`
	Purged bool   `json:"purged"`
}

// New is the outcome of `flurry new`.
type New struct {
	Schema  string    `json:"schema"` // flurry/new/1
	Alias   string    `json:"alias"`
	Address string    `json:"address"`
	KeyFile string    `json:"key_file"`
	Adopted bool      `json:"adopted"` // the key was there before
	Serial  uint64    `json:"serial"`
	Expires time.Time `json:"expires"`
}

// Check is the outcome of `flurry store check`.
type Check struct {
	Schema   string   `json:"schema"` // flurry/check/1
	Chunks   int      `json:"chunks"`
	Others   int      `json:"others"` // bodies and texts
	Bytes    int64    `json:"bytes"`
	Damaged  []string `json:"damaged"`
	Repaired int      `json:"repaired"`
	Rebuilt  bool     `json:"rebuilt,omitempty"` // the index was made anew from the packs
}

// CheckProgress says how far a check is.
type CheckProgress struct {
	Bytes int64 `json:"bytes"`
	Of    int64 `json:"of"`
}

// Health is what a supervisor or a monitor asks.
type Health struct {
	Status  string   `json:"status"` // ok, degraded
	Reasons []string `json:"reasons"`
}
