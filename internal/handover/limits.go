package handover

import "time"

const (
	// slots bounds the connections that the taker has at a time: twice what the gateway lets in or turns away, so that those
	// that are being closed do not keep others out. Beyond it connections stay with the giver.
	slots = 4096

	// maxMessage is the longest message. A socket's buffer holds some hundred times that.
	maxMessage = 16 << 10

	// peeked is how much of a request is looked at for its note: its first line, if that is short.
	peeked = 256

	// sendTimeout is how long a message may find no room in the socket's buffer. A taker that has not read its last hundreds
	// of messages by then is not to be given another.
	sendTimeout = 100 * time.Millisecond

	// maxUntracked is how many connections without a slot wait to be accepted; more are closed.
	maxUntracked = 256
)
