package wire

import "time"

// pacer moves the deadline for reading so that a peer which keeps the pace never
// meets it. Frames make no difference: many small ones have to come as fast as
// a large one.
type pacer struct {
	pace Pace
	set  func(time.Time) error
	left int // bytes until the deadline moves again
	by   time.Time
}

// begin gives the peer d until the first byte.
func (p *pacer) begin(d time.Duration) error {
	p.left, p.by = 1, time.Now().Add(d)
	return p.set(p.by)
}

// moved counts n bytes that went through.
func (p *pacer) moved(n int) error {
	if p.left -= n; p.left > 0 {
		return nil
	}
	p.left, p.by = p.pace.Bytes, time.Now().Add(p.pace.Within)
	return p.set(p.by)
}

// excuse gives the peer back time that this side took.
func (p *pacer) excuse(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	p.by = p.by.Add(d)
	return p.set(p.by)
}
