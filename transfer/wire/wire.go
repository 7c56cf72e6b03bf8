// Package wire is the bytes of a question and of its answer: frames, messages,
// and both sides of the conversation, over any stream of bytes that can be cut.
//
// A stream carries one question. The asker writes one frame, the answerer
// writes one or more, and both close; a reset by either side ends it at once. A
// frame is its length as a uvarint, then that many bytes of one protobuf
// message. The messages, and which follow which, are specified in
// transfer/stream/pb/flurry.proto.
//
// The package reads and writes the messages itself, for three reasons. It
// accepts one encoding of each message only: fields in ascending order, none
// twice, none that is unknown or empty, integers as short as they can be, so
// that what is read and printed again is the same bytes. It never holds more
// than the peer has sent, give or take a factor. And the data of a run of chunks
// is not copied once it is in the frame's buffer. Tests hold it against the
// code that protoc makes of the specification.
//
// Everything that a peer sends is checked here against the question and against
// the bounds of package transfer; so is what a [transfer.Handler] answers,
// since a peer would take its mistakes for ours. The package opens no streams,
// keeps no connections and counts no peers: transfer/stream does.
package wire

import (
	"io"
	"time"
)

// Stream is what one question and its answer travel over. Read, Write and Reset
// may be called concurrently with each other, and the last ends the others.
type Stream interface {
	io.Reader
	io.Writer
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	// Close ends both directions; what was written still arrives.
	Close() error
	// Reset ends both directions at once.
	Reset() error
}
