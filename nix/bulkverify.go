package nix

import (
	"crypto/ed25519"
	"crypto/sha512"
	"sync"

	"filippo.io/edwards25519"
)

// BulkVerifier verifies many signatures by few keys: the namespace that a node
// follows from scratch has a hundred thousand by one. Once it has seen enough of
// a key it works out multiples of the key's point, and verifies with these at a
// third of the cost. It accepts what [PublicKey.Verify] accepts, no more and no
// less: every signature is verified alone, by the equation of RFC 8032, 5.1.7
// without the cofactor, which is what Nix verifies. (Verifying a batch by one
// equation, as some do, accepts signatures that Nix refuses.)
//
// The zero value is ready, a nil one verifies without preparing anything, and
// several goroutines may use one. It holds up to [maxBulkPrepared] + 1 tables of
// 655 KB each; drop it when the many are done.
type BulkVerifier struct {
	mu       sync.Mutex
	keys     map[[ed25519.PublicKeySize]byte]*bulkKey
	prepared int

	once sync.Once
	base *multiples // of the base point; made with the first key's
}

// bulkKey is one key that a BulkVerifier has seen.
type bulkKey struct {
	seen    int
	negated *multiples // of minus the key's point; nil until it is prepared
}

// Verify is k.Verify(msg, s).
func (b *BulkVerifier) Verify(k PublicKey, msg []byte, s Signature) bool {
	if b == nil || k.Name != s.Name {
		return k.Verify(msg, s)
	}
	negated := b.negated(k.Key)
	if negated == nil {
		return k.Verify(msg, s)
	}
	return verifyPrepared(b.base, negated, k.Key, msg, s.Sig)
}

// negated returns the multiples of minus the key's point, nil if the key is not
// prepared. The caller whose signature makes a key worth it prepares it; the
// others do without meanwhile.
func (b *BulkVerifier) negated(key [ed25519.PublicKeySize]byte) *multiples {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.keys[key]
	if k == nil {
		if len(b.keys) == maxBulkKeys {
			return nil
		}
		if b.keys == nil {
			b.keys = make(map[[ed25519.PublicKeySize]byte]*bulkKey)
		}
		k = new(bulkKey)
		b.keys[key] = k
	}
	if k.seen++; k.seen == bulkWorth && b.prepared < maxBulkPrepared {
		b.prepared++
		b.mu.Unlock()
		m := b.prepare(key)
		b.mu.Lock()
		k.negated = m
	}
	return k.negated
}

func (b *BulkVerifier) prepare(key [ed25519.PublicKeySize]byte) *multiples {
	b.once.Do(func() { b.base = newMultiples(edwards25519.NewGeneratorPoint()) })
	a, err := new(edwards25519.Point).SetBytes(key[:])
	if err != nil {
		return nil
	}
	return newMultiples(a.Negate(a))
}

// verifyPrepared is ed25519.Verify: R = [S]B - [k]A, compared as it is encoded.
func verifyPrepared(base, negated *multiples, key [ed25519.PublicKeySize]byte, msg []byte, sig [ed25519.SignatureSize]byte) bool {
	h := sha512.New()
	h.Write(sig[:32])
	h.Write(key[:])
	h.Write(msg)
	var digest [sha512.Size]byte
	k, err := new(edwards25519.Scalar).SetUniformBytes(h.Sum(digest[:0]))
	if err != nil {
		return false
	}
	s, err := new(edwards25519.Scalar).SetCanonicalBytes(sig[32:])
	if err != nil {
		return false
	}
	r := edwards25519.NewIdentityPoint()
	base.add(r, s)
	negated.add(r, k)
	return [32]byte(r.Bytes()) == [32]byte(sig[:32])
}

// multiples are the multiples of one point by j·256^i, for j from 1 to 128 at
// [i][j-1]: any multiple of the point is a sum of 32 of them or their opposites.
type multiples [32][128]edwards25519.Point

func newMultiples(p *edwards25519.Point) *multiples {
	m := new(multiples)
	step := new(edwards25519.Point).Set(p)
	for i := range m {
		row := &m[i]
		row[0].Set(step)
		for j := 1; j < len(row); j++ {
			row[j].Add(&row[j-1], step)
		}
		step.Add(&row[127], &row[127])
	}
	return m
}

// add adds the s-fold of the point to r, in a time that depends on s: for
// verifying alone. s is taken as the whole number below the order of the base
// point that it is, which matters if the point is not of that order.
func (m *multiples) add(r *edwards25519.Point, s *edwards25519.Scalar) {
	carry := 0
	for i, digit := range s.Bytes() { // little-endian; the last is 16 at most
		d := int(digit) + carry
		carry = 0
		if d > 128 {
			d, carry = d-256, 1
		}
		switch {
		case d > 0:
			r.Add(r, &m[i][d-1])
		case d < 0:
			r.Subtract(r, &m[i][-d-1])
		}
	}
}
