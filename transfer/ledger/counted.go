package ledger

import "github.com/flurry-nix/flurry/transfer/wire"

// Counted returns s, telling t of each byte that goes through it.
func Counted(s wire.Stream, t *Tap) wire.Stream { return &counted{Stream: s, tap: t} }

type counted struct {
	wire.Stream
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
