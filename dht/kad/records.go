package kad

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-base32"
)

// errQuota is why a record of a stranger is not kept.
var errQuota = errors.New("no room for the provider record")

// The library keeps a record at /providers/KEY/PEER, both in base 32
// (go-libp2p-kad-dht, records/providers_manager.go).
const recordPrefix = "/providers/"

// records is the datastore of provider records. The library bounds nothing: here
// they are bounded in all, by peer and by key. Records that are there are always
// renewed, and those of this node always kept.
type records struct {
	ds.Batching // what reads
	db          *db
	self        []byte      // how this node is spelled in keys
	accept      func() bool // whether the disk has room
	seed        maphash.Seed
	max, keep   int           // from how many records on they are trimmed, and to how many
	full        chan struct{} // holds one token when records were refused

	mu      sync.Mutex // of writes of others' records, and of what follows
	total   int
	refused uint64            // since the start
	bins    [recordBins]int32 // by a hash of the peer
}

var _ ds.Batching = (*records)(nil)

func newRecords(d *db, self peer.ID, accept func() bool) *records {
	return &records{
		Batching: d.ds,
		db:       d,
		self:     []byte(base32.RawStdEncoding.EncodeToString([]byte(self))),
		accept:   accept,
		seed:     maphash.MakeSeed(),
		max:      maxRecords,
		keep:     keepRecords,
		full:     make(chan struct{}, 1),
	}
}

// splitRecord returns the key and the peer in a record's place.
func splitRecord(at []byte) (key, owner []byte, ok bool) {
	rest, ok := bytes.CutPrefix(at, []byte(recordPrefix))
	if !ok {
		return nil, nil, false
	}
	key, owner, ok = bytes.Cut(rest, []byte("/"))
	return key, owner, ok && len(key) > 0 && len(owner) > 0 && !bytes.ContainsRune(owner, '/')
}

// bin is the counter of a peer.
func (r *records) bin(owner []byte) *int32 {
	return &r.bins[maphash.Bytes(r.seed, owner)%recordBins]
}

// add is called with mu held.
func (r *records) add(owner []byte, n int) {
	r.total += n
	*r.bin(owner) += int32(n)
}

// Put implements [ds.Datastore]. A record that there is no room for is dropped
// without an error: the library would answer one by resetting the stream, and lose
// the records that follow it there.
func (r *records) Put(ctx context.Context, k ds.Key, v []byte) error {
	key, owner, ok := splitRecord(k.Bytes())
	if !ok {
		return fmt.Errorf("%s is not where a provider record stands", k)
	}
	if bytes.Equal(owner, r.self) {
		return r.db.ds.Put(ctx, k, v)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	found, err := has(r.db, k.Bytes())
	if err != nil {
		return err
	}
	if !found {
		err := r.admit(key, owner)
		if errors.Is(err, errQuota) {
			r.refused++
			return nil
		}
		if err != nil {
			return err
		}
	}
	if err := r.db.ds.Put(ctx, k, v); err != nil {
		return err
	}
	if !found {
		r.add(owner, 1)
	}
	return nil
}

// admit reports why there is no room for another record. It is called with mu
// held.
func (r *records) admit(key, owner []byte) error {
	switch {
	case r.total >= r.max:
		select {
		case r.full <- struct{}{}:
		default:
		}
		return fmt.Errorf("%w: %d are kept", errQuota, r.total)
	case *r.bin(owner) >= maxPerPeer:
		return fmt.Errorf("%w: its peer has %d", errQuota, *r.bin(owner))
	case !r.accept():
		return fmt.Errorf("%w: the disk is full", errQuota)
	}
	n, err := r.holders(key, maxPerKey)
	if err == nil && n >= maxPerKey {
		err = fmt.Errorf("%w: its key has %d", errQuota, n)
	}
	return err
}

// holders counts the records of one key that are not this node's, up to limit.
func (r *records) holders(key []byte, limit int) (n int, err error) {
	lower := slices.Concat([]byte(recordPrefix), key, []byte("/"))
	upper := slices.Concat([]byte(recordPrefix), key, []byte("0"))
	it, err := r.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.First(); it.Valid() && n < limit; it.Next() {
		if !bytes.Equal(it.Key()[len(lower):], r.self) {
			n++
		}
	}
	return n, it.Error()
}

// Delete implements [ds.Datastore].
func (r *records) Delete(ctx context.Context, k ds.Key) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, err := has(r.db, k.Bytes())
	if err != nil || !found {
		return err
	}
	if err := r.db.ds.Delete(ctx, k); err != nil {
		return err
	}
	if _, owner, ok := splitRecord(k.Bytes()); ok && !bytes.Equal(owner, r.self) {
		r.add(owner, -1)
	}
	return nil
}

// Batch implements [ds.Batching].
func (r *records) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(r), nil }

// forget deletes this node's own record of k, so that it no longer names itself.
func (r *records) forget(ctx context.Context, multihash []byte) error {
	key := base32.RawStdEncoding.EncodeToString(multihash)
	return r.db.ds.Delete(ctx, ds.RawKey(recordPrefix+key+"/"+string(r.self)))
}

// counts returns how many records of others are kept, and how many were refused
// since the start.
func (r *records) counts() (kept int, refused uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total, r.refused
}
