package disk

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/flurry-nix/flurry/store"
)

var testMark = mark{1, 2, 3, 4, 5, 6, 7, 8}

// someRecord is a record and its data.
func someRecord() (record, []byte) {
	data := []byte("some data")
	return newRecord(store.Key{Kind: store.KindBody, ID: [32]byte{31: 9}}, store.Frame{Encoding: store.Zstd, RawLength: 12, Data: data}), data
}

// The bytes of a record, as they have to stay.
func TestRecordGolden(t *testing.T) {
	rec, data := someRecord()
	got := append(rec.append(nil, testMark), data...)
	want := "0102030405060708" + "02" + "01" + "0000" +
		"0000000000000000000000000000000000000000000000000000000000000009" +
		"0000000c" + "00000009" + "acf644d7" + "c5f199eb" + hex.EncodeToString(data)
	if hex.EncodeToString(got) != want {
		t.Errorf("record\n%x\nwant\n%s", got, want)
	}
	head := appendPackHeader(nil, 0x1f, testMark)
	if want := "666c757272795031" + "0000001f" + "0102030405060708" + "4c505cf3"; hex.EncodeToString(head) != want {
		t.Errorf("pack header %x; want %s", head, want)
	}
}

func TestParseRecord(t *testing.T) {
	rec, data := someRecord()
	raw := rec.append(nil, testMark)
	m, got, err := parseRecord(append(bytes.Clone(raw), data...))
	if err != nil || got != rec || m != testMark {
		t.Errorf("%+v, %v, %v", got, m, err)
	}
	if f, err := got.frame(data); err != nil || f.RawLength != 12 || f.Encoding != store.Zstd || !bytes.Equal(f.Data, data) {
		t.Errorf("%+v, %v", f, err)
	}
	for n := range recordHeader {
		if _, _, err := parseRecord(raw[:n]); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 0x10
		if _, _, err := parseRecord(bad); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 0x10
		if _, err := rec.frame(bad); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("byte %d of the data changed: %v", i, err)
		}
	}
	if _, err := rec.frame(data[1:]); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("short data: %v", err)
	}
}

// Headers whose checksum is right and that no store writes.
func TestImplausibleRecords(t *testing.T) {
	good, _ := someRecord()
	for name, change := range map[string]func(*record){
		"kind 0":             func(r *record) { r.key.Kind = 0 },
		"kind 6":             func(r *record) { r.key.Kind = 6 },
		"encoding 2":         func(r *record) { r.encoding = 2 },
		"nothing raw":        func(r *record) { r.raw = 0 },
		"nothing stored":     func(r *record) { r.stored = 0 },
		"stored beyond raw":  func(r *record) { r.stored = r.raw + 1 },
		"raw, but shorter":   func(r *record) { r.encoding = store.Raw },
		"a chunk too large":  func(r *record) { r.key.Kind, r.raw = store.KindChunk, 1<<18+1 },
		"a body of 4 GiB":    func(r *record) { r.raw = 1<<32 - 1 },
		"stored much beyond": func(r *record) { r.stored = 1<<32 - 1 },
	} {
		bad := good
		change(&bad)
		if _, _, err := parseRecord(bad.append(nil, testMark)); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, fine := range []func(*record){
		func(r *record) { r.stored = r.raw },
		func(r *record) { r.key.Kind, r.raw = store.KindChunk, 1<<18 },
		func(r *record) { r.encoding, r.stored = store.Raw, r.raw },
	} {
		r := good
		fine(&r)
		if _, _, err := parseRecord(r.append(nil, testMark)); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestPackHeader(t *testing.T) {
	b := appendPackHeader(nil, 7, testMark)
	if len(b) != packHeader {
		t.Fatalf("%d bytes", len(b))
	}
	if m, err := parsePackHeader(append(bytes.Clone(b), 1, 2), 7); err != nil || m != testMark {
		t.Errorf("%v, %v", m, err)
	}
	if _, err := parsePackHeader(b, 8); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("another pack's header: %v", err)
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 1
		if _, err := parsePackHeader(bad, 7); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := parsePackHeader(b[:i], 7); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%d bytes: %v", i, err)
		}
	}
}

func TestPackName(t *testing.T) {
	for id, name := range map[uint32]string{1: "00000001.pack", 0xabcdef12: "abcdef12.pack"} {
		if got := packName(id); got != name {
			t.Errorf("packName(%d) = %q", id, got)
		}
		if got, ok := parsePackName(name); !ok || got != id {
			t.Errorf("parsePackName(%q) = %d, %v", name, got, ok)
		}
	}
	for _, bad := range []string{"", ".pack", "1.pack", "00000001", "00000001.pack.tmp", "ABCDEF12.pack", "+0000001.pack", "100000000.pack", "0000000g.pack"} {
		if id, ok := parsePackName(bad); ok {
			t.Errorf("parsePackName(%q) = %d", bad, id)
		}
	}
}

func TestIndexEntries(t *testing.T) {
	at := location{pack: 1<<32 - 1, offset: 2, stored: 3, raw: 4, encoding: store.Zstd}
	if got, err := parseLocation(at.append(nil)); err != nil || got != at {
		t.Errorf("%+v, %v", got, err)
	}
	k := store.Key{Kind: store.KindBody, ID: [32]byte{1, 31: 2}}
	if got, err := parseIndexKey(indexKey(prefixContent, k)); err != nil || got != k {
		t.Errorf("%v, %v", got, err)
	}
	s := packState{settled: 1 << 40, live: 7}
	if id, got, err := parsePackState(packKey(9), s.append(nil)); err != nil || id != 9 || got != s {
		t.Errorf("%d, %+v, %v", id, got, err)
	}
	c := counts{contents: [6]int64{1: 5, 5: 6}, damaged: 3}
	if got, err := parseCounts(c.append(nil)); err != nil || got != c {
		t.Errorf("%+v, %v", got, err)
	}
	for n := range 80 {
		b := make([]byte, n)
		if _, err := parseLocation(b); (err == nil) != (n == locationSize) {
			t.Errorf("location of %d bytes: %v", n, err)
		}
		if _, err := parseIndexKey(b); (err == nil) != (n == indexKeySize) {
			t.Errorf("key of %d bytes: %v", n, err)
		}
		if _, _, err := parsePackState(packKey(1), b); (err == nil) != (n == packStateSize) {
			t.Errorf("pack state of %d bytes: %v", n, err)
		}
		if _, err := parseCounts(b); (err == nil) != (n == 56) {
			t.Errorf("counts of %d bytes: %v", n, err)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	rec, _ := someRecord()
	f.Add(rec.append(nil, testMark))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, rec, err := parseRecord(b)
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("error %v does not wrap ErrCorrupt", err)
			}
			// Most mutations break the checksum; with a right one the rest of the
			// parser is met.
			if len(b) < recordHeader {
				return
			}
			b = withChecksum(b)
			if m, rec, err = parseRecord(b); err != nil {
				return
			}
		}
		if got := rec.append(nil, m); !bytes.Equal(got, b[:recordHeader]) {
			t.Fatalf("parsed %x, printed %x", b[:recordHeader], got)
		}
	})
}

// withChecksum is b with the checksum that a header with its fields has.
func withChecksum(b []byte) []byte {
	b = bytes.Clone(b)
	sum := castagnoli(b[:56])
	b[56], b[57], b[58], b[59] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
	return b
}
