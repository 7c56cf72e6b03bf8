package store

import "context"

// Reader gives out content.
type Reader interface {
	// Frame returns the content under k in its stored form. The data belongs
	// to the caller, and is in room if that has the capacity for it and what
	// the store needs beside it: room may be nil, or hold anything. An error that wraps ErrNotFound says that the content is
	// not here; one that wraps ErrCorrupt that it was, and is out of use now.
	// The bytes are as they were put, but are not checked against the id:
	// [Get] does that.
	Frame(ctx context.Context, k Key, room []byte) (Frame, error)
	// Has tells whether Frame would look for bytes under k. It does not read
	// them.
	Has(ctx context.Context, k Key) (bool, error)
}

// Store keeps content. All methods are safe for concurrent use.
type Store interface {
	Reader
	// Begin starts a batch. It must be closed.
	Begin(ctx context.Context) (Batch, error)
}

// Batch is a lease on what it puts and on what its Has finds: until Close
// nothing of that is collected.
//
// What a batch has put is read through the store at once. It is durable once
// Commit has returned nil, and may be gone after a crash before that.
type Batch interface {
	// Has tells whether k needs no Put, because it is here already. If so the
	// content belongs to the batch as if the batch had put it: a later Commit
	// vouches for it too.
	Has(ctx context.Context, k Key) (bool, error)
	// Put stores f under k, or does nothing when there is content under k. It
	// does not check that f is what k names; that is what [Receive] is for.
	// f.Data is not kept. Put may be called from many goroutines at once. After
	// an error the content was not put, and the batch goes on as before.
	Put(ctx context.Context, k Key, f Frame) error
	// Commit makes everything durable that the batch has put so far, and may
	// be called again after more of it. When it fails, what was put since the
	// last Commit that succeeded may be gone, every later Commit fails too,
	// and the batch is of no further use but to be closed.
	Commit(ctx context.Context) error
	// Close ends the batch. What was not committed may stay or go. Closing
	// twice is allowed; any other call after Close is an error.
	Close() error
}

// Condemner is a store that can be told about content that does not match its
// id. [Get] tells it.
type Condemner interface {
	// Condemn looks at the content under k itself and, unless that is right
	// after all, puts it out of use for good, so that the next Put stores it
	// again.
	Condemn(ctx context.Context, k Key) error
}
