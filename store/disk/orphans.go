package disk

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/flurry-nix/flurry/store"
)

// page reads up to pageKeys entries from from on. next is where the page after it begins, nil when there is none.
func (x *index) page(from []byte) (page []entry, next []byte, err error) {
	err = x.scan(from, []byte{prefixContent + 1}, func(key, value []byte) (bool, error) {
		if len(page) == pageKeys {
			next = slices.Clone(key)
			return false, nil
		}
		e, err := parseEntry(key, value)
		page = append(page, e)
		return true, err
	})
	return page, next, err
}

func parseEntry(key, value []byte) (entry, error) {
	k, err := parseIndexKey(key)
	if err != nil {
		return entry{}, err
	}
	at, err := parseLocation(value)
	return entry{k, at}, err
}

// orphans is since when what lies between two keys, both included, was found orphaned.
func (x *index) orphans(first, last store.Key) (since map[store.Key]time.Time, err error) {
	since = make(map[store.Key]time.Time)
	to := append(indexKey(prefixOrphan, last), 0)
	err = x.scan(indexKey(prefixOrphan, first), to, func(key, value []byte) (bool, error) {
		k, err := parseIndexKey(key)
		if err == nil && len(value) != 8 {
			err = fmt.Errorf("orphan's time of %d bytes, want 8", len(value))
		}
		if err != nil {
			return false, err
		}
		since[k] = time.Unix(int64(binary.BigEndian.Uint64(value)), 0)
		return true, nil
	})
	return since, err
}

// sweep does what was judged. The write is not synced: what it took out of use is still in its pack, and back after a crash
// that comes before the next write that is.
func (x *index) sweep(j judged, now time.Time) error {
	return x.update(pebble.NoSync, func(c *change) error {
		for _, e := range j.gone {
			if err := c.drop(e.key); err != nil {
				return err
			}
		}
		for _, k := range j.mark {
			if err := c.b.Set(indexKey(prefixOrphan, k), binary.BigEndian.AppendUint64(nil, uint64(now.Unix())), nil); err != nil {
				return err
			}
		}
		for _, k := range j.unmark {
			if err := c.b.Delete(indexKey(prefixOrphan, k), nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// drop takes k out of use, wherever it lies now.
func (c *change) drop(k store.Key) error {
	at, ok, err := c.x.get(k)
	if err != nil || !ok {
		return err
	}
	c.leave(k, at)
	if err := c.b.Delete(indexKey(prefixContent, k), nil); err != nil {
		return err
	}
	return c.b.Delete(indexKey(prefixOrphan, k), nil)
}

// forget takes packs, of which nothing is in use and which are gone, out of the index; their numbers stay used. The one with
// the largest number stays there to say so.
func (x *index) forget(ids []uint32) error {
	var last uint32
	for id := range x.states() {
		last = max(last, id)
	}
	return x.update(pebble.NoSync, func(c *change) error {
		for _, id := range ids {
			if id == last {
				continue
			}
			if err := c.b.Delete(packKey(id), nil); err != nil {
				return err
			}
			c.gone = append(c.gone, id)
		}
		return nil
	})
}

// sync returns once every write so far would survive a loss of power.
func (x *index) sync() error {
	if err := x.room(); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	if err := x.db.LogData(nil, pebble.Sync); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return nil
}
