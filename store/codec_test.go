package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/storetest"
)

func TestCodecRoundTrip(t *testing.T) {
	c := store.NewCodec()
	for _, size := range []int{1, 16, 31, 32, 1000, 75 << 10, store.KindChunk.MaxRaw(), 3 << 20} {
		for name, make := range map[string]func(uint64, int) (store.Key, []byte){"chunk": storetest.Chunk, "noise": storetest.Noise} {
			_, raw := make(7, size)
			f := c.Encode(nil, raw)
			if len(f.Data) > len(raw) {
				t.Errorf("%s of %d: %d bytes", name, size, len(f.Data))
			}
			if want := store.Zstd; name == "chunk" && size >= 1000 && f.Encoding != want {
				t.Errorf("%s of %d: kept %v", name, size, f.Encoding)
			}
			if name == "noise" && f.Encoding != store.Raw {
				t.Errorf("%s of %d: kept %v", name, size, f.Encoding)
			}
			prefix := []byte("before")
			got, err := c.Decode(prefix, f)
			if err != nil || !bytes.Equal(got, append(prefix, raw...)) {
				t.Errorf("%s of %d: decoded %d bytes, %v", name, size, len(got), err)
			}
		}
	}
}

// A frame that expands beyond what it says must not be expanded.
func TestDecodeBomb(t *testing.T) {
	c := store.NewCodec()
	bomb := bytes.Repeat([]byte{0}, 32<<20)
	sized := encode(t, bomb)
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf)
	if err != nil {
		t.Fatal(err)
	}
	for part := bomb; len(part) > 0; part = part[1<<20:] { // no content size in the header
		if _, err := w.Write(part[:1<<20]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, z := range map[string][]byte{"sized": sized, "unsized": buf.Bytes(), "many": bytes.Repeat(encode(t, bomb[:1000]), 1000)} {
		f := store.Frame{Encoding: store.Zstd, RawLength: 1 << 16, Data: z}
		room := make([]byte, 0, 1<<20)
		if _, err := c.Decode(room, f); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v; want ErrCorrupt", name, err)
		}
		used := room[:cap(room)]
		for i := range used {
			used[i] = 1
		}
		_, _ = c.Decode(room, f)
		if i := bytes.IndexByte(used[1<<16+16:], 0); i >= 0 {
			t.Errorf("%s: wrote %d bytes beyond its length", name, i+1)
		}
	}
}

func TestDecodeLengths(t *testing.T) {
	c := store.NewCodec()
	_, raw := storetest.Chunk(1, 5000)
	z := encode(t, raw)
	for _, f := range []store.Frame{
		{Encoding: store.Zstd, RawLength: 4999, Data: z},
		{Encoding: store.Zstd, RawLength: 5001, Data: z},
		{Encoding: store.Zstd, RawLength: -1, Data: z},
		{Encoding: store.Zstd, RawLength: 1 << 40, Data: z},
		{Encoding: store.Raw, RawLength: 4999, Data: raw},
		{Encoding: 2, RawLength: 5000, Data: raw},
	} {
		if _, err := c.Decode(nil, f); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%v of %d: %v; want ErrCorrupt", f.Encoding, f.RawLength, err)
		}
	}
}

func TestDecodeAllocates(t *testing.T) {
	c := store.NewCodec()
	_, raw := storetest.Chunk(1, 75<<10)
	f := c.Encode(nil, raw)
	buf := make([]byte, 0, len(raw)+16)
	// Many runs: the library's pool may be emptied at any time, and with -race drops some of what is put there.
	if n := testing.AllocsPerRun(2000, func() {
		if _, err := c.Decode(buf, f); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("Decode into a buffer with room allocates %v times", n)
	}
}

func FuzzDecode(f *testing.F) {
	_, raw := storetest.Chunk(1, 500)
	f.Add(byte(1), 500, encode(f, raw))
	f.Add(byte(0), 500, raw)
	c := store.NewCodec()
	f.Fuzz(func(t *testing.T, e byte, n int, data []byte) {
		out, err := c.Decode(nil, store.Frame{Encoding: store.Encoding(e), RawLength: n, Data: data})
		if err == nil && len(out) != n {
			t.Fatalf("%d bytes for %d", len(out), n)
		}
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("error %v does not wrap ErrCorrupt", err)
		}
	})
}

func encode(t testing.TB, raw []byte) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true), zstd.WithAllLitEntropyCompression(true))
	if err != nil {
		t.Fatal(err)
	}
	return e.EncodeAll(raw, nil)
}

func BenchmarkEncode(b *testing.B) {
	for name, make := range map[string]func(uint64, int) (store.Key, []byte){"text": storetest.Chunk, "noise": storetest.Noise} {
		b.Run(name, func(b *testing.B) {
			c := store.NewCodec()
			_, raw := make(1, 75<<10)
			buf := []byte(nil)
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				f := c.Encode(buf[:0], raw)
				if f.Encoding == store.Zstd {
					buf = f.Data
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	c := store.NewCodec()
	_, raw := storetest.Chunk(1, 75<<10)
	f := c.Encode(nil, raw)
	buf := make([]byte, 0, len(raw)+16)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Decode(buf, f); err != nil {
			b.Fatal(fmt.Errorf("decode: %w", err))
		}
	}
}
