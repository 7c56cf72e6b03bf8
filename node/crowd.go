package node

import (
	"container/list"
	"sync"

	"github.com/flurry-nix/flurry/content"
)

// crowd keeps chunks of bodies that several read at once as they are, decoded and checked, so that this is done once for all who come
// by soon after each other, as machines do that are installed together. One reader alone has nothing of it.
type crowd struct {
	mu      sync.Mutex
	readers map[content.BodyID]int
	byID    map[content.ChunkID]*list.Element // of *crowded
	order   list.List                         // the last used first
	bytes   int
	most    int // that may be
	rooms   *rooms
}

// crowded is one chunk. data and err are set before ready is closed.
type crowded struct {
	id    content.ChunkID
	ready chan struct{}
	room  *[]byte // where data is
	data  []byte
	err   error
	users int  // who load or copy it
	kept  bool // it came, and its bytes are counted
	gone  bool // it is not kept, and the last user gives its room back
}

func newCrowd(rooms *rooms) *crowd {
	return &crowd{most: crowdBytes, rooms: rooms, readers: make(map[content.BodyID]int), byID: make(map[content.ChunkID]*list.Element)}
}

// enter notes a reader of a body, until leave. With the last reader of all the chunks go.
func (c *crowd) enter(b content.BodyID) (leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readers[b]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.readers[b]--; c.readers[b] == 0 {
			delete(c.readers, b)
		}
		for len(c.readers) == 0 && c.order.Len() > 0 {
			c.drop(c.order.Back())
		}
	}
}

// many reports whether a body has several readers.
func (c *crowd) many(b content.BodyID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readers[b] > 1
}

// chunk returns a chunk of length bytes, in buffer if it has room: the one that is kept, or what load gives, which is asked once for all who want it
// now. What load returns is in the room that it is given, if that is large enough.
func (c *crowd) chunk(id content.ChunkID, length uint32, buffer []byte, load func(room []byte) ([]byte, error)) ([]byte, error) {
	c.mu.Lock()
	if e := c.byID[id]; e != nil {
		k := e.Value.(*crowded)
		k.users++
		c.order.MoveToFront(e)
		c.mu.Unlock()
		<-k.ready
		if k.err != nil { // what failed for another reader may work for this one
			c.release(k)
			return load(buffer)
		}
		buffer = append(buffer[:0], k.data...)
		c.release(k)
		return buffer, nil
	}
	k := &crowded{id: id, ready: make(chan struct{}), room: c.rooms.get(length), users: 1}
	e := c.order.PushFront(k)
	c.byID[id] = e
	c.mu.Unlock()
	k.data, k.err = load(*k.room)
	close(k.ready)
	c.loaded(e, k)
	defer c.release(k)
	if k.err != nil {
		return nil, k.err
	}
	return append(buffer[:0], k.data...), nil
}

// loaded keeps a chunk that came, for as long as there are readers and room.
func (c *crowd) loaded(e *list.Element, k *crowded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case k.gone: // all have left meanwhile
	case k.err != nil:
		c.drop(e)
	default:
		k.kept = true
		for c.bytes += len(k.data); c.bytes > c.most; {
			c.drop(c.order.Back())
		}
	}
}

// drop keeps a chunk no longer. It is called with mu held.
func (c *crowd) drop(e *list.Element) {
	k := e.Value.(*crowded)
	c.order.Remove(e)
	delete(c.byID, k.id)
	if k.kept {
		c.bytes -= len(k.data)
	}
	k.kept, k.gone = false, true
	c.recycle(k)
}

// release ends a use of a chunk.
func (c *crowd) release(k *crowded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k.users--
	c.recycle(k)
}

// recycle has the room of a chunk used again when nobody does. It is called with mu held.
func (c *crowd) recycle(k *crowded) {
	if !k.gone || k.users > 0 {
		return
	}
	c.rooms.put(k.room)
	k.room, k.data = nil, nil
}
