package wire

import (
	"bufio"
	"bytes"
	"reflect"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/stream/pb"
	"github.com/flurry-nix/flurry/transfer/transfertest/sample"
)

// specimen is one message in three forms: ours, protoc's, and bytes.
type specimen struct {
	name   string
	encode func() []byte
	pb     proto.Message
	decode func([]byte) (any, error)
	want   any
}

func whole(m interface{ appendHead([]byte) []byte }, data []byte) func() []byte {
	return func() []byte { return append(m.appendHead(nil), data...) }
}

func decoding[M any](parse func([]byte) (M, error)) func([]byte) (any, error) {
	return func(raw []byte) (any, error) { return parse(raw) }
}

func specimens(t testing.TB) []specimen {
	space := sample.Space(t)
	h0, h1 := sample.Path(t, 0).Hash(), sample.Path(t, 1).Hash()
	id, other := sample.ID("id", 1), sample.ID("id", 2)
	e := sample.Entry(t, 1, 2)
	entry, noise := e.Append(nil), sample.Noise(1, 300)
	var list []specimen
	add := func(name string, encode func() []byte, m proto.Message, decode func([]byte) (any, error), want any) {
		list = append(list, specimen{name, encode, m, decode, want})
	}

	lr := lookupRequest{space, []nix.PathHash{h0, {}, h1}}
	add("lookup request", func() []byte { return lr.append(nil) },
		&pb.LookupRequest{Namespace: space.String(), Hashes: slices.Concat(h0[:], make([]byte, 20), h1[:])}, decoding(parseLookupRequest), lr)

	for name, c := range map[string]struct {
		ours   lookupAnswer
		theirs *pb.LookupAnswer
	}{
		"absent":               {lookupAnswer{hash: h0}, &pb.LookupAnswer{Hash: h0[:]}},
		"entry":                {lookupAnswer{hash: h1, entry: entry, publication: id}, &pb.LookupAnswer{Hash: h1[:], Entry: entry, Publication: id[:]}},
		"entry of upstream":    {lookupAnswer{hash: h1, entry: entry}, &pb.LookupAnswer{Hash: h1[:], Entry: entry}},
		"the zero path hash":   {lookupAnswer{}, &pb.LookupAnswer{Hash: make([]byte, 20)}},
		"last":                 {lookupAnswer{last: true}, &pb.LookupAnswer{Last: true}},
		"not here":             {lookupAnswer{status: status{code: codeAbsent}}, &pb.LookupAnswer{Code: pb.Code_ABSENT}},
		"busy":                 {lookupAnswer{status: status{code: codeBusy, retryAfter: time.Minute}}, &pb.LookupAnswer{Code: pb.Code_BUSY, RetryAfterMs: 60_000}},
		"refused":              {lookupAnswer{status: status{code: codeRefused}}, &pb.LookupAnswer{Code: pb.Code_REFUSED}},
		"bad":                  {lookupAnswer{status: status{code: codeBad}}, &pb.LookupAnswer{Code: pb.Code_BAD}},
		"bad, and why":         {lookupAnswer{status: status{code: codeBad, reason: "é"}}, &pb.LookupAnswer{Code: pb.Code_BAD, Reason: "é"}},
		"busy for the longest": {lookupAnswer{status: status{code: codeBusy, retryAfter: transfer.MaxRetryAfter}}, &pb.LookupAnswer{Code: pb.Code_BUSY, RetryAfterMs: 600_000}},
	} {
		add("lookup answer: "+name, func() []byte { return c.ours.append(nil) }, c.theirs, decoding(parseLookupAnswer), c.ours)
	}

	ft := fetchRequest{space: space, kind: transfer.Body, id: id}
	add("fetch of a body", func() []byte { return ft.append(nil) },
		&pb.FetchRequest{Namespace: space.String(), Kind: pb.Kind_BODY, Id: id[:]}, decoding(parseFetchRequest), ft)
	fc := fetchRequest{space: space, kind: kindChunks, id: id, ranges: []transfer.Range{{First: 5, Count: 300}, {First: 0, Count: 1}}}
	add("fetch of chunks", func() []byte { return fc.append(nil) },
		&pb.FetchRequest{Namespace: space.String(), Kind: pb.Kind_CHUNKS, Id: id[:], Ranges: []uint32{5, 300, 0, 1}}, decoding(parseFetchRequest), fc)

	tp := textPart{size: 300, data: noise}
	add("text part", whole(&tp, noise), &pb.TextPart{Size: 300, Data: noise}, decoding(parseTextPart), tp)
	rp := runPart{run: transfer.Run{First: 0, Count: 1, RawLength: 300, Data: noise}}
	add("raw run", whole(&rp, noise), &pb.RunPart{Count: 1, RawLength: 300, Data: noise}, decoding(parseRunPart), rp)
	rz := runPart{run: transfer.Run{First: 1<<20 - 1, Count: 2, Encoding: transfer.Zstd, RawLength: 1 << 19, Data: noise}}
	add("zstd run", whole(&rz, noise), &pb.RunPart{First: 1<<20 - 1, Count: 2, Encoding: pb.Encoding_ZSTD, RawLength: 1 << 19, Data: noise}, decoding(parseRunPart), rz)

	epoch := [16]byte{1, 2}
	sr := syncRequest{space, transfer.SyncRequest{Serial: 1 << 63, Document: id, Count: 7, Sum: other, Epoch: epoch, Cursor: 1 << 40, Wait: true, Buckets: []byte{0, 9, 255}}}
	add("sync request", func() []byte { return sr.append(nil) }, &pb.SyncRequest{
		Namespace: space.String(), Serial: 1 << 63, Document: id[:], Count: 7, Sum: other[:], Epoch: epoch[:], Cursor: 1 << 40, Wait: true, Buckets: []byte{0, 9, 255},
	}, decoding(parseSyncRequest), sr)
	sn := syncRequest{space: space}
	add("first sync request", func() []byte { return sn.append(nil) }, &pb.SyncRequest{Namespace: space.String()}, decoding(parseSyncRequest), sn)

	add("sync head: nothing", func() []byte { return (&syncHead{}).append(nil) }, &pb.SyncHead{}, decoding(parseSyncHead), syncHead{})
	eq := syncHead{answer: transfer.SyncAnswer{Serial: 1, Document: id, Equal: true, Known: true, Epoch: epoch, Cursor: 3}}
	add("sync head: equal", func() []byte { return eq.append(nil) },
		&pb.SyncHead{Serial: 1, Document: id[:], Equal: true, Known: true, Epoch: epoch[:], Cursor: 3}, decoding(parseSyncHead), eq)
	clock := syncHead{answer: transfer.SyncAnswer{Serial: 1, Document: id, Time: time.UnixMilli(maxTime).UTC()}}
	add("sync head: a clock", func() []byte { return clock.append(nil) }, &pb.SyncHead{Serial: 1, Document: id[:], TimeMs: maxTime}, decoding(parseSyncHead), clock)
	sh := syncHead{
		answer:   transfer.SyncAnswer{Serial: 2, Document: id, Known: true, Epoch: epoch, Cursor: 3, More: true},
		document: 1000, lists: []uint64{1, 300}, added: 4, asked: []byte{0, 5}, askedIDs: []uint64{0, 200},
	}
	sums := make([]byte, 0, 256*32)
	counts := make([]uint64, 256)
	for i := range transfer.Buckets {
		d := transfer.BucketDigest{Count: uint64(i) << 30, Sum: sample.ID("bucket", i)}
		sh.answer.Buckets = append(sh.answer.Buckets, d)
		counts[i], sums = d.Count, append(sums, d.Sum[:]...)
	}
	add("sync head: much", func() []byte { return sh.append(nil) }, &pb.SyncHead{
		Serial: 2, Document: id[:], Known: true, Epoch: epoch[:], Cursor: 3, More: true, DocumentSize: 1000, ListSizes: []uint32{1, 300},
		Added: 4, Buckets: []byte{0, 5}, BucketIds: []uint32{0, 200}, BucketCounts: counts, BucketSums: sums,
	}, decoding(parseSyncHead), sh)
	addOffers(t, add)
	return list
}

// Ours and protoc's code write the same bytes, and ours reads them.
func TestMessagesAreTheSpecified(t *testing.T) {
	for _, s := range specimens(t) {
		ours := s.encode()
		theirs, err := proto.MarshalOptions{Deterministic: true}.Marshal(s.pb)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ours, theirs) {
			t.Errorf("%s:\n%x, protoc's\n%x", s.name, ours, theirs)
			continue
		}
		if got, err := s.decode(theirs); err != nil || !reflect.DeepEqual(got, s.want) {
			t.Errorf("%s: decoded %+v, %v; want %+v", s.name, got, err, s.want)
		}
	}
}

// No prefix of a message passes for it, and neither does one with a byte more.
func TestMessagesAreWhole(t *testing.T) {
	for _, s := range specimens(t) {
		raw := s.encode()
		for n := range raw {
			if got, err := s.decode(raw[:n:n]); err == nil && reflect.DeepEqual(got, s.want) {
				t.Errorf("%s: %d of %d bytes pass for all", s.name, n, len(raw))
			}
		}
		if len(raw) == 0 { // anything after it is a message of its own
			continue
		}
		for _, extra := range []string{"\x00", "\x08", "\x08\x01", "\xfa\x01\x00", "\xfa\x01\x01x"} {
			if _, err := s.decode(append(slices.Clip(raw), extra...)); err == nil {
				t.Errorf("%s: %x after it is accepted", s.name, extra)
			}
		}
	}
}

// Each bit of a message that is flipped makes an error or another message, and
// what is accepted is printed as it was.
func TestMessagesFlipped(t *testing.T) {
	for _, s := range specimens(t) {
		raw := s.encode()
		if len(raw) > 1000 {
			raw = raw[:1000]
		}
		for i := range len(raw) * 8 {
			raw[i/8] ^= 1 << (i % 8)
			got, err := s.decode(raw)
			if err == nil && reflect.DeepEqual(got, s.want) {
				t.Errorf("%s: the same with bit %d flipped", s.name, i)
			}
			if again, ok := reprint(got); err == nil && ok && !bytes.Equal(again, raw) {
				t.Errorf("%s: with bit %d flipped %x is printed as %x", s.name, i, raw, again)
			}
			raw[i/8] ^= 1 << (i % 8)
		}
	}
}

// reprint is a decoded message as bytes.
func reprint(m any) ([]byte, bool) {
	switch m := m.(type) {
	case lookupRequest:
		return m.append(nil), true
	case lookupAnswer:
		return m.append(nil), true
	case fetchRequest:
		return m.append(nil), true
	case textPart:
		return append(m.appendHead(nil), m.data...), true
	case runPart:
		return append(m.appendHead(nil), m.run.Data...), true
	case syncRequest:
		return m.append(nil), true
	case syncHead:
		return m.append(nil), true
	case offerRequest:
		return m.append(nil), true
	case offerAnswer:
		return m.append(nil), true
	}
	return nil, false
}

func bufioOf(raw []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(raw)) }
