package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/storetest"
)

// keepList is a kept list, which is its own id's preimage.
const keepList = "flurry keep 1\nnamespace acme-1:gUPS5WA15etHss+qS88T+5lXfwyC3r3IZt7EWO7FeRE=\n"

func begin(t *testing.T, s store.Store) store.Batch {
	t.Helper()
	b, err := s.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestCheck(t *testing.T) {
	k, raw := storetest.Chunk(1, 1000)
	text, err := namespace.TextID([]byte(keepList))
	if err != nil {
		t.Fatal(err)
	}
	body := store.Key{Kind: store.KindBody, ID: k.ID}
	large := make([]byte, store.KindChunk.MaxRaw()+1)
	for _, c := range []struct {
		name string
		k    store.Key
		raw  []byte
		ok   bool
	}{
		{"chunk", k, raw, true},
		{"body", body, raw, true},
		{"kept list", store.KeepListKey(text), []byte(keepList), true},
		{"other bytes", k, raw[1:], false},
		{"another id", store.Key{Kind: store.KindChunk, ID: sha256.Sum256(nil)}, raw, false},
		{"another kept list", store.KeepListKey(text), []byte(keepList + keepList), false},
		{"not a text", store.DocumentKey(namespace.ID(k.ID)), raw, false},
		{"no kind", store.Key{ID: k.ID}, raw, false},
		{"empty chunk", store.Key{Kind: store.KindChunk, ID: sha256.Sum256(nil)}, nil, false},
		{"large chunk", store.Key{Kind: store.KindChunk, ID: sha256.Sum256(large)}, large, false},
		{"the same as a body", store.Key{Kind: store.KindBody, ID: sha256.Sum256(large)}, large, true},
	} {
		err := store.Check(c.k, c.raw)
		if c.ok != (err == nil) || err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestReceiveRefuses(t *testing.T) {
	m, c := storetest.NewMem(t), store.NewCodec()
	b := begin(t, m)
	k, raw := storetest.Chunk(1, 1000)
	bad := bytes.Clone(raw)
	bad[500] ^= 1
	if err := store.Receive(t.Context(), b, c, k, bad); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Receive = %v; want ErrCorrupt", err)
	}
	for _, f := range []store.Frame{
		{Encoding: store.Raw, RawLength: 1000, Data: bad},
		{Encoding: store.Zstd, RawLength: 1000, Data: encode(t, bad)},
		{Encoding: store.Zstd, RawLength: 1000, Data: raw},
		{Encoding: store.Raw, RawLength: 0},
		{Encoding: store.Raw, RawLength: 1 << 30},
	} {
		if _, err := store.ReceiveFrame(t.Context(), b, c, k, f); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("ReceiveFrame %v of %d = %v; want ErrCorrupt", f.Encoding, f.RawLength, err)
		}
	}
	if m.Len() != 0 {
		t.Errorf("%d contents got in", m.Len())
	}
}

// What comes as one good frame stays as it came; anything else is made one.
func TestReceiveFrameForm(t *testing.T) {
	k, raw := storetest.Chunk(1, 4000)
	noiseKey, noise := storetest.Noise(2, 4000)
	good := encode(t, raw)
	two := append(encode(t, raw[:2000]), encode(t, raw[2000:])...)
	long := encode(t, noise)
	for _, c := range []struct {
		name string
		k    store.Key
		raw  []byte
		f    store.Frame
		kept bool
		want store.Encoding
	}{
		{"one frame", k, raw, store.Frame{Encoding: store.Zstd, RawLength: 4000, Data: good}, true, store.Zstd},
		{"two frames", k, raw, store.Frame{Encoding: store.Zstd, RawLength: 4000, Data: two}, false, store.Zstd},
		{"raw", k, raw, store.Frame{Encoding: store.Raw, RawLength: 4000, Data: raw}, false, store.Zstd},
		{"larger than raw", noiseKey, noise, store.Frame{Encoding: store.Zstd, RawLength: 4000, Data: long}, false, store.Raw},
	} {
		m, codec := storetest.NewMem(t), store.NewCodec()
		b := begin(t, m)
		got, err := store.ReceiveFrame(t.Context(), b, codec, c.k, c.f)
		if err != nil || !bytes.Equal(got, c.raw) {
			t.Errorf("%s: %d bytes, %v", c.name, len(got), err)
			continue
		}
		f, err := m.Frame(t.Context(), c.k, nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if f.Encoding != c.want || bytes.Equal(f.Data, c.f.Data) != c.kept {
			t.Errorf("%s: stored as %v, %d bytes", c.name, f.Encoding, len(f.Data))
		}
	}
}

func TestReceiveReportsPutErrors(t *testing.T) {
	boom := errors.New("boom")
	for _, op := range []storetest.Op{storetest.OpHas, storetest.OpPut} {
		m, c := storetest.NewMem(t), store.NewCodec()
		b := begin(t, m)
		m.Fail(func(o storetest.Op, _ store.Key) (bool, error) {
			if o == op {
				return false, boom
			}
			return true, nil
		})
		k, raw := storetest.Chunk(1, 1000)
		if err := store.Receive(t.Context(), b, c, k, raw); !errors.Is(err, boom) {
			t.Errorf("%s: Receive = %v", op, err)
		}
	}
}

// liar is a reader whose frames are whatever it was made with.
type liar struct {
	f         store.Frame
	condemned []store.Key
}

func (l *liar) Frame(context.Context, store.Key, []byte) (store.Frame, error) { return l.f, nil }
func (l *liar) Has(context.Context, store.Key) (bool, error)                  { return true, nil }
func (l *liar) Condemn(_ context.Context, k store.Key) error {
	l.condemned = append(l.condemned, k)
	return nil
}

func TestGetChecks(t *testing.T) {
	k, raw := storetest.Chunk(1, 1000)
	_, other := storetest.Chunk(2, 1000)
	c := store.NewCodec()
	for name, f := range map[string]store.Frame{
		"other bytes":      {Encoding: store.Raw, RawLength: 1000, Data: other},
		"other compressed": {Encoding: store.Zstd, RawLength: 1000, Data: encode(t, other)},
		"not zstd":         {Encoding: store.Zstd, RawLength: 1000, Data: raw},
		"short":            {Encoding: store.Raw, RawLength: 1000, Data: raw[1:]},
		"nothing":          {},
	} {
		l := &liar{f: f}
		if got, err := store.Get(t.Context(), l, c, k); !errors.Is(err, store.ErrCorrupt) || got != nil {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if len(l.condemned) != 1 || l.condemned[0] != k {
			t.Errorf("%s: condemned %v", name, l.condemned)
		}
	}
	l := &liar{f: store.Frame{Encoding: store.Zstd, RawLength: 1000, Data: encode(t, raw)}}
	got, err := store.AppendGet(t.Context(), []byte("before"), l, c, k)
	if err != nil || string(got[:6]) != "before" || !bytes.Equal(got[6:], raw) || l.condemned != nil {
		t.Errorf("AppendGet: %d bytes, %v, condemned %v", len(got), err, l.condemned)
	}
}

func TestFullError(t *testing.T) {
	cause := errors.New("no space left on device")
	for want, err := range map[string]error{
		"store is full: 5 bytes free, under the reserve of 10": &store.FullError{Free: 5, Reserve: 10},
		"store is full: 7 of 8 bytes of quota used":            &store.FullError{Used: 7, Quota: 8},
		"store is full: no space left on device":               &store.FullError{Cause: cause},
	} {
		if err.Error() != want || !errors.Is(err, store.ErrFull) {
			t.Errorf("%q, is ErrFull %v; want %q", err, errors.Is(err, store.ErrFull), want)
		}
	}
	if !errors.Is(&store.FullError{Cause: cause}, cause) {
		t.Error("the cause is not found")
	}
}
