package wire

import (
	"math/bits"
	"sync"
)

// buffers keeps the buffers of frames for the next one, in classes of doubling
// size. Its zero value is ready.
type buffers struct {
	classes [bufferClasses]sync.Pool // of *buffer
}

const (
	// smallestClass is the size of a buffer of class 0. Each class has a
	// sixteenth more than a power of two, so that a full run, which has a
	// little more than one itself, fits.
	smallestClass = 4 << 10
	bufferClasses = 11 // up to 4.25 MiB, which MaxFrame is less than
)

// buffer is borrowed from buffers and given back with put.
type buffer struct {
	b     []byte
	class int
}

func classSize(class int) int { return (smallestClass + smallestClass/16) << class }

// get returns a buffer of at least n bytes, n being 1 to MaxFrame.
func (s *buffers) get(n int) *buffer {
	class := max(0, bits.Len(uint(n-1)/smallestClass))
	if class > 0 && n <= classSize(class-1) {
		class--
	}
	if b, ok := s.classes[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, classSize(class)), class: class}
}

// put takes a buffer back; nil is fine.
func (s *buffers) put(b *buffer) {
	if b != nil {
		s.classes[b.class].Put(b)
	}
}
