package wire

import "encoding/binary"

// The append functions write one field each, and nothing for a zero value.

func appendUint(b []byte, num int, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(num)<<3|typeVarint)
	return binary.AppendUvarint(b, v)
}

func appendFlag(b []byte, num int, v bool) []byte {
	if !v {
		return b
	}
	return appendUint(b, num, 1)
}

func appendBytes[T string | []byte](b []byte, num int, v T) []byte {
	return append(appendLength(b, num, len(v)), v...)
}

// appendLength writes what comes before n bytes of a field.
func appendLength(b []byte, num, n int) []byte {
	if n == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(num)<<3|typeBytes)
	return binary.AppendUvarint(b, uint64(n))
}

// appendDigest writes nothing for the zero digest.
func appendDigest(b []byte, num int, id [32]byte) []byte {
	if id == [32]byte{} {
		return b
	}
	return appendBytes(b, num, id[:])
}

func appendPacked(b []byte, num int, list []uint64) []byte {
	n := 0
	for _, v := range list {
		n += varintLen(v)
	}
	b = appendLength(b, num, n)
	for _, v := range list {
		b = binary.AppendUvarint(b, v)
	}
	return b
}
