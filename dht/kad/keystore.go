package kad

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/ipfs/go-libdht/kad/key/bitstr"
	"github.com/libp2p/go-libp2p-kad-dht/provider/keystore"
	mh "github.com/multiformats/go-multihash"

	"github.com/flurry-nix/flurry/dht"
)

// The library's provider reads what is provided through these methods.
var _ keystore.Keystore = (*provided)(nil)

// Get implements [keystore.Keystore].
func (p *provided) Get(ctx context.Context, prefix bitstr.Key) (out []mh.Multihash, err error) {
	err = p.scan(prefix, func(k dht.Key, _ byte) bool {
		out = append(out, k.Multihash())
		return ctx.Err() == nil
	})
	return out, errors.Join(err, ctx.Err())
}

// CountKeysUpTo implements [keystore.Keystore].
func (p *provided) CountKeysUpTo(ctx context.Context, prefix bitstr.Key, limit int) (n int, err error) {
	err = p.scan(prefix, func(dht.Key, byte) bool {
		n++
		return (limit <= 0 || n < limit) && ctx.Err() == nil
	})
	return n, errors.Join(err, ctx.Err())
}

// ContainsPrefix implements [keystore.Keystore].
func (p *provided) ContainsPrefix(ctx context.Context, prefix bitstr.Key) (bool, error) {
	n, err := p.CountKeysUpTo(ctx, prefix, 1)
	return n > 0, err
}

// Size implements [keystore.Keystore].
func (p *provided) Size(context.Context) (int, error) {
	size, _ := p.counts()
	return size, nil
}

// BatchSize implements [keystore.Keystore].
func (p *provided) BatchSize() int { return keyBatch }

// Put implements [keystore.Keystore] without effect: keys come by add alone, so
// that no key that was withdrawn meanwhile comes back.
func (p *provided) Put(context.Context, ...mh.Multihash) ([]mh.Multihash, error) { return nil, nil }

// Delete implements [keystore.Keystore] without effect: keys go by remove alone.
func (p *provided) Delete(context.Context, ...mh.Multihash) error { return nil }

// Empty implements [keystore.Keystore] without effect.
func (p *provided) Empty(context.Context) error { return nil }

// Close implements [keystore.Keystore]. The store stays open.
func (p *provided) Close() error { return nil }

// bounds returns the range of the store in which the places that begin with the
// bits of prefix stand, the upper bound exclusive.
func bounds(prefix bitstr.Key) (lower, upper []byte) {
	bits := min(prefix.BitLen(), 8*sha256.Size)
	lower = make([]byte, 1, 2+bits/8)
	lower[0] = providedPrefix
	for i := range bits {
		if i%8 == 0 {
			lower = append(lower, 0)
		}
		lower[1+i/8] |= byte(prefix.Bit(i)) << (7 - i%8)
	}
	upper = append([]byte(nil), lower...)
	step := byte(1)
	if r := bits % 8; r != 0 {
		step <<= 8 - r
	}
	for i := len(upper) - 1; i >= 0; i-- {
		if upper[i] += step; upper[i] != 0 {
			break
		}
		step = 1 // carry
	}
	return lower, upper
}
