package peer

// Bounds on what people and addresses may say, each with its reason.
const (
	// DefaultPort is the port, TCP and UDP, where a node listens for its peers
	// unless it is told otherwise, and the one meant where a hint has none.
	DefaultPort = 7670

	// MaxHintLength is the longest hint, in bytes. A multiaddr through a relay
	// over a DNS name of full length stays under 512.
	MaxHintLength = 512

	// MaxAddrs is how many addresses of one peer are worth trying. Two address
	// families, two transports and a few interfaces make eight; a peer that
	// lists more is listing other people's.
	MaxAddrs = 16

	// maxHostLength and maxLabelLength are those of DNS (RFC 1035, 2.3.4).
	maxHostLength  = 253
	maxLabelLength = 63

	// maxQuoted is how much of a wrong value an error message repeats.
	maxQuoted = 64
)
