package store

import (
	"bytes"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// skippable is a skippable frame of RFC 8878 section 3.1.2 with two bytes.
var skippable = []byte{0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 'h', 'i'}

func encodeWith(t testing.TB, raw []byte, o ...zstd.EOption) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil, o...)
	if err != nil {
		t.Fatal(err)
	}
	return e.EncodeAll(raw, nil)
}

func TestIsSingleFrame(t *testing.T) {
	for _, size := range []int{1, 255, 256, 257, 65535, 65536, 65791, 65792, 200000} {
		raw := bytes.Repeat([]byte("flurry "), size/7+1)[:size]
		for name, o := range map[string][]zstd.EOption{
			"ours":     {zstd.WithSingleSegment(true), zstd.WithEncoderCRC(false)},
			"checksum": {zstd.WithSingleSegment(true), zstd.WithEncoderCRC(true)},
		} {
			z := encodeWith(t, raw, o...)
			if !isSingleFrame(z, size) {
				t.Errorf("%s, %d bytes: refused", name, size)
			}
			for what, bad := range map[string][]byte{
				"cut":             z[:len(z)-1],
				"trailing byte":   append(bytes.Clone(z), 0),
				"twice":           append(bytes.Clone(z), z...),
				"skippable after": append(bytes.Clone(z), skippable...),
				"skippable first": append(bytes.Clone(skippable), z...),
				"nothing":         nil,
			} {
				if isSingleFrame(bad, size) {
					t.Errorf("%s, %d bytes, %s: taken", name, size, what)
				}
			}
			if isSingleFrame(z, size+1) || isSingleFrame(z, size-1) {
				t.Errorf("%s, %d bytes: taken with another size", name, size)
			}
		}
	}
}

func TestIsSingleFrameHeaders(t *testing.T) {
	raw := bytes.Repeat([]byte("flurry "), 100)
	z := encodeWith(t, raw, zstd.WithSingleSegment(true), zstd.WithEncoderCRC(false))
	for name, bits := range map[string]byte{"reserved bit": descReserved, "dictionary": 1} {
		bad := bytes.Clone(z)
		bad[4] |= bits
		if isSingleFrame(bad, len(raw)) {
			t.Errorf("%s: taken", name)
		}
	}
	// A frame that does not state its size, as streams are written.
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]byte{raw, raw} {
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if isSingleFrame(buf.Bytes(), 2*len(raw)) {
		t.Error("a frame without a size: taken")
	}
}

// FuzzIsSingleFrame checks the walk against the decoder: what it takes and
// what decodes is one frame, so that appending a byte breaks it and decoding
// gives the stated size.
func FuzzIsSingleFrame(f *testing.F) {
	raw := bytes.Repeat([]byte("flurry "), 50)
	f.Add(encodeWith(f, raw, zstd.WithSingleSegment(true)), len(raw))
	f.Add(append(bytes.Clone(skippable), skippable...), 0)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		if !isSingleFrame(data, n) || n > 1<<20 {
			return
		}
		if isSingleFrame(append(bytes.Clone(data), 0), n) {
			t.Fatal("taken with a byte more")
		}
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2<<20))
		if err != nil {
			t.Fatal(err)
		}
		if out, err := d.DecodeAll(data, nil); err == nil && len(out) != n {
			t.Fatalf("decodes to %d bytes, header says %d", len(out), n)
		}
	})
}
