package ledger

import (
	"io"
	"time"
)

// Stream is what can be counted: package wire's streams.
type Stream interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	Reset() error
}

// Counted returns s, telling t of each byte that goes through it.
func Counted(s Stream, t *Tap) Stream { return &counted{Stream: s, tap: t} }

type counted struct {
	Stream
	tap *Tap
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Stream.Read(p)
	c.tap.Received(n)
	return n, err
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Stream.Write(p)
	c.tap.Sent(n)
	return n, err
}
