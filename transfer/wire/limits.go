package wire

import (
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/transfer"
)

// Bounds of frames and fields, each with its reason. Those of questions and
// answers are in package transfer.
const (
	// MaxFrame is the longest frame of an answer, in bytes: an entry as large
	// as a publication (4 MiB) and what stands around it.
	MaxFrame = 4<<20 + 64<<10

	// MaxRequest is the longest frame of a question, in bytes. The largest
	// legal one, for MaxRanges ranges, has 41 KiB.
	MaxRequest = 64 << 10

	// maxRunFrame is the longest frame that holds a run.
	maxRunFrame = transfer.MaxRunData + maxHead

	// maxHead is more than the fields of any message take, the last and large
	// one left out.
	maxHead = 128

	// maxOfferFrame is the longest frame of an answer to an offer.
	maxOfferFrame = namespace.MaxReceipt + transfer.MaxOfferText + maxHead

	// maxPart is how much of a text or of what follows the head of an answer to
	// sync travels in one frame, so that other streams get their turn.
	maxPart = 256 << 10

	// maxAddress is the longest namespace address, in bytes: a key's name has
	// at most 128, and 32 bytes are 44 characters of base64.
	maxAddress = 128 + 1 + 44

	// maxReason is the longest explanation of a refusal, in bytes.
	maxReason = 256

	// maxTime is the latest time that a peer may say its clock has, in
	// milliseconds since 1970: the end of the year 9,999, beyond which times do
	// not print.
	maxTime = 253402300799999

	// maxRunHeadroom is how much longer than its chunks a run of Zstandard
	// frames may be, in bytes for each chunk (see transfer.MaxRunData).
	maxRunHeadroom = 32

	// trustedLength is how many bytes of an answer are made room for because a
	// frame's header says so, trustedRequest how many of a question, of which
	// anybody may send many. Beyond it, a peer is believed up to twice of what
	// it has sent already.
	trustedLength  = 64 << 10
	trustedRequest = 4 << 10

	// readAhead is the size of the buffer that small reads of an answer go
	// through, and readAheadRequest that of a question; many questions wait
	// for a long time, and most fit.
	readAhead        = 4 << 10
	readAheadRequest = 512

	// flushAt is how many bytes of small frames are gathered before they are
	// written.
	flushAt = 32 << 10

	// WriteStep is how many bytes are handed to the stream at once, with one
	// look at throttle and deadline: what fits in one frame of yamux, which has
	// 64 KiB with its header.
	WriteStep = 64<<10 - 64

	// inlineData is up to how many bytes of data are copied in order to be
	// written together with their header.
	inlineData = 4 << 10
)

// How long things may take.
const (
	// handlerTime is how long a handler may take for all but chunks, which come
	// one by one, and beyond the waiting that a sync asks for. Askers give up a
	// second later.
	handlerTime = 15 * time.Second

	// retryAfterFailure is when a peer is told to come back after our own
	// failure, such as a disk that cannot be read.
	retryAfterFailure = 10 * time.Second
)

// Pace is how slow a peer may be: within each period of Within, Bytes bytes must
// move, or the stream's end come. What this side takes itself does not count.
type Pace struct {
	Bytes  int
	Within time.Duration
}

// DefaultPace is 2 KiB a second. It is that slow because a peer on a thin line
// shares it among many; it is there against peers that hold a stream, and the
// buffers behind it, with a byte a second.
func DefaultPace() Pace { return Pace{Bytes: 32 << 10, Within: 16 * time.Second} }
