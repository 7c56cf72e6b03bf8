package disk

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/flurry-nix/flurry/store"
)

// makePack is a pack with one record for each length, and where they begin.
func makePack(lengths ...int) (pack []byte, offsets []int64) {
	r := rand.New(rand.NewPCG(1, 2))
	pack = appendPackHeader(nil, 1, testMark)
	for i, n := range lengths {
		data := make([]byte, n)
		for j := range data {
			data[j] = byte(r.Uint32())
		}
		rec := newRecord(store.Key{Kind: store.KindBody, ID: [32]byte{byte(i)}}, store.Frame{RawLength: n, Data: data})
		offsets = append(offsets, int64(len(pack)))
		pack = append(rec.append(pack, testMark), data...)
	}
	return pack, offsets
}

// found is the offsets of what scan finds in pack, and the end it says.
func found(t *testing.T, pack []byte) (offsets []int64, end int64) {
	t.Helper()
	end, err := scan(t.Context(), bytes.NewReader(pack), testMark, packHeader, int64(len(pack)), func(_ record, off int64, f store.Frame) error {
		offsets = append(offsets, off)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return offsets, end
}

func TestScan(t *testing.T) {
	// The third is longer than the window, the sixth ends right at its border.
	pack, want := makePack(100, 1, 3*readAhead, 50, 50, readAhead-2*(recordHeader+50)-recordHeader, 7)
	got, end := found(t, pack)
	if !slices.Equal(got, want) || end != int64(len(pack)) {
		t.Errorf("records at %v, end %d; want %v, %d", got, end, want, len(pack))
	}
	for n := range 200 {
		tail := append(bytes.Clone(pack), make([]byte, n)...)
		if got, end := found(t, tail); !slices.Equal(got, want) || end != int64(len(pack)) {
			t.Fatalf("with %d zeros: records at %v, end %d", n, got, end)
		}
	}
	if got, end := found(t, pack[:packHeader]); got != nil || end != packHeader {
		t.Errorf("empty pack: %v, %d", got, end)
	}
}

// Damage of any byte costs the record it is in and no other.
func TestScanAfterDamage(t *testing.T) {
	pack, offsets := makePack(10, 20, 30, 40)
	for i := packHeader; i < len(pack); i++ {
		bad := bytes.Clone(pack)
		bad[i] ^= 0x40
		want := slices.DeleteFunc(slices.Clone(offsets), func(off int64) bool {
			next := int64(len(pack))
			if j := slices.Index(offsets, off); j+1 < len(offsets) {
				next = offsets[j+1]
			}
			return off <= int64(i) && int64(i) < next
		})
		if got, _ := found(t, bad); !slices.Equal(got, want) {
			t.Fatalf("byte %d: records at %v; want %v", i, got, want)
		}
	}
}

// A header that is right and promises more than the file has ends the scan: it
// is the last that was written.
func TestScanEndsAtTornRecord(t *testing.T) {
	pack, offsets := makePack(10, 500)
	inner, _ := makePack(20)
	torn := append(bytes.Clone(pack[:offsets[1]+recordHeader]), inner[packHeader:]...)
	if got, end := found(t, torn); !slices.Equal(got, offsets[:1]) || end != offsets[1] {
		t.Errorf("records at %v, end %d", got, end)
	}
}

func TestFindMark(t *testing.T) {
	pack, _ := makePack(100, 5000, 20)
	find := func(b []byte) (mark, bool) {
		t.Helper()
		m, ok, err := findMark(t.Context(), bytes.NewReader(b), 1, int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		return m, ok
	}
	if m, ok := find(pack); !ok || m != testMark {
		t.Errorf("%v, %v", m, ok)
	}
	bad := bytes.Clone(pack)
	clear(bad[:4096]) // a bad sector: the header, and two records
	if m, ok := find(bad); !ok || m != testMark {
		t.Errorf("header damaged: %v, %v", m, ok)
	}
	clear(bad)
	if m, ok := find(bad); ok {
		t.Errorf("in zeros: %v", m)
	}
	if _, ok := find(nil); ok {
		t.Error("in nothing")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := findMark(ctx, bytes.NewReader(bad), 1, int64(len(bad))); !errors.Is(err, context.Canceled) {
		t.Errorf("under an ended context: %v", err)
	}
}

func TestScanErrors(t *testing.T) {
	pack, _ := makePack(10, 20)
	boom := errors.New("boom")
	_, err := scan(t.Context(), bytes.NewReader(pack), testMark, packHeader, int64(len(pack)), func(record, int64, store.Frame) error { return boom })
	if !errors.Is(err, boom) {
		t.Errorf("found's error: %v", err)
	}
	if _, err := scan(t.Context(), bytes.NewReader(pack), testMark, packHeader, int64(len(pack))+1, func(record, int64, store.Frame) error { return nil }); err == nil {
		t.Error("a file shorter than it was said to be")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := scan(ctx, bytes.NewReader(pack), testMark, packHeader, int64(len(pack)), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("under an ended context: %v", err)
	}
}

// FuzzScan: whatever is in a pack, what is found is a record there, in order
// and within the pack.
func FuzzScan(f *testing.F) {
	pack, _ := makePack(10, 20, 30)
	f.Add(pack, 50, byte(1))
	f.Add(pack[:100], 90, byte(255))
	f.Fuzz(func(t *testing.T, b []byte, at int, change byte) {
		if at >= 0 && at < len(b) {
			b = bytes.Clone(b)
			b[at] ^= change
		}
		if len(b) < packHeader {
			return
		}
		last := int64(packHeader)
		end, err := scan(context.Background(), bytes.NewReader(b), testMark, packHeader, int64(len(b)), func(r record, off int64, fr store.Frame) error {
			if off < last || !bytes.Equal(b[off:off+recordHeader], r.append(nil, testMark)) || !bytes.Equal(b[off+recordHeader:off+r.size()], fr.Data) {
				t.Fatalf("a record at %d after %d", off, last)
			}
			last = off + r.size()
			return nil
		})
		if err != nil || end != last {
			t.Fatalf("end %d, last record's %d, %v", end, last, err)
		}
	})
}
