package node

import (
	"sync"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/store"
)

// rooms is memory for chunks that is used again and again, by sizes: one large chunk is not to make all of it large. What nobody
// uses for a while goes.
type rooms struct {
	pools [(content.MaxChunk + store.DecodeSlack + roomStep - 1) / roomStep]sync.Pool // of *[]byte; each has roomStep more than the one before
}

// get returns an empty slice with room for n bytes, at most content.MaxChunk, and for what decoding wants beside them. The
// caller owns its array until put.
func (r *rooms) get(n uint32) *[]byte {
	size := roomClass(n)
	if room, ok := r.pools[size-1].Get().(*[]byte); ok {
		return room
	}
	room := make([]byte, 0, size*roomStep)
	return &room
}

// roomClass is how many steps it takes to have room for n bytes.
func roomClass(n uint32) int {
	return (int(min(n, content.MaxChunk)) + store.DecodeSlack + roomStep - 1) / roomStep
}

// put gives back what get returned, which nobody uses any more.
func (r *rooms) put(room *[]byte) {
	r.pools[cap(*room)/roomStep-1].Put(room)
}
