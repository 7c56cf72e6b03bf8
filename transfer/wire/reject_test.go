package wire

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/stream/pb"
	"github.com/flurry-nix/flurry/transfer/transfertest/sample"
)

// The encoding itself: bytes that protoc's code takes, or does not, and that are
// not the one form of a message.
func TestDecoderRejects(t *testing.T) {
	for _, c := range []struct{ name, raw, err string }{
		{"an unknown field", "\xfa\x01\x01x", "field 31 is not known"},
		{"the first field unknown", "\x78\x01", "field 15 is not known"},
		{"a field twice", "\x20\x01\x20\x01", "field 4 after field 4"},
		{"fields out of order", "\x2a\x01x\x20\x01", "field 4 after field 5"},
		{"field 0", "\x00\x01", "field 0"},
		{"a tag too long for its number", "\xa0\x00\x01", "shortest form"},
		{"an integer too long for its value", "\x20\x81\x00", "shortest form"},
		{"a length too long for its value", "\x2a\x81\x00x", "shortest form"},
		{"an integer of 11 bytes", "\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "shortest form"},
		{"an integer beyond 64 bits", "\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "shortest form"},
		{"a zero", "\x20\x00", "field 4 is there, and zero"},
		{"no bytes", "\x2a\x00", "field 5 is there, and empty"},
		{"bytes cut off", "\x2a\x02x", "field 5: 1 bytes of 2"},
		{"a length of all memory", "\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "field 5: 0 bytes of"},
		{"a tag alone", "\x20", "shortest form"},
		{"another type than the field's", "\x22\x01x", "field 4 has wire type 2"},
		{"bytes for an integer's sake", "\x28\x01", "field 5 has wire type 0"},
		{"a 64-bit field", "\x21\x01\x02\x03\x04\x05\x06\x07\x08", "field 4 has wire type 1"},
		{"a group", "\x23\x24", "field 4 has wire type 3"},
		{"a 32-bit field", "\x25\x01\x02\x03\x04", "field 4 has wire type 5"},
		{"wire type 7", "\x27\x01", "field 4 has wire type 7"},
		{"text that is no text", "\x08\x04\x1a\x01\xff", "field 3 is not UTF-8"},
	} {
		_, err := parseTextPart([]byte(c.raw))
		if err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", c.name, err, c.err)
		}
	}
}

// Messages that are well encoded and say what must not be said, and beside each
// the nearest that may be.
func TestMessagesReject(t *testing.T) {
	space := sample.Space(t).String()
	hash, id := make([]byte, 20), sample.ID("id", 1)
	ranges := func(n int) []uint32 {
		var list []uint32
		for i := range n {
			list = append(list, uint32(2*i), 1)
		}
		return list
	}
	var hashes []byte
	for i := range transfer.MaxLookup + 1 {
		h := sample.Path(t, i).Hash()
		hashes = append(hashes, h[:]...)
	}
	digests := make([]byte, 256*32)
	for _, c := range []struct {
		name   string
		decode func([]byte) (any, error)
		m      proto.Message
		err    string // "": it is accepted
	}{
		{"no namespace", decoding(parseLookupRequest), &pb.LookupRequest{Hashes: hash}, "no namespace"},
		{"a namespace with a hint", decoding(parseLookupRequest), &pb.LookupRequest{Namespace: space + "?seed=/dns/x/tcp/1", Hashes: hash}, "hint"},
		{"a namespace too long", decoding(parseLookupRequest), &pb.LookupRequest{Namespace: strings.Repeat("x", 174), Hashes: hash}, "at most 173"},
		{"the longest name", decoding(parseLookupRequest), &pb.LookupRequest{Namespace: strings.Repeat("x", 128) + space[strings.IndexByte(space, ':'):], Hashes: hash}, ""},
		{"no hashes", decoding(parseLookupRequest), &pb.LookupRequest{Namespace: space}, "0 hashes"},
		{"half a hash", decoding(parseLookupRequest), &pb.LookupRequest{Namespace: space, Hashes: hash[:19]}, "multiple of 20"},
		{"a hash twice", decoding(parseLookupRequest), &pb.LookupRequest{Namespace: space, Hashes: make([]byte, 40)}, "twice"},
		{"the most hashes", decoding(parseLookupRequest), &pb.LookupRequest{Namespace: space, Hashes: hashes[:512*20]}, ""},
		{"too many hashes", decoding(parseLookupRequest), &pb.LookupRequest{Namespace: space, Hashes: hashes}, "at most 10240"},

		{"a code that is none", decoding(parseLookupAnswer), &pb.LookupAnswer{Code: 5}, "at most 4"},
		{"busy for ever", decoding(parseLookupAnswer), &pb.LookupAnswer{Code: pb.Code_BUSY}, "asked again in 0s"},
		{"busy for too long", decoding(parseLookupAnswer), &pb.LookupAnswer{Code: pb.Code_BUSY, RetryAfterMs: 600_001}, "at most 600000"},
		{"absent until later", decoding(parseLookupAnswer), &pb.LookupAnswer{Code: pb.Code_ABSENT, RetryAfterMs: 1}, "with code 1"},
		{"fine until later", decoding(parseLookupAnswer), &pb.LookupAnswer{RetryAfterMs: 1, Last: true}, "with code 0"},
		{"absent for a reason", decoding(parseLookupAnswer), &pb.LookupAnswer{Code: pb.Code_ABSENT, Reason: "x"}, "a reason with code 1"},
		{"bad for a long reason", decoding(parseLookupAnswer), &pb.LookupAnswer{Code: pb.Code_BAD, Reason: strings.Repeat("x", 257)}, "at most 256"},
		{"bad for the longest reason", decoding(parseLookupAnswer), &pb.LookupAnswer{Code: pb.Code_BAD, Reason: strings.Repeat("x", 256)}, ""},
		{"absent, and here it is", decoding(parseLookupAnswer), &pb.LookupAnswer{Code: pb.Code_ABSENT, Hash: hash}, "field 4 with code 1"},
		{"nothing", decoding(parseLookupAnswer), &pb.LookupAnswer{}, "neither"},
		{"an answer and the end", decoding(parseLookupAnswer), &pb.LookupAnswer{Hash: hash, Last: true}, "neither"},
		{"a short hash", decoding(parseLookupAnswer), &pb.LookupAnswer{Hash: hash[:19]}, "19 bytes, not 20"},
		{"a long hash", decoding(parseLookupAnswer), &pb.LookupAnswer{Hash: append(hash, 0)}, "at most 20"},
		{"an entry of nothing", decoding(parseLookupAnswer), &pb.LookupAnswer{Entry: hash, Last: true}, "without a hash"},
		{"a publication of nothing", decoding(parseLookupAnswer), &pb.LookupAnswer{Hash: hash, Publication: id[:]}, "without an entry"},
		{"a short publication", decoding(parseLookupAnswer), &pb.LookupAnswer{Hash: hash, Entry: hash, Publication: id[:31]}, "31 bytes, not 32"},
		{"the zero publication", decoding(parseLookupAnswer), &pb.LookupAnswer{Hash: hash, Entry: hash, Publication: make([]byte, 32)}, "and zero"},
		{"an entry too large", decoding(parseLookupAnswer), &pb.LookupAnswer{Hash: hash, Entry: make([]byte, namespace.MaxPublication+1)}, "at most 4194304"},

		{"no kind", decoding(parseFetchRequest), &pb.FetchRequest{Namespace: space}, "kind 0"},
		{"an unknown kind", decoding(parseFetchRequest), &pb.FetchRequest{Namespace: space, Kind: 6}, "at most 5"},
		{"ranges of a document", decoding(parseFetchRequest), &pb.FetchRequest{Namespace: space, Kind: pb.Kind_DOCUMENT, Ranges: []uint32{0, 1}}, "ranges of a document"},
		{"chunks without ranges", decoding(parseFetchRequest), &pb.FetchRequest{Namespace: space, Kind: pb.Kind_CHUNKS}, "0 ranges"},
		{"half a range", decoding(parseFetchRequest), &pb.FetchRequest{Namespace: space, Kind: pb.Kind_CHUNKS, Ranges: []uint32{0, 1, 5}}, "without its count"},
		{"the most ranges", decoding(parseFetchRequest), &pb.FetchRequest{Namespace: space, Kind: pb.Kind_CHUNKS, Ranges: ranges(transfer.MaxRanges)}, ""},
		{"too many ranges", decoding(parseFetchRequest), &pb.FetchRequest{Namespace: space, Kind: pb.Kind_CHUNKS, Ranges: ranges(transfer.MaxRanges + 1)}, "more than 8192 integers"},
		{"an empty range", decoding(parseFetchRequest), &pb.FetchRequest{Namespace: space, Kind: pb.Kind_CHUNKS, Ranges: []uint32{7, 0}}, "no chunks from 7"},
		{"everything", decoding(parseFetchRequest), &pb.FetchRequest{Namespace: space, Kind: pb.Kind_CHUNKS, Ranges: []uint32{0, content.MaxChunks}}, ""},
		{"more than everything", decoding(parseFetchRequest), &pb.FetchRequest{Namespace: space, Kind: pb.Kind_CHUNKS, Ranges: []uint32{1, content.MaxChunks}}, "at most 1048576"},
		{"a count of 32 bits", decoding(parseFetchRequest), &pb.FetchRequest{Namespace: space, Kind: pb.Kind_CHUNKS, Ranges: []uint32{0, 1<<32 - 1}}, "at most 1048576"},
		{"neighbours", decoding(parseFetchRequest), &pb.FetchRequest{Namespace: space, Kind: pb.Kind_CHUNKS, Ranges: []uint32{5, 5, 0, 5, 10, 1}}, ""},
		{"a chunk twice", decoding(parseFetchRequest), &pb.FetchRequest{Namespace: space, Kind: pb.Kind_CHUNKS, Ranges: []uint32{5, 5, 0, 6}}, "chunk 5 is asked for twice"},

		{"a part without data", decoding(parseTextPart), &pb.TextPart{Size: 1}, "no data"},
		{"a part of 2 GiB, to come", decoding(parseTextPart), &pb.TextPart{Size: 1 << 31, Data: hash}, "at most 2147483647"},
		{"the largest part", decoding(parseTextPart), &pb.TextPart{Data: make([]byte, 256<<10)}, ""},
		{"too large a part", decoding(parseTextPart), &pb.TextPart{Data: make([]byte, 256<<10+1)}, "at most 262144"},

		{"a run of nothing", decoding(parseRunPart), &pb.RunPart{RawLength: 20, Data: hash}, "a run of 0 chunks"},
		{"the most chunks", decoding(parseRunPart), &pb.RunPart{Count: 2048, RawLength: 2048, Data: make([]byte, 2048)}, ""},
		{"too many chunks", decoding(parseRunPart), &pb.RunPart{Count: 2049, RawLength: 2049, Data: make([]byte, 2049)}, "at most 2048"},
		{"an encoding to come", decoding(parseRunPart), &pb.RunPart{Count: 1, Encoding: 2, RawLength: 20, Data: hash}, "at most 1"},
		{"a run without length", decoding(parseRunPart), &pb.RunPart{Count: 1, Encoding: pb.Encoding_ZSTD, Data: hash}, "a run of 0 bytes"},
		{"the largest run", decoding(parseRunPart), &pb.RunPart{Count: 8, RawLength: 2 << 20, Data: make([]byte, 2<<20)}, ""},
		{"too large a run", decoding(parseRunPart), &pb.RunPart{Count: 9, RawLength: 2<<20 + 1, Data: make([]byte, 2<<20+1)}, "at most 2097152"},
		{"chunks too large", decoding(parseRunPart), &pb.RunPart{Count: 1, RawLength: 256<<10 + 1, Data: make([]byte, 256<<10+1)}, "each has 1 to 262144"},
		{"chunks too small", decoding(parseRunPart), &pb.RunPart{Count: 21, RawLength: 20, Data: hash}, "each has 1 to 262144"},
		{"raw data too short", decoding(parseRunPart), &pb.RunPart{Count: 1, RawLength: 21, Data: hash}, "a run of 21 bytes brings 20"},
		{"raw data too long", decoding(parseRunPart), &pb.RunPart{Count: 1, RawLength: 19, Data: hash}, "a run of 19 bytes brings 20"},
		{"no data", decoding(parseRunPart), &pb.RunPart{Count: 1, RawLength: 19}, "brings 0"},
		{"no compressed data", decoding(parseRunPart), &pb.RunPart{Count: 1, Encoding: pb.Encoding_ZSTD, RawLength: 19}, "bring 0 encoded"},
		{"compressed data a little longer", decoding(parseRunPart), &pb.RunPart{Count: 1, Encoding: pb.Encoding_ZSTD, RawLength: 20, Data: make([]byte, 52)}, ""},
		{"compressed data too long", decoding(parseRunPart), &pb.RunPart{Count: 1, Encoding: pb.Encoding_ZSTD, RawLength: 20, Data: make([]byte, 53)}, "bring 53 encoded"},

		{"a serial without a document", decoding(parseSyncRequest), &pb.SyncRequest{Namespace: space, Serial: 1}, "serial 1"},
		{"a document without a serial", decoding(parseSyncRequest), &pb.SyncRequest{Namespace: space, Document: id[:]}, "serial 0"},
		{"a cursor without an epoch", decoding(parseSyncRequest), &pb.SyncRequest{Namespace: space, Cursor: 1}, "without an epoch"},
		{"an epoch of 15 bytes", decoding(parseSyncRequest), &pb.SyncRequest{Namespace: space, Epoch: hash[:15]}, "15 bytes, not 16"},
		{"the zero epoch", decoding(parseSyncRequest), &pb.SyncRequest{Namespace: space, Epoch: hash[:16]}, "and zero"},
		{"buckets falling", decoding(parseSyncRequest), &pb.SyncRequest{Namespace: space, Buckets: []byte{1, 0}}, "ascending"},
		{"a bucket twice", decoding(parseSyncRequest), &pb.SyncRequest{Namespace: space, Buckets: []byte{1, 1}}, "ascending"},

		{"a document to come, of no serial", decoding(parseSyncHead), &pb.SyncHead{DocumentSize: 1}, "without a serial"},
		{"too large a document", decoding(parseSyncHead), &pb.SyncHead{Serial: 1, Document: id[:], DocumentSize: namespace.MaxDocument + 1}, "at most 1048576"},
		{"lists of nothing", decoding(parseSyncHead), &pb.SyncHead{Serial: 1, Document: id[:], ListSizes: []uint32{1}}, "lists without a document"},
		{"an empty list", decoding(parseSyncHead), &pb.SyncHead{Serial: 1, Document: id[:], DocumentSize: 1, ListSizes: []uint32{1, 0}}, "empty kept list"},
		{"the largest lists", decoding(parseSyncHead), &pb.SyncHead{Serial: 1, Document: id[:], DocumentSize: 1, ListSizes: []uint32{4 << 20, 4 << 20}}, ""},
		{"lists too large", decoding(parseSyncHead), &pb.SyncHead{Serial: 1, Document: id[:], DocumentSize: 1, ListSizes: []uint32{4 << 20, 4 << 20, 1}}, "at most 8388608"},
		{"a list too large", decoding(parseSyncHead), &pb.SyncHead{Serial: 1, Document: id[:], DocumentSize: 1, ListSizes: []uint32{4<<20 + 1}}, "at most 4194304"},
		{"added to an unknown epoch", decoding(parseSyncHead), &pb.SyncHead{Epoch: id[:16], Added: 1}, "unknown epoch"},
		{"known, but which", decoding(parseSyncHead), &pb.SyncHead{Known: true}, "without an epoch"},
		{"more after nothing", decoding(parseSyncHead), &pb.SyncHead{Known: true, Epoch: id[:16], More: true}, "more after none"},
		{"the most ids", decoding(parseSyncHead), &pb.SyncHead{Known: true, Epoch: id[:16], Added: 65535, Buckets: []byte{1}, BucketIds: []uint32{1}}, ""},
		{"too many ids", decoding(parseSyncHead), &pb.SyncHead{Known: true, Epoch: id[:16], Added: 65535, Buckets: []byte{1}, BucketIds: []uint32{2}}, "65537 ids"},
		{"buckets without numbers", decoding(parseSyncHead), &pb.SyncHead{Buckets: []byte{1}}, "1 buckets"},
		{"numbers without buckets", decoding(parseSyncHead), &pb.SyncHead{BucketIds: []uint32{1}}, "0 buckets"},
		{"counts without sums", decoding(parseSyncHead), &pb.SyncHead{BucketCounts: make([]uint64, 256)}, "256 counts and 0 bytes"},
		{"a clock of the year 10,000", decoding(parseSyncHead), &pb.SyncHead{TimeMs: maxTime + 1}, "at most 253402300799999"},
		{"255 digests", decoding(parseSyncHead), &pb.SyncHead{BucketCounts: make([]uint64, 255), BucketSums: digests[:255*32]}, "255 counts"},
		{"257 digests", decoding(parseSyncHead), &pb.SyncHead{BucketCounts: make([]uint64, 257), BucketSums: digests}, "more than 256"},
		{"256 digests", decoding(parseSyncHead), &pb.SyncHead{BucketCounts: make([]uint64, 256), BucketSums: digests}, ""},
		{"an offer of nothing", decoding(parseOfferRequest), &pb.OfferRequest{Namespace: space}, "no publication"},
		{"an offer to nobody", decoding(parseOfferRequest), &pb.OfferRequest{Publication: id[:]}, "no namespace"},
		{"an update without a state", decoding(parseOfferAnswer), &pb.OfferAnswer{}, "an update in state 0"},
		{"a state to come", decoding(parseOfferAnswer), &pb.OfferAnswer{State: 5}, "at most 4"},
		{"more than all", decoding(parseOfferAnswer), &pb.OfferAnswer{State: pb.OfferAnswer_HAVE, Have: 2, Of: 1}, "fields that it has not"},
		{"all", decoding(parseOfferAnswer), &pb.OfferAnswer{State: pb.OfferAnswer_HAVE, Have: 2, Of: 2}, ""},
		{"queued with bytes", decoding(parseOfferAnswer), &pb.OfferAnswer{State: pb.OfferAnswer_QUEUED, Of: 1}, "fields that it has not"},
		{"stored, and no receipt", decoding(parseOfferAnswer), &pb.OfferAnswer{State: pb.OfferAnswer_STORED}, "a receipt of 0 bytes"},
		{"the longest receipt", decoding(parseOfferAnswer), &pb.OfferAnswer{State: pb.OfferAnswer_STORED, Receipt: make([]byte, 1024)}, ""},
		{"too long a receipt", decoding(parseOfferAnswer), &pb.OfferAnswer{State: pb.OfferAnswer_STORED, Receipt: make([]byte, 1025)}, "at most 1024"},
		{"queued, and a receipt", decoding(parseOfferAnswer), &pb.OfferAnswer{State: pb.OfferAnswer_QUEUED, Receipt: hash}, "a receipt with queued"},
		{"refused for nothing", decoding(parseOfferAnswer), &pb.OfferAnswer{State: pb.OfferAnswer_REFUSED}, "refused for reason 0"},
		{"a reason to come", decoding(parseOfferAnswer), &pb.OfferAnswer{State: pb.OfferAnswer_REFUSED, Why: 9}, "at most 8"},
		{"quota without numbers", decoding(parseOfferAnswer), &pb.OfferAnswer{State: pb.OfferAnswer_REFUSED, Why: pb.OfferAnswer_QUOTA}, ""},
		{"a disk with a quota", decoding(parseOfferAnswer), &pb.OfferAnswer{State: pb.OfferAnswer_REFUSED, Why: pb.OfferAnswer_DISK, Quota: 1}, "fields that it has not"},
		{"words of nobody", decoding(parseOfferAnswer), &pb.OfferAnswer{State: pb.OfferAnswer_REFUSED, Why: pb.OfferAnswer_DISK, Text: "x"}, "fields that it has not"},
		{"the most words", decoding(parseOfferAnswer), &pb.OfferAnswer{State: pb.OfferAnswer_REFUSED, Why: pb.OfferAnswer_BY_OPERATOR, Text: strings.Repeat("x", 256)}, ""},
		{"too many words", decoding(parseOfferAnswer), &pb.OfferAnswer{State: pb.OfferAnswer_REFUSED, Why: pb.OfferAnswer_BY_OPERATOR, Text: strings.Repeat("x", 257)}, "at most 256"},
		{"busy, and stored", decoding(parseOfferAnswer), &pb.OfferAnswer{Code: pb.Code_BUSY, RetryAfterMs: 1, State: pb.OfferAnswer_STORED, Receipt: hash}, "with code 2"},
		{"equal, and different", decoding(parseSyncHead), &pb.SyncHead{Equal: true, BucketCounts: make([]uint64, 256), BucketSums: digests}, "the same publications"},
	} {
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(c.m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.decode(raw)
		if c.err == "" {
			if again, _ := reprint(got); err != nil || !bytes.Equal(again, raw) {
				t.Errorf("%s: %v", c.name, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", c.name, err, c.err)
		}
	}
}

// Each parser, given anything, makes an error or a message that is printed as it
// was and that protoc's code reads whole.
func fuzzParser[M any](f *testing.F, parse func([]byte) (M, error), theirs func() proto.Message) {
	for _, s := range specimens(f) {
		f.Add(s.encode())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parse(bytes.Clone(raw))
		if err != nil {
			return
		}
		if again, ok := reprint(m); !ok || !bytes.Equal(again, raw) {
			t.Fatalf("%x is printed as %x", raw, again)
		}
		p := theirs()
		if err := proto.Unmarshal(raw, p); err != nil || len(p.ProtoReflect().GetUnknown()) > 0 {
			t.Fatalf("%x is not a message: %v", raw, err)
		}
	})
}

func FuzzLookupRequest(f *testing.F) {
	fuzzParser(f, parseLookupRequest, func() proto.Message { return new(pb.LookupRequest) })
}

func FuzzLookupAnswer(f *testing.F) {
	fuzzParser(f, parseLookupAnswer, func() proto.Message { return new(pb.LookupAnswer) })
}

func FuzzFetchRequest(f *testing.F) {
	fuzzParser(f, parseFetchRequest, func() proto.Message { return new(pb.FetchRequest) })
}

func FuzzTextPart(f *testing.F) {
	fuzzParser(f, parseTextPart, func() proto.Message { return new(pb.TextPart) })
}

func FuzzRunPart(f *testing.F) {
	fuzzParser(f, parseRunPart, func() proto.Message { return new(pb.RunPart) })
}

func FuzzSyncRequest(f *testing.F) {
	fuzzParser(f, parseSyncRequest, func() proto.Message { return new(pb.SyncRequest) })
}

func FuzzSyncHead(f *testing.F) {
	fuzzParser(f, parseSyncHead, func() proto.Message { return new(pb.SyncHead) })
}

func FuzzOfferRequest(f *testing.F) {
	fuzzParser(f, parseOfferRequest, func() proto.Message { return new(pb.OfferRequest) })
}

func FuzzOfferAnswer(f *testing.F) {
	fuzzParser(f, parseOfferAnswer, func() proto.Message { return new(pb.OfferAnswer) })
}

// What protoc's code accepts and prints in its one form, ours reads or refuses
// for what it says, not for how it is encoded.
func FuzzEncodingIsProtobufs(f *testing.F) {
	for _, s := range specimens(f) {
		f.Add(s.encode())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var p pb.RunPart
		if proto.Unmarshal(raw, &p) != nil || len(p.ProtoReflect().GetUnknown()) > 0 {
			return
		}
		canonical, err := proto.MarshalOptions{Deterministic: true}.Marshal(&p)
		if err != nil {
			return
		}
		d := decoder{rest: canonical}
		for d.next() {
			d.used = true
		}
		if d.err != nil {
			t.Fatalf("%x: %v", canonical, d.err)
		}
	})
}

func FuzzFrameLength(f *testing.F) {
	f.Add([]byte{0}, uint64(0))
	f.Add([]byte{0x80, 0x01}, uint64(1<<35-1))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x7f}, uint64(1<<35))
	f.Fuzz(func(t *testing.T, raw []byte, v uint64) {
		n, err := readLength(bufioOf(raw))
		want, size := binary.Uvarint(raw)
		if ok := size > 0 && size <= 5 && size == varintLen(want); ok != (err == nil) || ok && n != want {
			t.Fatalf("%x: %d, %v; want %d in %d bytes", raw, n, err, want, size)
		}
		n, err = readLength(bufioOf(binary.AppendUvarint(nil, v)))
		if ok := v < 1<<35; ok != (err == nil) || ok && n != v {
			t.Fatalf("%d: %d, %v", v, n, err)
		}
	})
}
