package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/stream/pb"
	"github.com/flurry-nix/flurry/transfer/transfertest/sample"
	"github.com/flurry-nix/flurry/transfer/wire"
)

// outcome is what an asker must be told.
type outcome func(error) bool

func lied(what string) outcome {
	return func(err error) bool {
		var m *transfer.MisbehaviourError
		return errors.As(err, &m) && strings.Contains(m.What, what)
	}
}

func is(want error) outcome {
	return func(err error) bool {
		var m *transfer.MisbehaviourError
		return errors.Is(err, want) && !errors.As(err, &m)
	}
}

// vanished: the peer went away, which is no lie and no answer.
func vanished(err error) bool {
	var m *transfer.MisbehaviourError
	var busy *transfer.BusyError
	return err != nil && !errors.As(err, &m) && !errors.As(err, &busy) && !errors.Is(err, transfer.ErrAbsent) &&
		!errors.Is(err, transfer.ErrStalled) && !errors.Is(err, context.DeadlineExceeded)
}

type lieCase struct {
	name string
	tell lie
	want outcome
}

// anyAnswer is the lies that can be told about any question. first is a frame
// that begins an honest answer which goes on.
func anyAnswer(first []byte, status func(code pb.Code, after uint32, reason string) proto.Message) []lieCase {
	return []lieCase{
		{"a length without end", endless([]byte{0xff}), lied("length of more than 5 bytes")},
		{"a length not in its shortest form", saying([]byte{0x81, 0x00, 0x08}), lied("shortest form")},
		{"a frame too long", saying(binary.AppendUvarint(nil, 1<<34)), lied("frame of 17179869184 bytes")},
		{"nonsense", saying([]byte("\x05hello")), lied("field 13")},
		{"an unknown field", saying([]byte("\x05\xfa\x01\x02ab")), lied("field 31 is not known")},
		{"an unknown code", messages(status(9, 0, "")), lied("field 1 is 9")},
		{"busy without a time", messages(status(pb.Code_BUSY, 0, "")), lied("asked again in 0s")},
		{"busy for days", messages(status(pb.Code_BUSY, 1<<31, "")), lied("field 2")},
		{"a long reason", messages(status(pb.Code_BAD, 0, strings.Repeat("x", 257))), lied("257 bytes, at most 256")},
		{"a reason that is no text", saying([]byte("\x05\x08\x04\x1a\x01\xff")), lied("not UTF-8")},
		{"absent, for a reason", messages(status(pb.Code_ABSENT, 0, "x")), lied("reason with code 1")},

		{"silence", saying(), is(transfer.ErrStalled)},
		{"silence after a beginning", saying(first), is(transfer.ErrStalled)},
		{"silence in a frame", saying(first, []byte{0x20, 0x08}), is(transfer.ErrStalled)},
		{"silence in a length", saying(first, []byte{0xff}), is(transfer.ErrStalled)},
		{"a frame in bytes now and then", trickling(append(binary.AppendUvarint(nil, 60_000), make([]byte, 60_000)...)), is(transfer.ErrStalled)},
		{"the end at once", leaving(nil), is(io.ErrUnexpectedEOF)},
		{"the end after a beginning", leaving(first), is(io.ErrUnexpectedEOF)},
		{"the end in a frame", leaving(append(bytes.Clone(first), 0x20, 0x08)), is(io.ErrUnexpectedEOF)},
		{"the end in a length", leaving(append(bytes.Clone(first), 0xff)), is(io.ErrUnexpectedEOF)},
		{"a reset at once", breaking(nil), vanished},
		{"a reset in a frame", breaking(append(bytes.Clone(first), 0x20, 0x08)), vanished},

		{"honestly absent", messages(status(pb.Code_ABSENT, 0, "")), is(transfer.ErrAbsent)},
		{"honestly refused", messages(status(pb.Code_REFUSED, 0, "")), is(transfer.ErrRefused)},
		{"honestly busy", messages(status(pb.Code_BUSY, 5, "")), func(err error) bool {
			var busy *transfer.BusyError
			return errors.As(err, &busy) && busy.RetryAfter == 5*time.Millisecond
		}},
		{"honestly confused", messages(status(pb.Code_BAD, 0, "hm\x07")), func(err error) bool {
			var bad *transfer.BadRequestError
			return errors.As(err, &bad) && bad.Reason == `hm\a`
		}},
	}
}

func runLies(t *testing.T, p wire.Protocol, cases []lieCase, ask func(context.Context, transfer.Conn) error) {
	l := newLiar(t, p)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			l.tell <- c.tell
			if err := ask(ctx, l.conn); !c.want(err) {
				t.Errorf("the asker is told: %v", err)
			}
		})
	}
}

func TestLiesAboutLookups(t *testing.T) {
	space := sample.Space(t)
	one, two := sample.Path(t, 1).Hash(), sample.Path(t, 2).Hash()
	e1, e2, e3 := sample.Entry(t, 1, 3, 4), sample.Entry(t, 2), sample.Entry(t, 3, 5)
	many := make([]int, transfer.MaxLookupExtra+1)
	for i := range many {
		many[i] = 10_000 + i
	}
	manyRefs := sample.Entry(t, 2, many...)
	large := sample.Entry(t, 1, many...)
	absent := func(h nix.PathHash) *pb.LookupAnswer { return &pb.LookupAnswer{Hash: h[:]} }
	entry := func(h nix.PathHash, text []byte) *pb.LookupAnswer { return &pb.LookupAnswer{Hash: h[:], Entry: text} }
	t1, t2, t3 := e1.Append(nil), e2.Append(nil), e3.Append(nil)
	h3, h4, h5 := sample.Path(t, 3).Hash(), sample.Path(t, 4).Hash(), sample.Path(t, 5).Hash()
	last := &pb.LookupAnswer{Last: true}
	nine := []proto.Message{}
	for range transfer.MaxLookupEntries + 1 {
		nine = append(nine, entry(one, t1))
	}
	extras := []proto.Message{absent(one), entry(two, manyRefs.Append(nil))}
	for _, n := range many {
		e := sample.Entry(t, n)
		extras = append(extras, entry(e.Path.Hash(), e.Append(nil)))
	}
	status := func(code pb.Code, after uint32, reason string) proto.Message {
		return &pb.LookupAnswer{Code: code, RetryAfterMs: after, Reason: reason}
	}
	cases := append(anyAnswer(frame(absent(one)), status), []lieCase{
		{"nothing but the end", messages(last), lied("answers for 0 of 2")},
		{"the end too early", messages(absent(one), last), lied("answers for 1 of 2")},
		{"another order", messages(absent(two), absent(one), last), lied("where " + one.String() + " is next")},
		{"not what was asked", messages(absent(h3)), lied("where " + one.String() + " is next")},
		{"the same twice", messages(absent(one), absent(one)), lied("absent, and not only that")},
		{"absent, and here it is", messages(absent(one), entry(one, t1)), lied("absent, and not only that")},
		{"here it is, and absent", messages(entry(one, t1), absent(one)), lied("absent, and not only that")},
		{"nine entries", messages(nine...), lied("more than 8 entries")},
		{"entries without end", endless(frame(entry(one, t1))), lied("more than 8 entries")},
		{"another path's entry", messages(entry(one, t2)), lied(e2.Path.Base() + " in the answer for " + one.String())},
		{"an entry of nonsense", messages(entry(one, []byte("hello"))), lied("entry:")},
		{"an entry cut off", messages(entry(one, t1[:len(t1)-1])), lied("entry:")},
		{"an entry with a rule to come", messages(entry(one, append(bytes.Clone(t1), "!rule: x\n"...))), lied("entry:")},
		{"half a hash", messages(&pb.LookupAnswer{Hash: one[:10]}), lied("10 bytes, not 20")},
		{"half a publication", messages(&pb.LookupAnswer{Hash: one[:], Entry: t1, Publication: one[:]}), lied("20 bytes, not 32")},
		{"a status beside an answer", messages(&pb.LookupAnswer{Code: pb.Code_ABSENT, Hash: one[:]}), lied("field 4 with code 1")},
		{"what nobody asked for", messages(entry(one, t1), absent(two), entry(h5, t3)), lied("not asked for, is no reference")},
		{"a reference that is absent", messages(entry(one, t1), absent(two), absent(h4)), lied("is said to be absent")},
		{"a reference twice", messages(entry(one, t1), absent(two), entry(h3, t3), entry(sample.Path(t, 5).Hash(), sampleText(t, 5)), entry(h3, t3)), lied("or was answered")},
		{"what was asked, again", messages(entry(one, t1), absent(two), entry(one, t1)), lied("or was answered")},
		{"too many references", messages(extras...), lied("more than 1024 answers")},
		{"too many bytes", func() lie {
			var all []proto.Message
			text := large.Append(nil) // 46 KB
			for range 8 {
				all = append(all, entry(one, text))
			}
			padded := append(bytes.Clone(text[:len(text):len(text)]), "Later: "...)
			padded = append(append(padded, bytes.Repeat([]byte("x"), 4<<20-len(padded)-1)...), '\n')
			all = append(all[:6], entry(one, padded), entry(one, padded))
			return messages(append(all, absent(two))...)
		}(), lied("over 8388608 bytes")},
		{"the best there is", messages(entry(one, t1), absent(two), entry(h3, t3), last), func(err error) bool { return err == nil }},
	}...)
	runLies(t, wire.Lookup, cases, func(ctx context.Context, c transfer.Conn) error {
		_, err := c.Lookup(ctx, space, []nix.PathHash{one, two})
		return err
	})
}

func sampleText(t testing.TB, n int) []byte {
	e := sample.Entry(t, n)
	return e.Append(nil)
}

func TestLiesAboutTexts(t *testing.T) {
	space, id := sample.Space(t), sample.ID("document", 1)
	data := sample.Noise(1, 256<<10)
	status := func(code pb.Code, after uint32, reason string) proto.Message {
		return &pb.TextPart{Code: code, RetryAfterMs: after, Reason: reason}
	}
	cases := append(anyAnswer(frame(&pb.TextPart{Size: 100, Data: data[:20]}), status), []lieCase{
		{"no size", messages(&pb.TextPart{Data: data[:20]}), lied("of 0 bytes")},
		{"too large a size", messages(&pb.TextPart{Size: 1<<20 + 1, Data: data[:20]}), lied("of 1048577 bytes")},
		{"a size of 4 GiB", messages(&pb.TextPart{Size: 1<<32 - 1, Data: data[:20]}), lied("field 4")},
		{"no data", messages(&pb.TextPart{Size: 20}), lied("no data")},
		{"more than its size at once", messages(&pb.TextPart{Size: 20, Data: data[:21]}), lied("21 bytes of 20")},
		{"more than its size later", messages(&pb.TextPart{Size: 30, Data: data[:20]}, &pb.TextPart{Data: data[:11]}), lied("31 bytes of 30")},
		{"two sizes", messages(&pb.TextPart{Size: 30, Data: data[:20]}, &pb.TextPart{Size: 30, Data: data[:10]}), lied("twice how long")},
		{"parts of nothing", messages(&pb.TextPart{Size: 30, Data: data[:20]}, &pb.TextPart{}), lied("no data")},
		{"too large a part", saying(binary.AppendUvarint(nil, 256<<10+200)), lied("frame of 262344 bytes")},
		{"parts without end", endless(frame(&pb.TextPart{Size: 1 << 20, Data: data})), lied("twice how long")},
		{"a status in the middle", messages(&pb.TextPart{Size: 30, Data: data[:20]}, &pb.TextPart{Code: pb.Code_ABSENT}), is(transfer.ErrAbsent)},
		{"the best there is", messages(&pb.TextPart{Size: 30, Data: data[:20]}, &pb.TextPart{Data: data[:10]}), func(err error) bool { return err == nil }},
	}...)
	runLies(t, wire.Fetch, cases, func(ctx context.Context, c transfer.Conn) error {
		_, err := c.Text(ctx, space, transfer.Document, id)
		return err
	})
}

func TestLiesAboutChunks(t *testing.T) {
	space := sample.Space(t)
	data := sample.Noise(1, 4096)
	run := func(first, count uint32) *pb.RunPart {
		return &pb.RunPart{First: first, Count: count, RawLength: count, Data: data[:count]}
	}
	zstd := func(raw uint32, n int) *pb.RunPart {
		return &pb.RunPart{First: 10, Count: 1, Encoding: pb.Encoding_ZSTD, RawLength: raw, Data: data[:n]}
	}
	status := func(code pb.Code, after uint32, reason string) proto.Message {
		return &pb.RunPart{Code: code, RetryAfterMs: after, Reason: reason}
	}
	// Asked for are chunks 10 to 19 and, after them, 5 to 7.
	cases := append(anyAnswer(frame(run(10, 2)), status), []lieCase{
		{"before the range", messages(run(9, 1)), lied("1 chunks from 9, not asked for there")},
		{"beyond the range", messages(run(20, 1)), lied("not asked for there")},
		{"over the end of the range", messages(run(18, 3)), lied("not asked for there")},
		{"over its beginning", messages(run(9, 2)), lied("not asked for there")},
		{"the same run twice", messages(run(10, 2), run(10, 2)), lied("not asked for there")},
		{"overlapping runs", messages(run(10, 3), run(12, 2)), lied("not asked for there")},
		{"falling runs", messages(run(15, 2), run(10, 2)), lied("not asked for there")},
		{"the ranges in another order", messages(run(5, 2), run(10, 10)), lied("not asked for there")},
		{"the last range alone", messages(run(5, 3), run(10, 10)), is(transfer.ErrAbsent)},
		{"a chunk of 2^32", messages(&pb.RunPart{First: 1<<32 - 1, Count: 1, RawLength: 1, Data: data[:1]}), lied("field 4")},
		{"a run of no chunks", messages(&pb.RunPart{First: 10, RawLength: 1, Data: data[:1]}), lied("run of 0 chunks")},
		{"a run of all chunks", messages(&pb.RunPart{First: 10, Count: 1<<32 - 1, RawLength: 1, Data: data[:1]}), lied("field 5")},
		{"an unknown encoding", messages(&pb.RunPart{First: 10, Count: 1, Encoding: 2, RawLength: 1, Data: data[:1]}), lied("field 6 is 2")},
		{"over 2 MiB", messages(zstd(2<<20+1, 10)), lied("field 7 is 2097153")},
		{"a chunk of over 256 KiB", messages(zstd(256<<10+1, 10)), lied("each has 1 to 262144")},
		{"no bytes for a chunk", messages(&pb.RunPart{First: 10, Count: 2, RawLength: 1, Data: data[:1]}), lied("each has 1 to")},
		{"fewer bytes than said", messages(&pb.RunPart{First: 10, Count: 2, RawLength: 5, Data: data[:4]}), lied("run of 5 bytes brings 4")},
		{"more bytes than said", messages(&pb.RunPart{First: 10, Count: 2, RawLength: 5, Data: data[:6]}), lied("run of 5 bytes brings 6")},
		{"compressed to far more", messages(zstd(100, 133)), lied("bring 133 encoded")},
		{"no data", messages(&pb.RunPart{First: 10, Count: 1, RawLength: 1}), lied("brings 0")},
		{"fine, and nothing else", messages(&pb.RunPart{}), lied("run of 0 chunks")},
		{"too large a frame", saying(binary.AppendUvarint(nil, transfer.MaxRunData+200)), lied("frame of 2162888 bytes")},
		{"runs without end", endless(frame(run(10, 1))), lied("not asked for there")},
		{"a status beside a run", messages(&pb.RunPart{Code: pb.Code_BUSY, RetryAfterMs: 1, First: 10, Count: 1}), lied("field 5 with code 2")},
		{"busy in the middle", messages(run(10, 2), &pb.RunPart{Code: pb.Code_BUSY, RetryAfterMs: 1}), func(err error) bool {
			var busy *transfer.BusyError
			return errors.As(err, &busy)
		}},
		{"absent in the middle", messages(run(10, 2), &pb.RunPart{Code: pb.Code_ABSENT}), is(transfer.ErrAbsent)},
		{"tiny frames now and then", func() lie {
			var all []byte
			for i := range uint32(10) {
				all = append(all, frame(run(10+i, 1))...)
			}
			return trickling(all)
		}(), is(transfer.ErrStalled)},
		{"the best there is", messages(run(10, 10), run(5, 2), run(7, 1)), func(err error) bool { return err == nil }},
	}...)
	runLies(t, wire.Fetch, cases, func(ctx context.Context, c transfer.Conn) error {
		return c.Chunks(ctx, space, content.BodyID(sample.ID("body", 1)), []transfer.Range{{First: 10, Count: 10}, {First: 5, Count: 3}}, func(r transfer.Run) error {
			if len(r.Data) == 0 || int(r.Count) != r.RawLength {
				t.Errorf("run %+v got through", r)
			}
			return nil
		})
	})
}

func TestLiesAboutSync(t *testing.T) {
	space := sample.Space(t)
	mine, theirs := sample.ID("document", 1), sample.ID("document", 2)
	epoch, other := bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 16)
	seven := sample.ID("publication", 1)
	seven[0] = 7
	request := transfer.SyncRequest{Serial: 1, Document: mine, Epoch: [16]byte(epoch), Cursor: 5, Buckets: []byte{7, 9}}
	ids := func(list ...[]byte) *pb.TextPart { return &pb.TextPart{Data: bytes.Join(list, nil)} }
	known := func(cursor uint64, added uint32) *pb.SyncHead {
		return &pb.SyncHead{Known: true, Epoch: epoch, Cursor: cursor, Added: added, Buckets: []byte{7}, BucketIds: []uint32{0}}
	}
	buckets := func(b []byte, counts ...uint32) *pb.SyncHead { return &pb.SyncHead{Buckets: b, BucketIds: counts} }
	document := &pb.SyncHead{Serial: 2, Document: theirs[:], DocumentSize: 10, ListSizes: []uint32{5}, Buckets: []byte{7}, BucketIds: []uint32{1}}
	status := func(code pb.Code, after uint32, reason string) proto.Message {
		return &pb.SyncHead{Code: code, RetryAfterMs: after, Reason: reason}
	}
	cases := append(anyAnswer(frame(document), status), []lieCase{
		{"the document that is here", messages(&pb.SyncHead{Serial: 1, Document: mine[:], DocumentSize: 10}), lied("here already")},
		{"a document of no serial", messages(&pb.SyncHead{Document: theirs[:]}), lied("serial 0")},
		{"too large a document", messages(&pb.SyncHead{Serial: 2, Document: theirs[:], DocumentSize: 1<<20 + 1}), lied("field 11")},
		{"too many lists", messages(&pb.SyncHead{Serial: 2, Document: theirs[:], DocumentSize: 1, ListSizes: make([]uint32, 1025)}), lied("more than 1024")},
		{"too large lists", messages(&pb.SyncHead{Serial: 2, Document: theirs[:], DocumentSize: 1, ListSizes: []uint32{4 << 20, 4 << 20, 1}}), lied("at most 8388608")},
		{"an epoch not asked about", messages(&pb.SyncHead{Known: true, Epoch: other, Cursor: 6, Buckets: []byte{7}, BucketIds: []uint32{0}}), lied("not the one asked about")},
		{"back in time", messages(known(4, 0)), lied("cursor 4 after 5")},
		{"no progress", messages(known(5, 1)), lied("cursor 5 after 5")},
		{"more after nothing", messages(&pb.SyncHead{Known: true, Epoch: epoch, Cursor: 6, More: true}), lied("more after none")},
		{"too many ids", messages(known(6, 65_537)), lied("field 13")},
		{"too many ids in buckets", messages(buckets([]byte{7, 9}, 65_536, 1)), lied("65537 ids")},
		{"a bucket not asked for", messages(buckets([]byte{8}, 1)), lied("bucket 8, not asked for")},
		{"none of the buckets", messages(&pb.SyncHead{}), lied("none of 2 buckets")},
		{"buckets falling", messages(buckets([]byte{9, 7}, 0, 0)), lied("ascending")},
		{"an id of another bucket", messages(buckets([]byte{9}, 1), ids(seven[:])), lied("out of place in bucket 9")},
		{"an id twice", messages(buckets([]byte{7}, 2), ids(seven[:], seven[:])), lied("out of place in bucket 7")},
		{"digests of half the buckets", messages(&pb.SyncHead{BucketCounts: make([]uint64, 128), BucketSums: make([]byte, 128*32)}), lied("128 counts")},
		{"equal, and different", messages(&pb.SyncHead{Equal: true, Buckets: []byte{7}, BucketIds: []uint32{0}}), lied("same publications")},
		{"more than was said", messages(document, &pb.TextPart{Data: make([]byte, 48)}), lied("48 bytes of 47")},
		{"a size where none is due", messages(document, &pb.TextPart{Size: 47, Data: make([]byte, 47)}), lied("twice how long")},
		{"parts of nothing", messages(document, &pb.TextPart{}), lied("no data")},
		{"a status in the middle", messages(document, &pb.TextPart{Code: pb.Code_ABSENT}), is(transfer.ErrAbsent)},
		{"too large a head", saying(binary.AppendUvarint(nil, 64<<10+1)), lied("frame of 65537 bytes")},
		{"the best there is", messages(document, &pb.TextPart{Data: make([]byte, 11)}, &pb.TextPart{Data: make([]byte, 4)}, ids(seven[:])), func(err error) bool { return err == nil }},
	}...)
	runLies(t, wire.Sync, cases, func(ctx context.Context, c transfer.Conn) error {
		_, err := c.Sync(ctx, space, request)
		return err
	})
}

func TestLiesAboutOffers(t *testing.T) {
	space, id := sample.Space(t), sample.ID("publication", 1)
	state := func(s pb.OfferAnswer_State) *pb.OfferAnswer { return &pb.OfferAnswer{State: s} }
	have := func(n, of uint64) *pb.OfferAnswer {
		return &pb.OfferAnswer{State: pb.OfferAnswer_HAVE, Have: n, Of: of}
	}
	status := func(code pb.Code, after uint32, reason string) proto.Message {
		return &pb.OfferAnswer{Code: code, RetryAfterMs: after, Reason: reason}
	}
	queued := state(pb.OfferAnswer_QUEUED)
	any := slices.DeleteFunc(anyAnswer(frame(queued), status), func(c lieCase) bool {
		return c.name == "a frame in bytes now and then" // it is too long a frame, see below
	})
	cases := append(any,
		lieCase{"an update in bytes now and then", trickling(append(binary.AppendUvarint(nil, 1400), make([]byte, 1400)...)), is(transfer.ErrStalled)},
		lieCase{"stored, and no receipt", messages(state(pb.OfferAnswer_STORED)), lied("a receipt of 0 bytes")},
		lieCase{"more than all", messages(have(2, 1)), lied("fields that it has not")},
		lieCase{"less than before", messages(have(2, 3), have(1, 3)), lied("has 1 of 3 after 2 of 3")},
		lieCase{"back in the queue", messages(have(2, 3), queued), lied("queued after have")},
		lieCase{"a frame for a text", saying(binary.AppendUvarint(nil, 1<<20)), lied("frame of 1048576 bytes")},
		lieCase{"updates without end", endless(frame(queued)), lied("more than 7200 updates")},
	)
	runLies(t, wire.Offer, cases, func(ctx context.Context, c transfer.Conn) error {
		return c.Offer(ctx, space, id, func(transfer.OfferUpdate) error { return nil })
	})
}
