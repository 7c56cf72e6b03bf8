package content

// A chunk may end where the rolling hash is below a limit. The first limit
// holds for its bytes MinChunk+1 to NormalChunk-1, the second from NormalChunk
// on: one byte in 2^18 is a cut, then one in 2^14.
const (
	earlyLimit = 1 << 46
	lateLimit  = 1 << 50
)

// cutter finds the end of a chunk. Its zero value stands before a chunk's first
// byte.
type cutter struct {
	n int    // bytes of the chunk so far
	h uint64 // the rolling hash of those after the first MinChunk
}

// next takes the bytes that follow. It returns how many of them belong to the
// chunk, and whether the chunk ends after them; if so, the cutter stands before
// the next chunk's first byte. Without an end it takes all of p.
func (c *cutter) next(p []byte) (used int, end bool) {
	if c.n < MinChunk {
		used = min(MinChunk-c.n, len(p))
	}
	h := c.h
	if to := min(NormalChunk-1-c.n, len(p)); used < to && !end {
		var k int
		h, k, end = roll(h, p[used:to], earlyLimit)
		used += k
	}
	if to := min(MaxChunk-c.n, len(p)); used < to && !end {
		var k int
		h, k, end = roll(h, p[used:to], lateLimit)
		used += k
	}
	if end || c.n+used == MaxChunk {
		*c = cutter{}
		return used, true
	}
	c.n, c.h = c.n+used, h
	return used, false
}

// roll rolls the hash h over p, and stops after the byte that brings it below
// limit. It returns the hash, how many bytes it took, and whether it stopped.
//
// The rule is h = h<<1 + gear[b] for each byte. One step has to wait for the
// step before, and that wait is all the time it takes. So two bytes are taken at
// once: what they add is summed on its own (b), and only h<<2 + b waits.
func roll(h uint64, p []byte, limit uint64) (hash uint64, used int, end bool) {
	gear := &gearTable
	i := 0
	for ; i+8 <= len(p); i += 8 {
		q := (*[8]byte)(p[i:])

		a := gear[q[0]]
		b := a<<1 + gear[q[1]]
		if h<<1+a < limit {
			return h<<1 + a, i + 1, true
		}
		if h = h<<2 + b; h < limit {
			return h, i + 2, true
		}

		a = gear[q[2]]
		b = a<<1 + gear[q[3]]
		if h<<1+a < limit {
			return h<<1 + a, i + 3, true
		}
		if h = h<<2 + b; h < limit {
			return h, i + 4, true
		}

		a = gear[q[4]]
		b = a<<1 + gear[q[5]]
		if h<<1+a < limit {
			return h<<1 + a, i + 5, true
		}
		if h = h<<2 + b; h < limit {
			return h, i + 6, true
		}

		a = gear[q[6]]
		b = a<<1 + gear[q[7]]
		if h<<1+a < limit {
			return h<<1 + a, i + 7, true
		}
		if h = h<<2 + b; h < limit {
			return h, i + 8, true
		}
	}
	for ; i < len(p); i++ {
		if h = h<<1 + gear[p[i]]; h < limit {
			return h, i + 1, true
		}
	}
	return h, i, false
}
