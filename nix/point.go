package nix

import (
	"crypto/ed25519"
	"math/big"
	"slices"
)

// validPoint reports whether key is one that libsodium, and so Nix, verifies
// with: the canonical encoding (RFC 8032, 5.1.3) of a point on edwards25519
// that is not of small order. Under a key of small order anybody can forge.
func validPoint(key [ed25519.PublicKeySize]byte) bool {
	// The last byte's top bit is the sign of x; the rest is y, little-endian.
	bigEndian := key
	bigEndian[31] &= 0x7f
	slices.Reverse(bigEndian[:])
	y := new(big.Int).SetBytes(bigEndian[:])

	one := big.NewInt(1)
	p := new(big.Int).Lsh(one, 255)
	p.Sub(p, big.NewInt(19))
	if y.Cmp(p) >= 0 || smallOrder(y, p) {
		return false
	}

	// The curve is -x² + y² = 1 + d·x²·y² with d = -121665/121666, so that
	// x² = (y² - 1) / (d·y² + 1), which has a root if the product of the two
	// is a square. Both scaled by 121666 spare the division.
	y2 := new(big.Int).Mul(y, y)
	u := new(big.Int).Sub(y2, one)
	v := new(big.Int).Mul(y2, big.NewInt(-121665))
	v.Add(v, big.NewInt(121666))
	u.Mul(u, big.NewInt(121666))
	u.Mul(u, v)
	return big.Jacobi(u.Mod(u, p), p) >= 0
}

// smallOrder reports whether y belongs to one of the eight points whose order
// divides 8: y is 0, 1, -1, or ± the coordinate of the points of order 8.
func smallOrder(y, p *big.Int) bool {
	order8, _ := new(big.Int).SetString("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826", 16)
	for _, small := range []*big.Int{new(big.Int), big.NewInt(1), order8} {
		negated := new(big.Int).Sub(p, small)
		if y.Cmp(small) == 0 || y.Cmp(negated) == 0 {
			return true
		}
	}
	return false
}
