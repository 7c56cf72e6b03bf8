package kad

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/go-libdht/kad/key/bitstr"

	"github.com/flurry-nix/flurry/dht"
)

// In the store, a provided key stands at providedPrefix and its place in the
// keyspace, SHA-256 of its multihash, as one byte of state and the key.
const (
	providedPrefix = 'k'

	stateUntold byte = 0 // no other node has taken a record of it yet
	stateTold   byte = 1
)

var errStoredKey = errors.New("a provided key in the DHT's store is damaged")

// provided is the keys that this node provides. It alone decides that: the
// library's provider reads it as its keystore, and cannot add to it or take from
// it. Writes are on disk when they return.
//
// It remembers which keys no other node was told yet. The library forgets these
// when the process ends, and when it is offline for long.
type provided struct {
	db *db

	mu     sync.Mutex // of writes, and of what follows
	size   int
	untold int
}

func openProvided(d *db) (*provided, error) {
	p := &provided{db: d}
	err := p.scan("", func(_ dht.Key, state byte) bool {
		p.size++
		if state == stateUntold {
			p.untold++
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

func storeKey(k dht.Key) []byte {
	place := sha256.Sum256(k.Multihash())
	return append([]byte{providedPrefix}, place[:]...)
}

// add makes keys provided, and returns those that were not, without duplicates.
func (p *provided) add(keys []dht.Key) (added []dht.Key, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.db.NewIndexedBatch()
	defer func() { err = errors.Join(err, b.Close()) }()
	for _, k := range keys {
		at := storeKey(k)
		if found, err := has(b, at); err != nil {
			return nil, err
		} else if found {
			continue
		}
		if err := b.Set(at, append([]byte{stateUntold}, k[:]...), nil); err != nil {
			return nil, err
		}
		added = append(added, k)
	}
	if len(added) == 0 {
		return nil, nil
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return nil, err
	}
	p.size += len(added)
	p.untold += len(added)
	return added, nil
}

func has(r pebble.Reader, at []byte) (bool, error) {
	_, closer, err := r.Get(at)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, closer.Close()
}

// remove ends providing keys.
func (p *provided) remove(keys []dht.Key) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.db.NewIndexedBatch()
	defer func() { err = errors.Join(err, b.Close()) }()
	size, untold := 0, 0
	for _, k := range keys {
		at := storeKey(k)
		v, closer, err := b.Get(at)
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if size++; len(v) > 0 && v[0] == stateUntold {
			untold++
		}
		if err := errors.Join(closer.Close(), b.Delete(at, nil)); err != nil {
			return err
		}
	}
	if size == 0 {
		return nil
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return err
	}
	p.size -= size
	p.untold -= untold
	return nil
}

// state returns whether k is provided and whether anybody was told.
func (p *provided) state(k dht.Key) (told, found bool, err error) {
	v, found, err := p.db.get(storeKey(k))
	if err != nil || !found {
		return false, false, err
	}
	_, state, err := decode(v)
	return state == stateTold, true, err
}

// setTold notes that another node has taken a record of k. It need not be durable:
// a key that is told once more does no harm.
func (p *provided) setTold(k dht.Key) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	told, found, err := p.state(k)
	if err != nil || !found || told {
		return err
	}
	if err := p.db.Set(storeKey(k), append([]byte{stateTold}, k[:]...), pebble.NoSync); err != nil {
		return err
	}
	p.untold--
	return nil
}

// counts returns how many keys are provided, and how many of them nobody was told.
func (p *provided) counts() (size, untold int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size, p.untold
}

// untoldFrom returns up to max keys that nobody was told, from the one after
// after on in the order of the keyspace, and the last that it looked at. When none
// are left it returns no keys.
func (p *provided) untoldFrom(after *dht.Key, max int) (keys []dht.Key, err error) {
	lower := []byte{providedPrefix}
	if after != nil {
		lower = append(storeKey(*after), 0)
	}
	err = p.scanRange(lower, []byte{providedPrefix + 1}, func(k dht.Key, state byte) bool {
		if state == stateUntold {
			keys = append(keys, k)
		}
		return len(keys) < max
	})
	return keys, err
}

// scan calls fn for each key whose place begins with the bits of prefix, until it
// returns false.
func (p *provided) scan(prefix bitstr.Key, fn func(k dht.Key, state byte) bool) error {
	lower, upper := bounds(prefix)
	return p.scanRange(lower, upper, fn)
}

func (p *provided) scanRange(lower, upper []byte, fn func(k dht.Key, state byte) bool) (err error) {
	it, err := p.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.First(); it.Valid(); it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		k, state, err := decode(v)
		if err != nil {
			return err
		}
		if !fn(k, state) {
			return nil
		}
	}
	return it.Error()
}

func decode(v []byte) (k dht.Key, state byte, err error) {
	if len(v) != 1+len(k) || v[0] > stateTold {
		return k, 0, fmt.Errorf("%w: %x", errStoredKey, v[:min(len(v), 40)])
	}
	return dht.Key(v[1:]), v[0], nil
}
