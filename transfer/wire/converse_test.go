package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/stream/pb"
	"github.com/flurry-nix/flurry/transfer/transfertest/sample"
)

// script is a stream on which the peer says what it says, whatever it hears.
type script struct {
	in    *bytes.Reader
	out   bytes.Buffer
	reset bool
	ended bool
}

func newScript(says []byte) *script { return &script{in: bytes.NewReader(says)} }

func (s *script) Read(p []byte) (int, error)         { return s.in.Read(p) }
func (s *script) Write(p []byte) (int, error)        { return s.out.Write(p) }
func (s *script) SetReadDeadline(t time.Time) error  { return nil }
func (s *script) SetWriteDeadline(t time.Time) error { return nil }
func (s *script) Close() error                       { s.ended = true; return nil }
func (s *script) Reset() error                       { s.reset, s.ended = true, true; return nil }

func frames(t testing.TB, messages ...proto.Message) []byte {
	var b []byte
	for _, m := range messages {
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		b = append(binary.AppendUvarint(b, uint64(len(raw))), raw...)
	}
	return b
}

// Whatever a peer answers, an asker has either an error, and resets the stream,
// or an answer to its question.
func FuzzAnswers(f *testing.F) {
	space := sample.Space(f)
	asked := []nix.PathHash{sample.Path(f, 1).Hash(), sample.Path(f, 2).Hash()}
	e := sample.Entry(f, 2, 3)
	extra := sample.Entry(f, 3)
	ranges := []transfer.Range{{First: 4, Count: 3}, {First: 0, Count: 1}}
	request := transfer.SyncRequest{Epoch: [16]byte{1}, Cursor: 3, Buckets: []byte{7}}
	id := sample.ID("id", 1)
	id[0] = 7
	hash := func(h nix.PathHash) []byte { return h[:] }

	f.Add(byte(0), frames(f, &pb.LookupAnswer{Hash: hash(asked[0])}, &pb.LookupAnswer{Hash: hash(asked[1]), Entry: e.Append(nil)},
		&pb.LookupAnswer{Hash: hash(extra.Path.Hash()), Entry: extra.Append(nil), Publication: id[:]}, &pb.LookupAnswer{Last: true}))
	f.Add(byte(1), frames(f, &pb.TextPart{Size: 5, Data: []byte("abc")}, &pb.TextPart{Data: []byte("de")}))
	f.Add(byte(2), frames(f, &pb.RunPart{First: 4, Count: 2, RawLength: 5, Data: []byte("abcde")},
		&pb.RunPart{First: 6, Count: 1, Encoding: pb.Encoding_ZSTD, RawLength: 500, Data: []byte("x")}, &pb.RunPart{Count: 1, RawLength: 1, Data: []byte("y")}))
	f.Add(byte(2), frames(f, &pb.RunPart{First: 4, Count: 2, RawLength: 5, Data: []byte("abcde")}, &pb.RunPart{Code: pb.Code_ABSENT}))
	f.Add(byte(3), append(frames(f, &pb.SyncHead{Serial: 2, Document: id[:], Known: true, Epoch: append([]byte{1}, make([]byte, 15)...), Cursor: 4,
		DocumentSize: 3, ListSizes: []uint32{2}, Added: 1, Buckets: []byte{7}, BucketIds: []uint32{1}}, &pb.TextPart{Data: append([]byte("doclt"), id[:]...)}),
		frames(f, &pb.TextPart{Data: id[:]})...))
	f.Add(byte(3), frames(f, &pb.SyncHead{Code: pb.Code_BUSY, RetryAfterMs: 9}))

	f.Fuzz(func(t *testing.T, what byte, says []byte) {
		var k Asker
		s := newScript(says)
		var err error
		switch what % 4 {
		case 0:
			var got []transfer.Answer
			if got, err = k.Lookup(t.Context(), s, space, asked); err == nil {
				checkAnswers(t, asked, got)
			}
		case 1:
			var got []byte
			got, err = k.Text(t.Context(), s, space, transfer.Document, id)
			if err == nil && (len(got) == 0 || len(got) > namespace.MaxDocument) {
				t.Fatalf("a document of %d bytes", len(got))
			}
		case 2:
			var got []transfer.Run
			err = k.Chunks(t.Context(), s, space, content.BodyID{1}, ranges, func(r transfer.Run) error {
				got = append(got, r)
				return nil
			})
			checkRuns(t, got, err)
		case 3:
			var got *transfer.SyncAnswer
			if got, err = k.Sync(t.Context(), s, space, request); err == nil {
				checkSync(t, request, got)
			}
		}
		// Chunks that are missing are an answer, too.
		if !s.ended || s.reset != (err != nil) && !(what%4 == 2 && errors.Is(err, transfer.ErrAbsent)) {
			t.Fatalf("%v, and the stream is reset: %v", err, s.reset)
		}
	})
}

func checkAnswers(t *testing.T, asked []nix.PathHash, got []transfer.Answer) {
	seen := make(map[nix.PathHash]bool)
	for i, a := range got {
		if i < len(asked) && a.Hash != asked[i] || seen[a.Hash] || i >= len(asked) && len(a.Entries) == 0 {
			t.Fatalf("answer %d is for %s, with %d entries", i, a.Hash, len(a.Entries))
		}
		seen[a.Hash] = true
		for _, e := range a.Entries {
			if e.Entry.Path.Hash() != a.Hash || e.Entry.Check() != nil {
				t.Fatalf("answer %d is for %s, with %s", i, a.Hash, e.Entry.Path.Base())
			}
		}
	}
	if len(got) < len(asked) {
		t.Fatalf("%d answers for %d", len(got), len(asked))
	}
}

// checkRuns knows the ranges of FuzzAnswers: 4, 5, 6, 0.
func checkRuns(t *testing.T, got []transfer.Run, err error) {
	order := map[uint32]int{4: 0, 5: 1, 6: 2, 0: 3}
	next, sum := 0, uint32(0)
	for _, r := range got {
		at, ok := order[r.First]
		if !ok || at < next || at+int(r.Count) > 4 || r.First != 0 && at+int(r.Count) > 3 {
			t.Fatalf("run %d+%d", r.First, r.Count)
		}
		next, sum = at+int(r.Count), sum+r.Count
	}
	if (err == nil) != (sum == 4) {
		t.Fatalf("%d chunks of 4, and %v", sum, err)
	}
}

func checkSync(t *testing.T, r transfer.SyncRequest, a *transfer.SyncAnswer) {
	for b, ids := range a.BucketIDs {
		if !bytes.Contains(r.Buckets, []byte{b}) || checkBucket(b, ids) != nil {
			t.Fatalf("bucket %d with %d ids", b, len(ids))
		}
	}
	if a.Known && (a.Epoch != r.Epoch || a.Cursor < r.Cursor) || !a.Known && len(a.Added) > 0 {
		t.Fatalf("known %v, cursor %d, %d added", a.Known, a.Cursor, len(a.Added))
	}
}

// Whatever a peer asks, it is answered with frames that an asker understands, or
// the stream is reset.
func FuzzQuestions(f *testing.F) {
	for _, s := range specimens(f) {
		raw := s.encode()
		for p := range Protocols {
			f.Add(byte(p), append(binary.AppendUvarint(nil, uint64(len(raw))), raw...))
		}
	}
	f.Add(byte(0), []byte{0xff, 0xff, 0xff, 0xff, 0x7f})
	e := sample.Entry(f, 1)
	v := Server{Handler: everything{e}, Log: slog.New(slog.DiscardHandler)}
	f.Fuzz(func(t *testing.T, p byte, says []byte) {
		s := newScript(says)
		err := v.Serve(t.Context(), Protocol(p)%Protocols, s, Caller{})
		if !s.ended || s.reset != (err != nil) {
			t.Fatalf("%v, and the stream is reset: %v", err, s.reset)
		}
		if err != nil {
			return
		}
		answer := newFramed(newScript(s.out.Bytes()), DefaultPace(), new(buffers), reading{readAhead, trustedLength})
		n := 0
		for ; ; n++ {
			if _, err := answer.next(MaxFrame); err != nil {
				if !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				break
			}
		}
		if n == 0 {
			t.Fatal("no answer")
		}
	})
}

// everything has one of everything.
type everything struct{ entry namespace.Entry }

func (h everything) Lookup(_ context.Context, _ transfer.Remote, _ namespace.Address, hashes []nix.PathHash) ([]transfer.Answer, error) {
	return []transfer.Answer{{Hash: h.entry.Path.Hash(), Entries: []transfer.LookupEntry{{Entry: h.entry}}}}, nil
}

func (h everything) Text(context.Context, transfer.Remote, namespace.Address, transfer.Kind, [32]byte) ([]byte, error) {
	return []byte("text"), nil
}

func (h everything) Chunks(_ context.Context, _ transfer.Remote, _ namespace.Address, _ content.BodyID, ranges []transfer.Range, send func(transfer.Run) error) error {
	return send(transfer.Run{First: ranges[0].First, Count: 1, RawLength: 4, Data: []byte("data")})
}

func (h everything) Sync(_ context.Context, _ transfer.Remote, _ namespace.Address, r transfer.SyncRequest) (*transfer.SyncAnswer, error) {
	return &transfer.SyncAnswer{Equal: true, Epoch: [16]byte{1}}, nil
}

func (h everything) Offer(_ context.Context, _ transfer.Remote, _ namespace.Address, _ namespace.ID, send func(transfer.OfferUpdate) error) error {
	return errors.Join(send(transfer.OfferUpdate{State: transfer.OfferQueued}), send(transfer.OfferUpdate{State: transfer.OfferStored, Receipt: []byte("receipt")}))
}
