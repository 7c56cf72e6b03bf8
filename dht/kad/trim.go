package kad

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	ds "github.com/ipfs/go-datastore"
)

// count counts what is in the store. It reads all keys, a second for a million.
func (r *records) count(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total, r.bins = 0, [recordBins]int32{}
	return r.each(ctx, func(_, _, owner []byte) error {
		r.add(owner, 1)
		return nil
	})
}

// each calls fn for every record of others, with its place in the store, and the
// key and the peer in it, all valid until fn returns.
func (r *records) each(ctx context.Context, fn func(at, key, owner []byte) error) (err error) {
	it, err := r.db.NewIter(&pebble.IterOptions{
		LowerBound: []byte(recordPrefix),
		UpperBound: []byte("/providers0"), // '0' follows '/'
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.First(); it.Valid(); it.Next() {
		key, owner, ok := splitRecord(it.Key())
		if !ok || bytes.Equal(owner, r.self) {
			continue
		}
		if err := errors.Join(ctx.Err(), fn(it.Key(), key, owner)); err != nil {
			return err
		}
	}
	return it.Error()
}

// trim deletes records until no more than r.keep are left, those of the peers that
// have most: everybody keeps an equal share, and who has less than that keeps all.
// So nobody who floods this node takes the room of others.
func (r *records) trim(ctx context.Context) error {
	r.mu.Lock()
	share := fairShare(r.bins[:], r.keep)
	r.mu.Unlock()

	seen := make([]int32, recordBins)
	var batch []ds.Key
	err := r.each(ctx, func(at, _, owner []byte) error {
		bin := maphash.Bytes(r.seed, owner) % recordBins
		if seen[bin]++; seen[bin] <= share {
			return nil
		}
		batch = append(batch, ds.RawKey(string(at)))
		if len(batch) < keyBatch {
			return nil
		}
		err := r.deleteAll(ctx, batch)
		batch = batch[:0]
		return err
	})
	return errors.Join(err, r.deleteAll(ctx, batch))
}

func (r *records) deleteAll(ctx context.Context, keys []ds.Key) error {
	for _, k := range keys {
		if err := r.Delete(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

// fairShare returns the largest share such that, with nobody above it, at most
// keep are left in all.
func fairShare(counts []int32, keep int) int32 {
	sorted := slices.Sorted(slices.Values(counts))
	left := keep
	for i, c := range sorted {
		if each := left / (len(sorted) - i); int(c) > each {
			return int32(each)
		}
		left -= int(c)
	}
	return maxPerPeer
}
