package handover

import (
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const memorySize = slots * (4 + 8)

// memory is what both processes share: first the words, one for each slot, then the ends.
type memory struct{ bytes []byte }

// mapMemory maps the shared words. Whoever calls it closes f.
func mapMemory(f *os.File) (memory, error) {
	b, err := unix.Mmap(int(f.Fd()), 0, memorySize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return memory{b}, os.NewSyscallError("mmap", err)
}

// word is the word of a slot. A mapping begins at a page, so that it is aligned.
func (m memory) word(slot int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&m.bytes[slot*4]))
}

// end is, of the bytes that the taker writes on a slot's connection, how many will have been written when the answer that is
// being written is whole; 0 if that is not known.
func (m memory) end(slot int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&m.bytes[slots*4+slot*8]))
}

// unmap gives the memory back. No word may be used afterwards.
func (m memory) unmap() error { return unix.Munmap(m.bytes) }

// shift moves a word from phase from to phase to and keeps its note; false if it is in another phase.
func shift(w *atomic.Uint32, from, to uint32) bool {
	for {
		v := w.Load()
		if v&phaseMask != from {
			return false
		}
		if w.CompareAndSwap(v, v&^phaseMask|to) {
			return true
		}
	}
}
