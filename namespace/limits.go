package namespace

import "time"

// Bounds on texts, each with its reason. Sizes count the bytes of the signed
// form, signature line included.
const (
	// MaxPublication is the largest publication, in bytes. It is what one frame
	// of a stream holds, and what a node parses in some tens of milliseconds.
	MaxPublication = 4 << 20

	// MaxEntries is how many paths one publication lists; a larger closure takes
	// several. Each costs a reader a signature check, about 50 µs.
	MaxEntries = 4096

	// MaxDocument is the largest namespace document, in bytes: every follower
	// fetches each version whole.
	MaxDocument = 1 << 20

	// MaxKeepList is the largest kept list, in bytes: about 58,000 publications
	// of one writer, 145 a day for as long as a publication can live.
	MaxKeepList = 4 << 20

	// MaxReceipt is the largest receipt, in bytes, its signature included: five
	// lines, of which an address is the longest.
	MaxReceipt = 1 << 10

	// MaxNote is the largest text in signed form of any kind.
	MaxNote = MaxPublication

	// MaxNameLength is the longest name of a namespace or writer, in bytes.
	MaxNameLength = 64

	// MaxPinName is the longest name of a pin, in bytes: room for the name of a
	// branch or tag.
	MaxPinName = 128

	// MaxPinLast is the most publications that a pin can ask to keep.
	MaxPinLast = 1_000_000

	// MaxExterns bounds the extern lines of a publication: checking that each
	// key is a point on the curve takes some 20 µs.
	MaxExterns = 16_384

	// MaxWriters bounds a document's writers, closed ones included, for the
	// same reason.
	MaxWriters = 4096

	// MaxUnknown bounds the unknown lines of a header or document, and
	// MaxEntryUnknown those of one entry, so that short lines do not multiply in
	// memory. Later versions have to live with them.
	MaxUnknown      = 1024
	MaxEntryUnknown = 64

	// MaxReason, MaxAbout and MaxAccess bound what is shown to people, in bytes.
	MaxReason = 512
	MaxAbout  = 1024
	MaxAccess = 512

	// MaxSeeds and MaxSeedLength bound hints where to ask; a node tries all.
	MaxSeeds      = 32
	MaxSeedLength = 256

	// MaxLife is how long after its time a publication can expire, and the
	// longest "keep": a forgotten key does not fill other people's disks for
	// ever.
	MaxLife = 400 * 24 * time.Hour

	// MaxPinFor is the longest "for" of a pin, 100 years: what a
	// [time.Duration] holds, with room to add.
	MaxPinFor = 36_500 * 24 * time.Hour

	// maxQuoted is how much of a wrong value an error message repeats.
	maxQuoted = 64
)
