package report

import "github.com/flurry-nix/flurry/namespace"

// Publish is the outcome of one act of publishing.
type Publish struct {
	Schema       string         `json:"schema"` // flurry/publish/1
	Event        string         `json:"event"`  // done
	Namespace    string         `json:"namespace"`
	Publications []namespace.ID `json:"publications"`
	DryRun       bool           `json:"dry_run,omitempty"`
	Roots        int            `json:"roots"`
	Closure      int            `json:"closure"`
	Paths        int            `json:"paths"`
	Already      int            `json:"already"`
	Upstream     int            `json:"upstream"`
	UpstreamKeys []string       `json:"upstream_keys,omitempty"`
	LeftOut      int            `json:"left_out"`
	Excluded     []Left         `json:"excluded"`
	Blocked      []Left         `json:"blocked"`
	NarBytes     uint64         `json:"nar_bytes"` // of the paths taken
	NewBytes     uint64         `json:"new_bytes"` // raw bytes of chunks that were not in the store
}

// Left is a path that was not published, and why.
type Left struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

// PublishProgress says how far publishing is.
type PublishProgress struct {
	Paths     int    `json:"paths"`
	PathsDone int    `json:"paths_done"`
	Bytes     uint64 `json:"bytes"`
	BytesDone uint64 `json:"bytes_done"`
	NewBytes  uint64 `json:"new_bytes"`
}
