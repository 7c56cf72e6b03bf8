package transfer_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/flurry-nix/flurry/transfer"
)

// chunks are what a sender might compress: text, noise, zeros (RLE blocks),
// one byte, and more than one block.
func chunks() [][]byte {
	noise := make([]byte, 300_000)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(noise)
	return [][]byte{
		[]byte("a"),
		[]byte(strings.Repeat("the quick brown fox ", 900)),
		noise[:20_000],
		make([]byte, 262_144),
		noise[:262_144],
		append(bytes.Repeat([]byte{7}, 200_000), noise[:60_000]...),
	}
}

func encoders(t testing.TB) []*zstd.Encoder {
	var all []*zstd.Encoder
	for _, opts := range [][]zstd.EOption{
		{zstd.WithEncoderLevel(zstd.SpeedFastest)},
		{zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderCRC(false)},
		{zstd.WithSingleSegment(true)},
		{zstd.WithWindowSize(1 << 14), zstd.WithZeroFrames(true)},
	} {
		e, err := zstd.NewWriter(nil, append(opts, zstd.WithEncoderConcurrency(1))...)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func TestSplitFramesFindsEachFrame(t *testing.T) {
	for i, e := range encoders(t) {
		var data []byte
		var want [][]byte
		for _, c := range chunks() {
			f := e.EncodeAll(c, nil)
			want = append(want, f)
			data = append(data, f...)
		}
		got, err := transfer.SplitFrames(data)
		if err != nil {
			t.Fatalf("encoder %d: %v", i, err)
		}
		if len(got) != len(want) {
			t.Fatalf("encoder %d: %d frames, want %d", i, len(got), len(want))
		}
		for j := range got {
			if !bytes.Equal(got[j], want[j]) {
				t.Errorf("encoder %d: frame %d has %d bytes, want %d", i, j, len(got[j]), len(want[j]))
			}
			if cap(got[j]) != len(got[j]) {
				t.Errorf("encoder %d: appending to frame %d would overwrite the next", i, j)
			}
		}
		for n := 1; n < len(want[0])+len(want[1]); n++ {
			if _, err := transfer.SplitFrames(data[:n]); err == nil && n != len(want[0]) {
				t.Fatalf("encoder %d: the first %d bytes pass for whole frames", i, n)
			}
		}
	}
}

// The grammar by hand: magic, descriptor 0 (window, no checksum), window, and
// blocks of a 3-byte header: last | type<<1 | size<<3.
func TestSplitFramesGrammar(t *testing.T) {
	const magic = "\x28\xb5\x2f\xfd"
	block := func(last, kind, size int, data string) string {
		h := last | kind<<1 | size<<3
		return string([]byte{byte(h), byte(h >> 8), byte(h >> 16)}) + data
	}
	raw := block(1, 0, 1, "x")
	for _, c := range []struct {
		name, data, err string
		frames          int
	}{
		{"nothing", "", "", 0},
		{"one raw block", magic + "\x00\x58" + raw, "", 1},
		{"two blocks", magic + "\x00\x58" + block(0, 0, 1, "x") + raw, "", 1},
		{"an empty block", magic + "\x00\x58" + block(1, 0, 0, ""), "", 1},
		{"a run-length block has one byte", magic + "\x00\x58" + block(1, 1, 128<<10, "x"), "", 1},
		{"two frames", strings.Repeat(magic+"\x00\x58"+raw, 2), "", 2},
		{"single segment, size in 1 byte", magic + "\x20\x01" + raw, "", 1},
		{"size in 2 bytes", magic + "\x40\x58\x01\x00" + raw, "", 1},
		{"size in 4 bytes", magic + "\x80\x58\x01\x00\x00\x00" + raw, "", 1},
		{"size in 8 bytes", magic + "\xe0\x01\x00\x00\x00\x00\x00\x00\x00" + raw, "", 1},
		{"a checksum", magic + "\x04\x58" + raw + "\x01\x02\x03\x04", "", 1},
		{"the most frames", strings.Repeat(magic+"\x20\x01"+raw, transfer.MaxRunChunks), "", transfer.MaxRunChunks},
		{"the largest block", magic + "\x00\x58" + block(1, 0, 128<<10, strings.Repeat("x", 128<<10)), "", 1},

		{"too many frames", strings.Repeat(magic+"\x20\x01"+raw, transfer.MaxRunChunks+1), "more than 2048 frames", 0},
		{"another magic", "\x27\xb5\x2f\xfd\x00\x58" + raw, "begins with 0xfd2fb527", 0},
		{"a skippable frame", "\x50\x2a\x4d\x18\x01\x00\x00\x00x", "begins with 0x184d2a50", 0},
		{"a dictionary", magic + "\x01\x58\x01" + raw, "dictionary", 0},
		{"the reserved bit", magic + "\x08\x58" + raw, "reserved bit", 0},
		{"the reserved block", magic + "\x00\x58" + block(1, 3, 1, "x"), "reserved type", 0},
		{"too large a block", magic + "\x00\x58" + block(1, 0, 128<<10+1, strings.Repeat("x", 128<<10+1)), "block of 131073 bytes", 0},
		{"too large a run", magic + "\x00\x58" + block(1, 1, 128<<10+1, "x"), "block of 131073 bytes", 0},
		{"no window", magic + "\x00", "frame header", 0},
		{"no descriptor", magic, "frame header", 0},
		{"no last block", magic + "\x00\x58" + block(0, 0, 1, "x"), "block header", 0},
		{"half a block", magic + "\x00\x58" + block(1, 0, 2, "x"), "in a block", 0},
		{"half a checksum", magic + "\x04\x58" + raw + "\x01\x02\x03", "checksum", 0},
		{"something after", magic + "\x20\x01" + raw + "x", "frame at byte 10 of 11", 0},
	} {
		got, err := transfer.SplitFrames([]byte(c.data))
		if len(got) != c.frames {
			t.Errorf("%s: %d frames, want %d", c.name, len(got), c.frames)
		}
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.err)
		}
	}
}

// What splits is all of the data, and what the decoder takes for whole frames
// splits (but for what SplitFrames refuses on purpose).
func FuzzSplitFrames(f *testing.F) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		f.Fatal(err)
	}
	var all []byte
	for _, c := range chunks()[:3] {
		all = e.EncodeAll(c[:min(len(c), 100)], all)
	}
	f.Add(all)
	f.Add([]byte("\x50\x2a\x4d\x18\x01\x00\x00\x00x"))
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<16), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		frames, err := transfer.SplitFrames(data)
		if err != nil {
			return
		}
		if got := bytes.Join(frames, nil); !bytes.Equal(got, data) {
			t.Fatalf("%d frames hold %d bytes of %d", len(frames), len(got), len(data))
		}
		buf := make([]byte, 0, 1<<16)
		whole, wholeErr := dec.DecodeAll(data, buf)
		if wholeErr != nil {
			return
		}
		parts := make([]byte, 0, 1<<16)
		for i, fr := range frames {
			parts, err = dec.DecodeAll(fr, parts)
			if err != nil {
				t.Fatalf("all frames decode together, frame %d of %d alone does not: %v", i, len(frames), err)
			}
		}
		if !bytes.Equal(parts, whole) {
			t.Fatal("the frames decode to something else one by one")
		}
	})
}
