package httpgateway

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// errBeyondEnd: a well-formed range that holds no byte of the archive. HTTP
// says 416 to that, which Nix takes for an error of the build; it gets 404.
var errBeyondEnd = errors.New("range begins beyond the end")

// byteRange is a part of size bytes: n of them, from off.
type byteRange struct {
	off, n, size int64
	partial      bool // 206: the client asked for a range, though perhaps for all
}

// parseRange reads a Range header (RFC 9110, section 14.2) against an archive
// of size bytes, size > 0. No header, another unit, several ranges and whatever
// is malformed mean the whole, which RFC 9110 allows; only errBeyondEnd is an
// error.
func parseRange(header string, size int64) (byteRange, error) {
	whole := byteRange{n: size, size: size}
	unit, spec, ok := strings.Cut(header, "=")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return whole, nil
	}
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return whole, nil
	}
	if first == "" {
		return suffixRange(last, size)
	}
	from, ok := parseOffset(first)
	if !ok {
		return whole, nil
	}
	to := int64(math.MaxInt64)
	if last != "" {
		if to, ok = parseOffset(last); !ok || to < from {
			return whole, nil
		}
	}
	if from >= size {
		return byteRange{}, errBeyondEnd
	}
	return byteRange{off: from, n: min(to, size-1) - from + 1, size: size, partial: true}, nil
}

// suffixRange is "-N", the last N bytes.
func suffixRange(last string, size int64) (byteRange, error) {
	n, ok := parseOffset(last)
	if !ok {
		return byteRange{n: size, size: size}, nil
	}
	if n == 0 {
		return byteRange{}, errBeyondEnd
	}
	n = min(n, size)
	return byteRange{off: size - n, n: n, size: size, partial: true}, nil
}

// parseOffset reads 1*DIGIT. What exceeds 63 bits is as good as the largest
// number: no archive is so long.
func parseOffset(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		if n > (math.MaxInt64-int64(d))/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + int64(d)
	}
	return n, true
}

// contentRange is the Content-Range header of a 206.
func (b byteRange) contentRange() string {
	h := make([]byte, 0, 64)
	h = append(h, "bytes "...)
	h = strconv.AppendInt(h, b.off, 10)
	h = append(h, '-')
	h = strconv.AppendInt(h, b.off+b.n-1, 10)
	h = append(h, '/')
	h = strconv.AppendInt(h, b.size, 10)
	return string(h)
}
