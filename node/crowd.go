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
}

// crowded is one chunk. data and err are set before ready is closed.
type crowded struct {
	id    content.ChunkID
	ready chan struct{}
	data  []byte
	err   error
}

func newCrowd() *crowd {
	return &crowd{readers: make(map[content.BodyID]int), byID: make(map[content.ChunkID]*list.Element)}
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
		if len(c.readers) == 0 {
			clear(c.byID)
			c.order.Init()
			c.bytes = 0
		}
	}
}

// many reports whether a body has several readers.
func (c *crowd) many(b content.BodyID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readers[b] > 1
}

// chunk returns a chunk, for reading only: the one that is kept, or what load gives, which is asked once for all who want it now.
func (c *crowd) chunk(id content.ChunkID, load func() ([]byte, error)) ([]byte, error) {
	c.mu.Lock()
	if e := c.byID[id]; e != nil {
		c.order.MoveToFront(e)
		c.mu.Unlock()
		k := e.Value.(*crowded)
		<-k.ready
		if k.err == nil {
			return k.data, nil
		}
		return load() // what failed for another reader may work for this one
	}
	k := &crowded{id: id, ready: make(chan struct{})}
	e := c.order.PushFront(k)
	c.byID[id] = e
	c.mu.Unlock()
	k.data, k.err = load()
	close(k.ready)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID[id] != e {
		return k.data, k.err // all have left meanwhile
	}
	if k.err != nil {
		c.drop(e)
		return nil, k.err
	}
	for c.bytes += len(k.data); c.bytes > crowdBytes; {
		c.drop(c.order.Back())
	}
	return k.data, nil
}

// drop is called with mu held. One that is still being loaded has no bytes yet, and will not be counted.
func (c *crowd) drop(e *list.Element) {
	k := e.Value.(*crowded)
	c.order.Remove(e)
	delete(c.byID, k.id)
	select {
	case <-k.ready:
		c.bytes -= len(k.data)
	default:
	}
}
