package transfer

import (
	"time"

	"github.com/flurry-nix/flurry/namespace"
)

// SyncRequest says what the asker has of a namespace.
type SyncRequest struct {
	// Serial and Document are those of the newest document here; zero: none.
	Serial   uint64
	Document namespace.ID
	// Count and Sum are the number of live, acceptable publications here and
	// the SHA-256 of their sorted ids.
	Count uint64
	Sum   [32]byte
	// Epoch and Cursor are how far the peer's changes were followed; zero:
	// never.
	Epoch  [16]byte
	Cursor uint64
	// Wait asks the peer to answer only when something is new, or after a while.
	Wait bool
	// Buckets asks for the ids of all publications whose first byte is one of
	// these, each once, in ascending order.
	Buckets []byte
}

// SyncAnswer says what the peer has of a namespace.
type SyncAnswer struct {
	// Serial and Document are those of the peer's newest document; zero: none.
	Serial   uint64
	Document namespace.ID
	// RawDocument is that document when it is not the one that was named in the
	// request, and Lists are its kept lists, at most MaxSyncLists bytes of them:
	// what is missing is asked for with [Conn.Text].
	RawDocument []byte
	Lists       [][]byte
	// Equal says that both have the same publications. Nothing below is set then
	// but Epoch and Cursor.
	Equal bool
	// Known says that the peer knew the epoch: Added is then what arrived there
	// after the cursor. If not, Buckets says where to look.
	Known bool
	// Epoch and Cursor are how far this answer goes in the peer's changes.
	Epoch  [16]byte
	Cursor uint64
	// Added are publication ids in the order in which they arrived at the peer.
	Added []namespace.ID
	// More says that there are more changes after Cursor already.
	More bool
	// Buckets are Buckets digests, by first byte of the ids, or none.
	Buckets []BucketDigest
	// BucketIDs has the ids of buckets that were asked for, as many of those
	// as there was room for: at least one.
	BucketIDs map[byte][]namespace.ID
	// Time is the peer's clock when it answered, in whole milliseconds; zero: it
	// did not say. It is the peer's word, and nothing is judged by it.
	Time time.Time
}

// BucketDigest is the number and the SHA-256 of the sorted ids of publications
// that share a first byte.
type BucketDigest struct {
	Count uint64
	Sum   [32]byte
}
