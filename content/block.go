package content

import (
	"sync"
	"sync/atomic"
)

// A block is filled from headroom on with NAR bytes. The headroom takes what is
// left of the block before it: an unfinished chunk and the beginning of a
// possible match, together less than MaxChunk + hashChars.
const (
	blockSize = 1 << 20
	headroom  = MaxChunk + 2*hashChars
)

// block is a piece of the NAR on its way through a Splitter, and the home of
// the chunks that end in it. Its stages own it one after the other; only the
// chunks are shared out, to one worker each.
type block struct {
	buf  [blockSize]byte
	end  int          // of the bytes in buf
	uses atomic.Int32 // the chunker while it cuts, and each chunk until it is put
}

func (b *block) reset()        { b.end = headroom }
func (b *block) full() bool    { return b.end == blockSize }
func (b *block) added() []byte { return b.buf[headroom:b.end] }
func (b *block) fill(p []byte) int {
	n := copy(b.buf[b.end:], p)
	b.end += n
	return n
}

// Pool keeps buffers between one [Splitter] and the next. Its zero value is
// ready, and any number of Splitters may share it. What is unused for a while is
// left to the garbage collector.
type Pool struct{ blocks sync.Pool }

func (p *Pool) get() *block {
	b, ok := p.blocks.Get().(*block)
	if !ok {
		b = new(block)
	}
	return b
}

func (p *Pool) put(b *block) { p.blocks.Put(b) }
