package content

import "sort"

// Index finds chunks by their place in the NAR. It takes 8 bytes a chunk and is
// safe for concurrent use.
type Index struct {
	starts []uint64 // of each chunk, and after them the NAR's size
}

// Index builds the body's index. It does not follow later changes of the body.
func (b *Body) Index() *Index {
	starts := make([]uint64, len(b.Chunks)+1)
	for i := range b.Chunks {
		starts[i+1] = starts[i] + uint64(b.Chunks[i].Length)
	}
	return &Index{starts}
}

// Start returns the offset of chunk i's first byte in the NAR; for i one beyond
// the last chunk, the NAR's size.
func (x *Index) Start(i int) uint64 { return x.starts[i] }

// Find returns the chunk that holds the byte at off, or the number of chunks
// when off is at the NAR's end or beyond it.
func (x *Index) Find(off uint64) int {
	ends := x.starts[1:]
	return sort.Search(len(ends), func(i int) bool { return ends[i] > off })
}
