package node

import "sync"

// block is a piece of a NAR in memory, at most throughBlock bytes, which several may read at a time. It is under the mutex of whoever
// lends it.
type block struct {
	data  []byte
	users int // who must let it go before its memory is used again
}

// blocks is memory for blocks that is used again and again: a page that is touched for the first time costs more than what is done
// with it here. At most blocksKept of them are kept when nobody uses them.
type blocks struct {
	mu   sync.Mutex
	free [][]byte
}

// get returns n bytes, whatever they hold.
func (b *blocks) get(n int64) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := len(b.free) - 1
	if last < 0 {
		return make([]byte, n, throughBlock)
	}
	data := b.free[last]
	b.free[last] = nil
	b.free = b.free[:last]
	return data[:n]
}

// put gives back what get returned, which nobody uses any more.
func (b *blocks) put(data []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.free) < blocksKept {
		b.free = append(b.free, data)
	}
}

// drop lets a block go, for one of its users.
func (b *blocks) drop(one *block) {
	if one.users--; one.users == 0 {
		b.put(one.data)
		one.data = nil
	}
}
