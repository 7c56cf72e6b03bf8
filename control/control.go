// Package control is the daemon's local API: HTTP/1.1 and JSON over a unix socket, and the client that the command line
// uses.
//
// It owns the routes, who may ask what, and how errors travel. The answers are report's values, the same as --json
// prints. It does nothing by itself: every question goes to the Daemon, and the client is a Daemon too, so that what
// works over the socket works in the process.
//
// Who asks is told by the kernel (SO_PEERCRED), not by the request: anybody may look, publishers may publish, admins may
// change what this machine's Nix trusts.
//
//	GET  /v1/status?peers=true
//	GET  /v1/why/PATH?closure=true
//	GET  /v1/namespaces/NAMESPACE?glob=…&publications=true&writers=true&document=true&revoked=true
//	GET  /v1/seeds
//	GET  /v1/writers/NAMESPACE, /v1/pins/NAMESPACE
//	GET  /v1/health
//	POST /v1/use, /v1/leave, /v1/new, /v1/stop-seed, /v1/add-writer, /v1/writer-key, /v1/plan-revocation, /v1/revoke,
//	     /v1/retract, /v1/edit, /v1/pin                                a request of this package as JSON
//	POST /v1/automatic, /v1/queue                                                       likewise
//	POST /v1/publish, /v1/copies, /v1/seed, /v1/wait, /v1/check        the same; progress comes before the answer
//
// An answer is one JSON object on a line of its own. Those with progress send objects with "event":"progress" before it.
// An error is {"error":{…}}, a report.Problem, in the place of the answer.
package control

import (
	"context"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/report"
)

// Daemon is what can be asked of a running flurry. Errors that a person can act on are *report.Problem.
type Daemon interface {
	Status(ctx context.Context, r StatusRequest) (report.Status, error)
	Why(ctx context.Context, r WhyRequest) (report.Why, error)
	Show(ctx context.Context, r ShowRequest) (report.Show, error)
	Use(ctx context.Context, r UseRequest) (report.Use, error)
	Leave(ctx context.Context, r LeaveRequest) (report.Leave, error)
	New(ctx context.Context, r NewRequest) (report.New, error)
	// Publish calls progress, from one goroutine at a time, while it works.
	Publish(ctx context.Context, r PublishRequest, progress func(report.PublishProgress)) (report.Publish, error)
	// Automatic changes what is published without being named.
	Automatic(ctx context.Context, r AutomaticRequest) (report.Automatic, error)
	// Queue has paths published later, with others. They are on the disk when it returns.
	Queue(ctx context.Context, r QueueRequest) (report.Queued, error)
	Writers(ctx context.Context, r NamespaceRequest) (report.Writers, error)
	AddWriter(ctx context.Context, r AddWriterRequest) (report.WriterChange, error)
	// WriterKey makes a key here that may become a writer's, and gives its public half.
	WriterKey(ctx context.Context, r WriterKeyRequest) (report.WriterKey, error)
	// PlanRevocation says what Revoke would keep and drop.
	PlanRevocation(ctx context.Context, r PlanRevocationRequest) (report.Revocation, error)
	Revoke(ctx context.Context, r RevokeRequest) (report.WriterChange, error)
	Retract(ctx context.Context, r RetractRequest) (report.Retraction, error)
	Edit(ctx context.Context, r EditRequest) (report.Edited, error)
	Pins(ctx context.Context, r NamespaceRequest) (report.Pins, error)
	Expired(ctx context.Context, r NamespaceRequest) (report.Expired, error)
	Pin(ctx context.Context, r PinRequest) (report.Pinned, error)
	// Copies has publications copied by others. It calls progress as Publish does.
	Copies(ctx context.Context, r CopiesRequest, progress func(report.OfferProgress)) (report.Copies, error)
	// Seeds is what is mirrored here.
	Seeds(ctx context.Context) (report.Seeds, error)
	// Seed mirrors a namespace. It calls progress as Publish does.
	Seed(ctx context.Context, r SeedRequest, progress func(report.SeedProgress)) (report.Seeded, error)
	StopSeed(ctx context.Context, r StopSeedRequest) (report.SeedStop, error)
	// Wait returns when paths can be had. It calls progress as Publish does.
	Wait(ctx context.Context, r WaitRequest, progress func(report.WaitProgress)) (report.Wait, error)
	// Check calls progress as Publish does.
	Check(ctx context.Context, r CheckRequest, progress func(report.CheckProgress)) (report.Check, error)
	// Collect calls progress as Publish does.
	Collect(ctx context.Context, r CollectRequest, progress func(report.CollectProgress)) (report.Collected, error)
	Health(ctx context.Context) (report.Health, error)
}

// StatusRequest asks how the node is.
type StatusRequest struct {
	Peers bool // with a line for each peer
}

// WhyRequest asks why a path can be had, or cannot.
type WhyRequest struct {
	Path    string // a store path, or the 32 characters of its hash
	Closure bool   // and everything it needs
}

// ShowRequest asks what is known of a namespace.
type ShowRequest struct {
	Namespace    string // an alias or a key
	Glob         string
	Publications bool
	Writers      bool
	Document     bool
	Revoked      bool
}

// UseRequest makes this machine's Nix accept a namespace.
type UseRequest struct {
	Namespace string        `json:"namespace"` // a key, perhaps with hints, or an alias known here
	Alias     string        `json:"alias,omitempty"`
	Peers     []string      `json:"peers,omitempty"`
	Origin    string        `json:"origin,omitempty"`    // the URL of the HTTP cache that it is
	Only      []string      `json:"only,omitempty"`      // take paths of these names alone; none: as it is
	Threshold int           `json:"threshold,omitempty"` // take what so many builders agree on; 0: as it is
	Wait      time.Duration `json:"wait,omitempty"`      // how long to look for somebody who holds it; 0: a few seconds
}

// LeaveRequest ends using a namespace.
type LeaveRequest struct {
	Namespace string `json:"namespace"`
	Purge     bool   `json:"purge,omitempty"` // forget what is known of it, too
}

// NewRequest makes a namespace here.
type NewRequest struct {
	Name string `json:"name,omitempty"`
	Key  string `json:"key,omitempty"` // a secret key to adopt, instead of a name
	// From is the file that Key was read from: a second copy of it.
	From string `json:"from,omitempty"`
	// Elsewhere: the key is kept somewhere else, and not by the daemon, which makes a writer's key for itself.
	Elsewhere bool          `json:"elsewhere,omitempty"`
	About     string        `json:"about,omitempty"`
	Keep      time.Duration `json:"keep,omitempty"`
	Share     string        `json:"share,omitempty"`
}

// PublishRequest publishes the closure of paths.
type PublishRequest struct {
	Namespace string        `json:"namespace"`
	Paths     []string      `json:"paths"`         // store paths
	Key       string        `json:"key,omitempty"` // the secret key to sign with, instead of one that the daemon has
	Full      bool          `json:"full,omitempty"`
	DryRun    bool          `json:"dry_run,omitempty"`
	Exclude   []string      `json:"exclude,omitempty"`
	LeaveOut  []string      `json:"leave_out,omitempty"`
	MaxSize   uint64        `json:"max_size,omitempty"` // bytes of one NAR; 0: as the daemon's configuration says
	Keep      time.Duration `json:"keep,omitempty"`     // 0: as the namespace's document says
	Pin       string        `json:"pin,omitempty"`
	KeepLast  int           `json:"keep_last,omitempty"` // versions of the pin
	KeepFor   time.Duration `json:"keep_for,omitempty"`  // instead of KeepLast
	Unnamed   bool          `json:"unnamed,omitempty"`   // nobody named the paths: those that are excluded are left out
}

// AutomaticRequest says what is published to a namespace from now on without being named.
type AutomaticRequest struct {
	Namespace string   `json:"namespace"`
	When      string   `json:"when"` // manual, hook or always
	Full      bool     `json:"full,omitempty"`
	Exclude   []string `json:"exclude,omitempty"`
	LeaveOut  []string `json:"leave_out,omitempty"`
	MaxSize   uint64   `json:"max_size,omitempty"` // as in PublishRequest
}

// QueueRequest gives paths that were just built.
type QueueRequest struct {
	Namespaces []string `json:"namespaces,omitempty"` // none: all that take what a hook gives
	Paths      []string `json:"paths"`                // store paths
}

// NamespaceRequest asks about a namespace, an alias or a key.
type NamespaceRequest struct {
	Namespace string
}

// AddWriterRequest lets a key publish.
type AddWriterRequest struct {
	Namespace string        `json:"namespace"`
	Writer    string        `json:"writer,omitempty"`   // its public key
	Generate  string        `json:"generate,omitempty"` // instead: the name of a key to be made, whose secret is answered
	Expires   time.Duration `json:"expires,omitempty"`  // from now; 0: never
	Root      string        `json:"root,omitempty"`     // the namespace's secret key; empty: the daemon has it
}

// WriterKeyRequest makes a key.
type WriterKeyRequest struct {
	Name string `json:"name"`
}

// PlanRevocationRequest says which publications of a writer are to stay.
type PlanRevocationRequest struct {
	Namespace string     `json:"namespace"`
	Writer    string     `json:"writer"`          // its name or key
	After     *time.Time `json:"after,omitempty"` // received by then; null: until now
	All       bool       `json:"all,omitempty"`   // none stays
	Peers     []string   `json:"peers,omitempty"` // seeds to be asked, besides those that the document names
}

// RevokeRequest revokes as planned.
type RevokeRequest struct {
	Plan report.Revocation `json:"plan"`
	Root string            `json:"root,omitempty"`
}

// RetractRequest takes a path or a publication back.
type RetractRequest struct {
	Namespace string `json:"namespace"`
	What      string `json:"what"` // a store path, or the id of a publication or its beginning
	Reason    string `json:"reason"`
	Root      string `json:"root,omitempty"`
}

// EditRequest changes what a document says; what is null stays.
type EditRequest struct {
	Namespace string         `json:"namespace"`
	About     *string        `json:"about,omitempty"`
	Keep      *time.Duration `json:"keep,omitempty"`
	Seeds     *[]string      `json:"seeds,omitempty"` // multiaddrs
	Root      string         `json:"root,omitempty"`
}

// PinRequest names published paths, or changes a pin.
type PinRequest struct {
	Namespace string        `json:"namespace"`
	Name      string        `json:"name"`
	Paths     []string      `json:"paths,omitempty"`
	KeepLast  int           `json:"keep_last,omitempty"`
	KeepFor   time.Duration `json:"keep_for,omitempty"`
	Delete    bool          `json:"delete,omitempty"`
	Key       string        `json:"key,omitempty"` // the secret key to sign with, instead of one that the daemon has
}

// CopiesRequest asks for copies of publications on other machines.
type CopiesRequest struct {
	Namespace    string         `json:"namespace"`
	Publications []namespace.ID `json:"publications"`
	Copies       int            `json:"copies"`            // below 0: one, if the namespace has seeds
	NoWait       bool           `json:"no_wait,omitempty"` // they are made in the background
	Peers        []string       `json:"peers,omitempty"`   // to be asked, too
}

// SeedRequest makes this node mirror a namespace for others.
type SeedRequest struct {
	Namespace string   `json:"namespace"` // a key, perhaps with hints, or an alias known here
	Alias     string   `json:"alias,omitempty"`
	Peers     []string `json:"peers,omitempty"`
	// Quota is in bytes of chunks, 0: all that there is; Promise is how long what was taken is kept at least, 0: nothing is
	// promised. Nil: as before, or 100 GiB and nothing.
	Quota   *uint64        `json:"quota,omitempty"`
	Promise *time.Duration `json:"promise,omitempty"`
	Wait    time.Duration  `json:"wait,omitempty"` // how long to wait until all of it is here; 0: as long as that takes
}

// StopSeedRequest ends mirroring a namespace.
type StopSeedRequest struct {
	Namespace   string `json:"namespace"`
	AfterCopies int    `json:"after_copies,omitempty"` // not before others have so many copies of all of it
}

// WaitRequest waits until paths are published, and others have copies of them.
type WaitRequest struct {
	Paths     []string      `json:"paths"`
	Namespace string        `json:"namespace,omitempty"` // in which; empty: any
	Copies    int           `json:"copies"`
	Timeout   time.Duration `json:"timeout"`
	Peers     []string      `json:"peers,omitempty"` // to be asked, too
}

// CheckRequest reads everything in the store and compares it with its name.
type CheckRequest struct{}

// CollectRequest gives up what is not to be kept: what was retracted, what has expired, what was left, what nothing names.
type CollectRequest struct {
	DryRun bool `json:"dry_run,omitempty"` // count, and give up nothing
}
