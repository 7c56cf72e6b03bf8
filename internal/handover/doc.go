// Package handover gives the connections that one process accepted to another, and takes them back when that other dies,
// hangs or leaves, so that a client that has asked is always answered.
//
// The [Giver] is the process that holds the listening sockets, the [Taker] the one that does the work. A connection goes over
// once, as a file descriptor over a unix socket, and from then on the taker alone reads and writes it: nothing that is
// served passes through the giver. The giver keeps a descriptor of its own, and the two share a word of memory for each
// connection that says how far it is:
//
//	waiting   nothing of a request was read
//	request   a request was read, at least its beginning, and nothing was answered
//	writing   the answer has begun
//	taken     the giver has it again
//	closed    it is over
//
// Both change it by compare-and-swap, the taker before it reads and before it writes. So the giver can take a connection
// that is waiting and have the next request answered by somebody else, or one whose request hangs and answer that itself,
// while the taker is stopped at any instruction, and a taker that wakes up finds that it is too late. What is being written
// cannot be ended by another: it stays with the taker, or is cut off.
//
// It knows little of what is said on the connections: one byte that the taker notes of each request for the one who answers in its
// place, and how long an answer is by its HTTP head, so that one that was written to its end when the taker died is not taken
// for one that was cut off, and the connection lives on.
package handover

// The phases of a connection: the low byte of its word. The byte above it is the note.
const (
	waiting uint32 = iota
	request
	writing
	taken
	closed

	phaseMask = 0xff
	noteShift = 8
	// readAhead says that something of the next request was read while this one is answered; its note is at aheadShift.
	readAhead  uint32 = 1 << 16
	aheadShift        = 24
	// answering says that the taker has all of the request, and is about to answer it.
	answering uint32 = 1 << 17
)

// Words of the two processes to each other. The first three are this package's own; the others are for its users.
const (
	wordConn = 'c' // giver to taker: door, slot, and the descriptor
	wordDone = 'd' // taker to giver: slot; its connection is closed here
	wordBack = 'b' // taker to giver: slot; it comes too late, take it back
)

// Message is what one process tells the other.
type Message struct {
	Word byte // not one of c, d, b
	Data []byte
}
