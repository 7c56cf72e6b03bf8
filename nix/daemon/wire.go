package daemon

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// The protocol's values: integers of 64 bits, little-endian; strings as length,
// bytes, and zeros up to a multiple of 8; lists as number and items.

func appendUint(b []byte, n uint64) []byte { return binary.LittleEndian.AppendUint64(b, n) }

func appendString(b []byte, s string) []byte {
	b = appendUint(b, uint64(len(s)))
	b = append(b, s...)
	const zeros = "\x00\x00\x00\x00\x00\x00\x00"
	return append(b, zeros[:padding(len(s))]...)
}

func padding(n int) int { return -n & 7 }

// reader reads the protocol's values. An end in the middle of one is an
// io.ErrUnexpectedEOF, one between two an io.EOF.
type reader struct {
	r *bufio.Reader
}

func (r reader) uint() (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(r.r, b[:]); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// count reads a number that may be at most limit.
func (r reader) count(what string, limit int) (int, error) {
	n, err := r.uint()
	if err != nil {
		return 0, err
	}
	if n > uint64(limit) {
		return 0, fmt.Errorf("the Nix daemon sends %s of %d, at most %d are allowed", what, n, limit)
	}
	return int(n), nil
}

// flag reads a truth value: zero is false.
func (r reader) flag() (bool, error) {
	n, err := r.uint()
	return n != 0, err
}

func (r reader) string(limit int) (string, error) {
	n, err := r.count("a string", limit)
	if err != nil {
		return "", err
	}
	buf := make([]byte, n+padding(n))
	if _, err := io.ReadFull(r.r, buf); err != nil {
		return "", unexpected(err)
	}
	for _, b := range buf[n:] {
		if b != 0 {
			return "", fmt.Errorf("the Nix daemon sends a string with padding that is not zero")
		}
	}
	return string(buf[:n]), nil
}

// strings reads a list of at most limit strings.
func (r reader) strings(limit int) ([]string, error) {
	n, err := r.count("a list", limit)
	if err != nil {
		return nil, err
	}
	var list []string
	for range n {
		s, err := r.string(maxString)
		if err != nil {
			return nil, unexpected(err)
		}
		list = append(list, s)
	}
	return list, nil
}

// unexpected is for ends where a value had begun.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
