package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/flurry-nix/flurry/store"
)

// The index's keys begin with one of these.
const (
	prefixContent byte = 'k' // kind, id → location: where it lies
	prefixCounts  byte = 'c' // → contents of each kind, damaged keys
	prefixDamaged byte = 'd' // kind, id → location: put out of use there, not stored again since
	prefixPack    byte = 'p' // number → packState
	prefixOrphan  byte = 'o' // kind, id → time: since when each sweep has found it orphaned
)

// packState is what the index knows about one pack.
type packState struct {
	settled int64 // every whole record before this offset has been looked at
	live    int64 // bytes of records that are in use, headers included
}

// counts is how much the index holds.
type counts struct {
	contents [store.KindKeepList + 1]int64 // by kind
	damaged  int64                         // keys under prefixDamaged
}

// index says where each key lies. Reading it takes no lock; writers take turns.
// Nothing is written to it that cannot be read from the packs, but for the list
// of damaged keys, since when orphans are orphans, and what is out of use in
// packs that were not written anew yet.
type index struct {
	db   *pebble.DB
	room func() error // an error when the disk has no room for a write

	mu     sync.Mutex // held by whoever writes, over the commit
	packs  map[uint32]packState
	counts counts
}

// change is a write in the making: a batch, and the numbers as they will be.
type change struct {
	x      *index
	b      *pebble.Batch
	packs  map[uint32]packState // those that differ
	gone   []uint32             // packs that are no more
	counts counts
}

// get finds where k lies.
func (x *index) get(k store.Key) (location, bool, error) {
	return x.lookup(indexKey(prefixContent, k))
}

func (x *index) lookup(key []byte) (location, bool, error) {
	v, closer, err := x.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return location{}, false, nil
	}
	if err != nil {
		return location{}, false, fmt.Errorf("read index: %w", err)
	}
	at, err := parseLocation(v)
	if err := errors.Join(err, closer.Close()); err != nil {
		return location{}, false, fmt.Errorf("read index: %w", err)
	}
	return at, true, nil
}

// add records entries, which are durable in pack number pack, and that
// everything before settled is known. A key that lay elsewhere lies here now.
// The write is not synced: see the package comment.
func (x *index) add(pack uint32, entries []entry, settled int64) error {
	return x.update(pebble.NoSync, func(c *change) error {
		for _, e := range entries {
			if err := c.put(e); err != nil {
				return err
			}
		}
		s := c.pack(pack)
		s.settled = settled
		c.packs[pack] = s
		return nil
	})
}

// condemn puts k out of use if it lies at at. That is synced.
func (x *index) condemn(k store.Key, at location) error {
	return x.update(pebble.Sync, func(c *change) error {
		now, ok, err := x.get(k)
		if err != nil || !ok || now != at {
			return err
		}
		if err := c.b.Delete(indexKey(prefixContent, k), nil); err != nil {
			return err
		}
		if err := c.b.Delete(indexKey(prefixOrphan, k), nil); err != nil {
			return err
		}
		c.leave(k, at)
		c.counts.damaged++
		return c.b.Set(indexKey(prefixDamaged, k), at.append(nil), nil)
	})
}

// update makes one change.
func (x *index) update(o *pebble.WriteOptions, edit func(*change) error) error {
	if err := x.room(); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	c := &change{x: x, b: x.db.NewBatch(), packs: make(map[uint32]packState), counts: x.counts}
	defer c.b.Close()
	err := edit(c)
	if err == nil {
		err = c.finish()
	}
	if err == nil {
		err = c.b.Commit(o)
	}
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	for id, s := range c.packs {
		x.packs[id] = s
	}
	for _, id := range c.gone {
		delete(x.packs, id)
	}
	x.counts = c.counts
	return nil
}

// put makes e's key lie where e says.
func (c *change) put(e entry) error {
	key := indexKey(prefixContent, e.key)
	old, ok, err := c.x.lookup(key)
	if err != nil || ok && old == e.at {
		return err
	}
	if ok {
		c.leave(e.key, old)
	}
	s := c.pack(e.at.pack)
	s.live += e.at.size()
	c.packs[e.at.pack] = s
	c.counts.contents[e.key.Kind]++
	if err := c.heal(e.key); err != nil {
		return err
	}
	return c.b.Set(key, e.at.append(nil), nil)
}

// leave counts out what lay at at.
func (c *change) leave(k store.Key, at location) {
	s := c.pack(at.pack)
	s.live -= at.size()
	c.packs[at.pack] = s
	c.counts.contents[k.Kind]--
}

// heal takes k off the list of damaged keys.
func (c *change) heal(k store.Key) error {
	if c.x.counts.damaged == 0 {
		return nil
	}
	key := indexKey(prefixDamaged, k)
	_, ok, err := c.x.lookup(key)
	if err != nil || !ok {
		return err
	}
	c.counts.damaged--
	return c.b.Delete(key, nil)
}

// pack is a pack's state as the change has it so far.
func (c *change) pack(id uint32) packState {
	if s, ok := c.packs[id]; ok {
		return s
	}
	return c.x.packs[id]
}

// finish adds the numbers to the batch.
func (c *change) finish() error {
	for id, s := range c.packs {
		if err := c.b.Set(packKey(id), s.append(nil), nil); err != nil {
			return err
		}
	}
	return c.b.Set([]byte{prefixCounts}, c.counts.append(nil), nil)
}

const indexKeySize = 1 + 1 + 32

// indexKey is the index's key for k.
func indexKey(prefix byte, k store.Key) []byte {
	b := make([]byte, 0, indexKeySize)
	b = append(b, prefix, byte(k.Kind))
	return append(b, k.ID[:]...)
}

// parseIndexKey is the inverse of indexKey.
func parseIndexKey(b []byte) (store.Key, error) {
	if len(b) != indexKeySize {
		return store.Key{}, fmt.Errorf("key of %d bytes, want %d", len(b), indexKeySize)
	}
	return store.Key{Kind: store.Kind(b[1]), ID: [32]byte(b[2:])}, nil
}

func packKey(id uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{prefixPack}, id)
}

const packStateSize = 16

func (s packState) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(s.settled))
	return binary.BigEndian.AppendUint64(b, uint64(s.live))
}

func parsePackState(key, value []byte) (uint32, packState, error) {
	if len(key) != 5 || len(value) != packStateSize {
		return 0, packState{}, fmt.Errorf("pack entry of %d and %d bytes", len(key), len(value))
	}
	return binary.BigEndian.Uint32(key[1:]), packState{
		settled: int64(binary.BigEndian.Uint64(value)),
		live:    int64(binary.BigEndian.Uint64(value[8:])),
	}, nil
}

func (c counts) append(b []byte) []byte {
	for _, n := range c.contents {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return binary.BigEndian.AppendUint64(b, uint64(c.damaged))
}

func parseCounts(b []byte) (c counts, err error) {
	if len(b) != 8*(len(c.contents)+1) {
		return counts{}, fmt.Errorf("counts of %d bytes", len(b))
	}
	for i := range c.contents {
		c.contents[i] = int64(binary.BigEndian.Uint64(b[8*i:]))
	}
	c.damaged = int64(binary.BigEndian.Uint64(b[8*len(c.contents):]))
	return c, nil
}

// load reads the numbers.
func (x *index) load() error {
	v, closer, err := x.db.Get([]byte{prefixCounts})
	if err == nil {
		x.counts, err = parseCounts(v)
		err = errors.Join(err, closer.Close())
	}
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return err
	}
	return x.scan([]byte{prefixPack}, []byte{prefixPack + 1}, func(k, v []byte) (bool, error) {
		id, s, err := parsePackState(k, v)
		x.packs[id] = s
		return err == nil, err
	})
}

// scan calls fn for each key from from up to, not including, to, until it says
// false or an error. What fn gets is valid during the call.
func (x *index) scan(from, to []byte, fn func(k, v []byte) (bool, error)) (err error) {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("read index: %w", err)
		}
		if more, err := fn(it.Key(), v); err != nil || !more {
			return err
		}
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	return nil
}

// totals is the counts, and the bytes of all records in use.
func (x *index) totals() (counts, int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var live int64
	for _, s := range x.packs {
		live += s.live
	}
	return x.counts, live
}

// states is what is known about each pack.
func (x *index) states() map[uint32]packState {
	x.mu.Lock()
	defer x.mu.Unlock()
	return maps.Clone(x.packs)
}
