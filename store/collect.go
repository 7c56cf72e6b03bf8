package store

import (
	"context"
	"errors"
	"time"
)

// Fate is what becomes of content in a collection.
type Fate byte

// The fates.
const (
	Keep   Fate = iota // it stays
	Orphan             // nobody names it: it goes when sweeps have found it so for SweepOptions.KeepOrphans
	Dead               // it goes
)

// Collector is a store that can give up content.
type Collector interface {
	Store
	// StartCollection begins a collection: the only one of the store until it is closed, another is [ErrCollecting].
	// What is put or found by a batch from here on stays.
	StartCollection(ctx context.Context) (Collection, error)
	// Stored is how many bytes the content under k takes up, what the store adds to it included. ok is false when it is
	// not here.
	Stored(ctx context.Context, k Key) (bytes int64, ok bool, err error)
	// Room tells how full the store is.
	Room(ctx context.Context) (Room, error)
}

// Room is how full a store is, in bytes.
type Room struct {
	Used    int64 // by the store, what is out of use and not given back included
	Live    int64 // by contents that are in use
	Quota   int64 // what it may use; 0: no bound
	Free    int64 // on the disk
	Reserve int64 // of the disk, to be left free
}

// Collection is one collection: whoever started it finds out what is to stay, and then sweeps.
type Collection interface {
	// Sweep asks fate about what the store held when the collection began, takes out of use what is to go, and gives the
	// room back where that pays. What a batch holds stays, as does what one has put or found since StartCollection,
	// whatever its fate. fate is not called from two goroutines at once. After an error some of it is done, and what was
	// to stay is there.
	Sweep(ctx context.Context, fate func(Key) Fate, o SweepOptions) (Swept, error)
	// Close ends the collection. Closing twice is allowed.
	Close() error
}

// SweepOptions says how to sweep.
type SweepOptions struct {
	// DryRun only counts.
	DryRun bool
	// Now is the time at which orphans are found to be orphans; a store has no clock.
	Now time.Time
	// KeepOrphans is for how long sweeps must have found content orphaned, without one that did not, until it goes; 0: it
	// goes at once.
	KeepOrphans time.Duration
	// DeadPart is the part of a pack, above 0 and at most 1, that must be out of use for it to be written anew; 0 is one
	// half.
	DeadPart float64
	// Need is how many bytes of room are wanted: packs of which less is out of use are written anew too, those with the
	// most first, until so much has been given back.
	Need int64
	// Progress, when not nil, is called now and then, not from two goroutines at once, with the contents looked at so far
	// and how many there are.
	Progress func(done, total int64)
}

// Swept is what a sweep did or, as a dry run, would do. Bytes are as [Collector] counts them.
type Swept struct {
	Contents, Bytes               int64 // taken out of use
	KeptContents, KeptBytes       int64 // looked at and not taken out of use, orphans that wait and what a batch holds included
	WaitingContents, WaitingBytes int64 // of those kept: orphans whose time has not come
	HeldContents, HeldBytes       int64 // of those kept: to go, if a batch did not hold them
	Freed                         int64 // bytes of room given back, less what writing anew took
}

// ErrCollecting means that another collection is under way.
var ErrCollecting = errors.New("another collection is under way")
