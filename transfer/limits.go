package transfer

import "time"

// Bounds of one question and its answer, each with its reason. Both sides hold
// to them: who asks for more is told that the request is bad, who answers with
// more misbehaves.
const (
	// MaxLookup is how many path hashes one lookup asks for: what Nix asks a
	// cache within one round trip while it walks a closure, with room.
	MaxLookup = 512

	// MaxLookupEntries is how many entries an answer holds for one path hash.
	// More publications than that of one path, all acceptable, are renewals of
	// each other.
	MaxLookupEntries = 8

	// MaxLookupExtra is how many answers nobody asked for may come along, for
	// references of what was asked: Nix asks for those next.
	MaxLookupExtra = 1024

	// MaxLookupAnswer is the most bytes that one answer to a lookup may have.
	// 512 ordinary entries have half a MiB; one entry never has more than a
	// publication.
	MaxLookupAnswer = 8 << 20

	// MaxRanges is how many ranges of chunks one request names. A body that is
	// here but for every second chunk of 16 MiB takes 1,024.
	MaxRanges = 4096

	// MaxRunRaw is the most uncompressed bytes in one run: large enough that
	// its header is noise, small enough that a hundred of them in flight are
	// no burden.
	MaxRunRaw = 2 << 20

	// MaxRunChunks is how many chunks one run may hold. At the smallest chunk
	// that a publisher cuts (16 KiB) 128 fill it; bodies with smaller pieces
	// are accepted, and travel in more runs.
	MaxRunChunks = 2048

	// MaxRunData is the most bytes that a run has on the wire: Zstandard adds
	// less than 32 bytes to a chunk that it cannot shrink (RFC 8878: header at
	// most 18, three to each block of 128 KiB, checksum 4), and who stored a
	// chunk that grew stored it raw.
	MaxRunData = MaxRunRaw + MaxRunChunks*32

	// MaxSyncIDs is how many publication ids one answer to sync holds, in what
	// it adds and in its buckets together: 2 MiB. The rest is asked for with
	// the cursor that came with them, or bucket by bucket.
	MaxSyncIDs = 1 << 16

	// MaxSyncLists is the most bytes of kept lists in one answer to sync, and
	// MaxSyncListCount their number. What has no room is fetched by its id,
	// which the document names.
	MaxSyncLists     = 8 << 20
	MaxSyncListCount = 1024

	// Buckets is how many digests tell where two sets of publications differ:
	// one for each first byte of an id.
	Buckets = 256

	// MaxWait is how long sync waits for something new before it says that
	// there is nothing.
	MaxWait = 60 * time.Second

	// MaxOffer is how long the answer to one offer may last: what is large on a
	// thin line takes longer, and is offered again, when what came is there.
	MaxOffer = time.Hour

	// OfferBeat is how often who takes an offer says something, if only what it
	// said before.
	OfferBeat = 10 * time.Second

	// MaxOfferUpdates is how many updates one offer may have: two a second.
	MaxOfferUpdates = 2 * int(MaxOffer/time.Second)

	// MaxOfferText is how many words a peer's operator has for a refusal, in bytes.
	MaxOfferText = 256

	// MaxRetryAfter is the longest that a busy peer is believed about when to
	// come back.
	MaxRetryAfter = 10 * time.Minute

	// maxQuoted is how much of a peer's own words an error message repeats.
	maxQuoted = 80
)
