package nix

import (
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"testing"

	"filippo.io/edwards25519"
)

// prepared returns a verifier for which the key is prepared.
func prepared(t testing.TB, k PublicKey) *BulkVerifier {
	t.Helper()
	b := new(BulkVerifier)
	for range bulkWorth {
		b.Verify(k, nil, Signature{Name: k.Name})
	}
	if _, err := new(edwards25519.Point).SetBytes(k.Key[:]); (b.negated(k.Key) != nil) != (err == nil) {
		t.Fatalf("%x: prepared %v, decoding it: %v", k.Key, b.negated(k.Key) != nil, err)
	}
	return b
}

// agree fails unless both ways to verify say the same, which it returns.
func agree(t testing.TB, b *BulkVerifier, k PublicKey, msg []byte, s Signature) bool {
	t.Helper()
	want := k.Verify(msg, s)
	if got := b.Verify(k, msg, s); got != want {
		t.Errorf("key %x, message %q, signature %x: %v in bulk, alone %v", k.Key, msg, s.Sig, got, want)
	}
	return want
}

func TestBulkVerifier(t *testing.T) {
	secret := testSecret(t, "bulk-1", 1)
	k := secret.Public()
	b := prepared(t, k)
	for i := range 300 {
		msg := []byte(fmt.Sprint("message ", i))
		good := secret.Sign(msg)
		if !agree(t, b, k, msg, good) {
			t.Fatal("a good signature is refused")
		}
		bad := good
		bad.Sig[i%64] ^= 1 << (i % 8)
		if agree(t, b, k, msg, bad) {
			t.Fatal("a bad signature is accepted")
		}
		if agree(t, b, k, append(msg, '!'), good) {
			t.Fatal("a signature of another message is accepted")
		}
		good.Name = "bulk-2"
		if agree(t, b, k, msg, good) {
			t.Fatal("a signature by another name is accepted")
		}
	}
}

// The order of the base point, which S has to be below, and S + order, which would say the same.
func TestBulkVerifierWantsSmallScalars(t *testing.T) {
	secret := testSecret(t, "bulk-1", 1)
	k := secret.Public()
	b := prepared(t, k)
	order, _ := hex.DecodeString("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	s := secret.Sign([]byte("x"))
	carry := 0
	for i, o := range order {
		sum := int(s.Sig[32+i]) + int(o) + carry
		s.Sig[32+i], carry = byte(sum), sum>>8
	}
	if carry != 0 || agree(t, b, k, []byte("x"), s) {
		t.Error("S + order is accepted")
	}
}

// Points with a part of small order, and odd encodings: whoever makes such a key can make signatures on which verifiers
// differ, unless they compute exactly the same.
func TestBulkVerifierOnOddKeys(t *testing.T) {
	// A point of order 8, from RFC 7748's curve by way of every survey of Ed25519 verifiers.
	raw, _ := hex.DecodeString("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
	torsion, err := new(edwards25519.Point).SetBytes(raw)
	if err != nil {
		t.Fatal(err)
	}
	wide := sha512.Sum512([]byte("a secret"))
	a, _ := new(edwards25519.Scalar).SetUniformBytes(wide[:])
	for n := range 8 { // the key is a·B + n·torsion
		key := new(edwards25519.Point).ScalarBaseMult(a)
		for range n {
			key.Add(key, torsion)
		}
		k := PublicKey{Name: "odd", Key: [32]byte(key.Bytes())}
		b := prepared(t, k)
		accepted := 0
		for i := range 64 {
			msg := []byte(fmt.Sprint(i))
			wide := sha512.Sum512(msg)
			r, _ := new(edwards25519.Scalar).SetUniformBytes(wide[:])
			s := Signature{Name: k.Name}
			copy(s.Sig[:], new(edwards25519.Point).ScalarBaseMult(r).Bytes())
			digest := sha512.Sum512(slices.Concat(s.Sig[:32], k.Key[:], msg))
			h, _ := new(edwards25519.Scalar).SetUniformBytes(digest[:])
			copy(s.Sig[32:], new(edwards25519.Scalar).MultiplyAdd(h, a, r).Bytes())
			if agree(t, b, k, msg, s) {
				accepted++
			}
		}
		if n == 0 && accepted != 64 || n > 0 && (accepted == 0 || accepted == 64) {
			t.Errorf("n = %d: %d of 64 accepted; the test does not test what it should", n, accepted)
		}
	}

	for _, key := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000", // the neutral element
		"0100000000000000000000000000000000000000000000000000000000000080", // the same with the wrong sign
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // the same, y above the prime
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // y = 0, above the prime
		"0200000000000000000000000000000000000000000000000000000000000000", // no point
	} {
		raw, _ := hex.DecodeString(key)
		k := PublicKey{Name: "odd", Key: [32]byte(raw)}
		b := prepared(t, k)
		for _, r := range []*edwards25519.Point{edwards25519.NewIdentityPoint(), edwards25519.NewGeneratorPoint(), torsion} {
			for s := range 3 {
				sig := Signature{Name: k.Name}
				copy(sig.Sig[:], r.Bytes())
				sig.Sig[32] = byte(s)
				agree(t, b, k, []byte(key), sig)
			}
		}
	}
}

func TestMultiples(t *testing.T) {
	m := newMultiples(edwards25519.NewGeneratorPoint())
	one, _ := new(edwards25519.Scalar).SetCanonicalBytes(append([]byte{1}, make([]byte, 31)...))
	scalars := []*edwards25519.Scalar{edwards25519.NewScalar(), one, new(edwards25519.Scalar).Negate(one)}
	for i := range 32 { // bytes at the edges of what becomes negative, with and without a carry
		for _, v := range []byte{127, 128, 129, 255} {
			raw := make([]byte, 32)
			raw[i] = v
			for j := range i {
				raw[j] = 128 + byte(i%2)
			}
			if s, err := new(edwards25519.Scalar).SetCanonicalBytes(raw); err == nil {
				scalars = append(scalars, s)
			}
		}
	}
	for _, s := range scalars {
		got := edwards25519.NewIdentityPoint()
		m.add(got, s)
		if got.Equal(new(edwards25519.Point).ScalarBaseMult(s)) != 1 {
			t.Errorf("%x times the base point is wrong", s.Bytes())
		}
	}
}

// Strangers may make a namespace with very many writers: few are prepared, and all are verified.
func TestBulkVerifierIsBounded(t *testing.T) {
	b := new(BulkVerifier)
	for i := range maxBulkKeys + 10 {
		secret := testSecret(t, "bulk-1", byte(i))
		k := secret.Public()
		k.Key[0] ^= byte(i >> 8) // perhaps no point, and then never valid
		s := secret.Sign([]byte("x"))
		for range bulkWorth + 1 {
			agree(t, b, k, []byte("x"), s)
			if i > 2*maxBulkPrepared {
				break
			}
		}
	}
	tables := 0
	for _, k := range b.keys {
		if k.negated != nil {
			tables++
		}
	}
	if tables != maxBulkPrepared || len(b.keys) > maxBulkKeys {
		t.Errorf("%d keys prepared of %d", tables, len(b.keys))
	}
}

func TestBulkVerifierFromManyGoroutines(t *testing.T) {
	b := new(BulkVerifier)
	secret := testSecret(t, "bulk-1", 1)
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range bulkWorth {
				msg := []byte{byte(g), byte(i)}
				if !b.Verify(secret.Public(), msg, secret.Sign(msg)) {
					t.Error("a good signature is refused")
				}
			}
		})
	}
	all.Wait()
	if b.negated(secret.Public().Key) == nil {
		t.Error("never prepared")
	}
}

func FuzzBulkVerifier(f *testing.F) {
	secret := testSecret(f, "bulk-1", 1)
	sig := secret.Sign([]byte("x")).Sig
	key := secret.Public().Key
	f.Add(key[:], []byte("x"), sig[:])
	odd, _ := hex.DecodeString("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
	f.Add(odd, []byte("x"), append(odd, make([]byte, 32)...))
	f.Fuzz(func(t *testing.T, key, msg, sig []byte) {
		if len(key) != ed25519.PublicKeySize || len(sig) != ed25519.SignatureSize {
			return
		}
		k := PublicKey{Name: "fuzz", Key: [32]byte(key)}
		agree(t, prepared(t, k), k, msg, Signature{Name: k.Name, Sig: [64]byte(sig)})
	})
}

func BenchmarkVerify(b *testing.B) {
	secret := testSecret(b, "bulk-1", 1)
	k, msg := secret.Public(), make([]byte, 500)
	s := secret.Sign(msg)
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			if !k.Verify(msg, s) {
				b.Fatal("refused")
			}
		}
	})
	b.Run("bulk", func(b *testing.B) {
		bulk := prepared(b, k)
		for b.Loop() {
			if !bulk.Verify(k, msg, s) {
				b.Fatal("refused")
			}
		}
	})
	b.Run("prepare", func(b *testing.B) {
		for b.Loop() {
			new(BulkVerifier).prepare(k.Key)
		}
	})
}
