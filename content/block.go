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
	buf  []byte
	end  int          // of the bytes in buf
	uses atomic.Int32 // the chunker while it cuts, and each chunk until it is put
}

func (b *block) reset()        { b.end = headroom }
func (b *block) full() bool    { return b.end == len(b.buf) }
func (b *block) added() []byte { return b.buf[headroom:b.end] }

// fill takes as much of p as there is room for, and returns how much.
func (b *block) fill(p []byte) int {
	n := copy(b.buf[b.end:], p)
	b.end += n
	return n
}

// Pool keeps buffers between one [Splitter] and the next. Its zero value is
// ready, and any number of Splitters may share it. What is unused for a while is
// left to the garbage collector.
type Pool struct {
	blocks sync.Pool
	size   int // of a block in bytes, more than headroom; 0 is blockSize
}

func (p *Pool) get() *block {
	if b, ok := p.blocks.Get().(*block); ok {
		return b
	}
	size := p.size
	if size == 0 {
		size = blockSize
	}
	return &block{buf: make([]byte, size)}
}

func (p *Pool) put(b *block) { p.blocks.Put(b) }
