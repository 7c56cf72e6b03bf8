package kad

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	ds "github.com/ipfs/go-datastore"
	dsq "github.com/ipfs/go-datastore/query"
	"github.com/ipfs/go-libdht/kad/key/bitstr"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	kb "github.com/libp2p/go-libp2p-kbucket"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-base32"

	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/dht/dhttest"
)

func memDB(t *testing.T) *db {
	t.Helper()
	return openAt(t, "")
}

func openAt(t *testing.T, dir string) *db {
	t.Helper()
	d, err := openDB(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func spelled(b []byte) string { return base32.RawStdEncoding.EncodeToString(b) }

func addProvider(key []byte) *pb.Message { return pb.NewMessage(pb.Message_ADD_PROVIDER, key, 0) }

// sentMessages counts what was sent.
type sentMessages struct {
	n   int
	err error
}

func (s *sentMessages) SendMessage(context.Context, libpeer.ID, *pb.Message) error {
	if s.err == nil {
		s.n++
	}
	return s.err
}

func (s *sentMessages) SendRequest(context.Context, libpeer.ID, *pb.Message) (*pb.Message, error) {
	return nil, errors.New("no requests are made here")
}

func TestStoreOfANewerFormat(t *testing.T) {
	dir := t.TempDir()
	d, err := openDB(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Set([]byte(formatKey), []byte("2"), pebble.Sync), d.close()); err != nil {
		t.Fatal(err)
	}
	if _, err := New(newHost(t, "a"), Options{Dir: dir}); !errors.Is(err, ErrNewer) {
		t.Errorf("got %v, want ErrNewer", err)
	}
}

func TestProvidedSurvives(t *testing.T) {
	dir := t.TempDir()
	ks := keys("provided", 10)
	open := func() (*provided, func()) {
		d, err := openDB(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		p, err := openProvided(d)
		if err != nil {
			t.Fatal(err)
		}
		return p, func() { d.close() }
	}
	p, done := open()
	added, err := p.add(slices.Concat(ks[:8], ks[2:5]))
	if err != nil || len(added) != 8 {
		t.Fatalf("added %d, %v; want 8", len(added), err)
	}
	if added, err = p.add(ks); err != nil || !slices.Equal(added, ks[8:]) {
		t.Fatalf("added %v, %v; want the two that are new", added, err)
	}
	for _, k := range ks[:3] {
		if err := p.setTold(k); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.setTold(dhttest.Key("not provided")); err != nil {
		t.Fatal(err)
	}
	if err := p.remove([]dht.Key{ks[0], ks[0], ks[9], dhttest.Key("not provided")}); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		if size, untold := p.counts(); size != 8 || untold != 6 {
			t.Errorf("%s: %d keys, %d untold; want 8 and 6", when, size, untold)
		}
		var got []dht.Key
		var last *dht.Key
		for {
			some, err := p.untoldFrom(last, 4)
			if err != nil {
				t.Fatal(err)
			}
			if len(some) == 0 {
				break
			}
			got = append(got, some...)
			last = &some[len(some)-1]
		}
		if want := ks[3:9]; !sameKeys(got, want) {
			t.Errorf("%s: untold %v, want %v", when, got, want)
		}
	}
	check("before")
	done()
	p, done = open()
	defer done()
	check("after")
}

func sameKeys(a, b []dht.Key) bool {
	cmp := func(x, y dht.Key) int { return slices.Compare(x[:], y[:]) }
	return slices.Equal(slices.SortedFunc(slices.Values(a), cmp), slices.SortedFunc(slices.Values(b), cmp))
}

// TestKeystorePrefixes compares the store's ranges with bits counted one by one.
func TestKeystorePrefixes(t *testing.T) {
	p, err := openProvided(memDB(t))
	if err != nil {
		t.Fatal(err)
	}
	ks := keys("prefix", 300)
	if _, err := p.add(ks); err != nil {
		t.Fatal(err)
	}
	prefixes := []bitstr.Key{"", "0", "1", "11111111", "00000000", "111111111", "1111111"}
	for _, k := range ks[:20] {
		bits := bitsOf(k)
		for _, n := range []int{1, 5, 7, 8, 9, 15, 16, 17, 255, 256} {
			prefixes = append(prefixes, bitstr.Key(bits[:n]))
		}
	}
	places := make(map[dht.Key]string)
	for _, k := range ks {
		places[k] = bitsOf(k)
	}
	for _, prefix := range prefixes {
		var want []dht.Key
		for _, k := range ks {
			if strings.HasPrefix(places[k], string(prefix)) {
				want = append(want, k)
			}
		}
		ms, err := p.Get(t.Context(), prefix)
		if err != nil {
			t.Fatal(err)
		}
		var got []dht.Key
		for _, m := range ms {
			k, _ := dht.KeyOf(m)
			got = append(got, k)
		}
		if !sameKeys(got, want) {
			t.Errorf("prefix %q: %d keys, want %d", prefix, len(got), len(want))
		}
		if n, err := p.CountKeysUpTo(t.Context(), prefix, 3); err != nil || n != min(3, len(want)) {
			t.Errorf("prefix %q: counted %d, %v; want %d", prefix, n, err, min(3, len(want)))
		}
		if ok, err := p.ContainsPrefix(t.Context(), prefix); err != nil || ok != (len(want) > 0) {
			t.Errorf("prefix %q: contains %v, %v", prefix, ok, err)
		}
	}
	if n, err := p.Size(t.Context()); err != nil || n != len(ks) {
		t.Errorf("size %d, %v", n, err)
	}
}

// bitsOf is the place of a key in the library's keyspace.
func bitsOf(k dht.Key) (bits string) {
	for _, b := range kb.ConvertKey(string(k.Multihash())) {
		bits += fmt.Sprintf("%08b", b)
	}
	return bits
}

// TestTheLibraryChangesNothing: it reads the keystore and no more.
func TestTheLibraryChangesNothing(t *testing.T) {
	p, err := openProvided(memDB(t))
	if err != nil {
		t.Fatal(err)
	}
	ks := keys("k", 2)
	if _, err := p.add(ks[:1]); err != nil {
		t.Fatal(err)
	}
	if added, err := p.Put(t.Context(), multihashes(ks)...); err != nil || len(added) != 0 {
		t.Errorf("Put added %v, %v", added, err)
	}
	if err := errors.Join(p.Delete(t.Context(), multihashes(ks)...), p.Empty(t.Context()), p.Close()); err != nil {
		t.Error(err)
	}
	if size, _ := p.counts(); size != 1 {
		t.Errorf("%d keys, want the one that was added", size)
	}
}

func recordAt(key, owner string) ds.Key {
	return ds.NewKey(recordPrefix + spelled([]byte(key)) + "/" + spelled([]byte(owner)))
}

// put puts a record, and returns an error when it was refused.
func put(t *testing.T, r *records, key, owner string) error {
	t.Helper()
	_, before := r.counts()
	if err := r.Put(t.Context(), recordAt(key, owner), []byte("v")); err != nil {
		t.Fatal(err)
	}
	kept, err := has(r.db, recordAt(key, owner).Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if _, after := r.counts(); kept != (after == before) {
		t.Fatalf("kept: %v, refused: %d", kept, after-before)
	}
	if !kept {
		return errQuota
	}
	return nil
}

func (r *records) size() int {
	n, _ := r.counts()
	return n
}

func TestRecordsPerKey(t *testing.T) {
	r := newRecords(memDB(t), "self", func() bool { return true })
	for i := range maxPerKey {
		if err := put(t, r, "k", fmt.Sprint("peer ", i)); err != nil {
			t.Fatalf("provider %d of %d: %v", i+1, maxPerKey, err)
		}
	}
	if put(t, r, "k", "one more") == nil {
		t.Error("a key has more providers than it may")
	}
	if err := put(t, r, "k", "peer 7"); err != nil {
		t.Errorf("renewing at the limit: %v", err)
	}
	if err := put(t, r, "other", "one more"); err != nil {
		t.Errorf("another key: %v", err)
	}
	if err := put(t, r, "k", "self"); err != nil {
		t.Errorf("this node's own record: %v", err)
	}
	if n := r.size(); n != maxPerKey+1 {
		t.Errorf("%d records of others, want %d", n, maxPerKey+1)
	}
	for range 2 { // the second finds nothing
		if err := r.Delete(t.Context(), recordAt("k", "peer 7")); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(t, r, "k", "one more"); err != nil {
		t.Errorf("after one left: %v", err)
	}
}

func TestRecordsPerPeer(t *testing.T) {
	r := newRecords(memDB(t), "self", func() bool { return true })
	if err := put(t, r, "k", "greedy"); err != nil {
		t.Fatal(err)
	}
	*r.bin([]byte(spelled([]byte("greedy")))) = maxPerPeer - 1
	if err := put(t, r, "k1", "greedy"); err != nil {
		t.Errorf("the last that it may have: %v", err)
	}
	if put(t, r, "k2", "greedy") == nil {
		t.Error("a peer has more records than it may")
	}
	if err := put(t, r, "k1", "greedy"); err != nil {
		t.Errorf("renewing at the limit: %v", err)
	}
	if err := put(t, r, "k2", "modest"); err != nil {
		t.Errorf("another peer: %v", err)
	}
}

func TestRecordsInAll(t *testing.T) {
	room := true
	r := newRecords(memDB(t), "self", func() bool { return room })
	if r.max != maxRecords || r.keep != keepRecords {
		t.Errorf("bounds %d and %d, want %d and %d", r.max, r.keep, maxRecords, keepRecords)
	}
	r.total = maxRecords - 1
	if err := put(t, r, "k", "a"); err != nil {
		t.Errorf("the last that there is room for: %v", err)
	}
	if put(t, r, "k", "b") == nil || put(t, r, "k", "c") == nil {
		t.Error("more records than there is room for")
	}
	if _, refused := r.counts(); refused != 2 {
		t.Errorf("%d count as refused, want 2", refused)
	}
	select {
	case <-r.full:
	default:
		t.Error("nobody is told that records are to be trimmed")
	}
	r.total = 1
	room = false
	if put(t, r, "k", "b") == nil {
		t.Error("a record was taken on a full disk")
	}
	if err := put(t, r, "k", "a"); err != nil {
		t.Errorf("renewing on a full disk: %v", err)
	}
}

func TestRecordsAreCountedAtTheStart(t *testing.T) {
	d := memDB(t)
	r := newRecords(d, "self", func() bool { return true })
	for i := range 10 {
		if err := put(t, r, fmt.Sprint("k", i/2), fmt.Sprint("peer ", i%3)); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(t, r, "k", "self"); err != nil {
		t.Fatal(err)
	}
	again := newRecords(d, "self", func() bool { return true })
	if err := again.count(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again.size() != r.size() {
		t.Errorf("counted %d, want %d", again.size(), r.size())
	}
	for i := range 3 {
		owner := []byte(spelled(fmt.Append(nil, "peer ", i)))
		if got, want := *again.bin(owner), *r.bin(owner); got != want {
			t.Errorf("peer %d has %d, want %d", i, got, want)
		}
	}
}

func TestForget(t *testing.T) {
	r := newRecords(memDB(t), "self", func() bool { return true })
	if err := errors.Join(put(t, r, "k", "self"), put(t, r, "k", "a")); err != nil {
		t.Fatal(err)
	}
	if err := r.forget(t.Context(), []byte("k")); err != nil {
		t.Fatal(err)
	}
	res, err := r.Query(t.Context(), dsq.Query{Prefix: recordPrefix})
	if err != nil {
		t.Fatal(err)
	}
	left, err := res.Rest()
	if err != nil || len(left) != 1 || left[0].Key != recordAt("k", "a").String() {
		t.Errorf("left %v, %v; want that of the other", left, err)
	}
}

// TestTrim: who floods loses, who is modest keeps all.
func TestTrim(t *testing.T) {
	r := newRecords(memDB(t), "self", func() bool { return true })
	add := func(owner string, n int) {
		for i := range n {
			if err := put(t, r, fmt.Sprint(owner, i), owner); err != nil {
				t.Fatal(err)
			}
		}
	}
	add("greedy", 500)
	add("greedier", 900)
	add("modest", 50)
	add("self", 40)
	r.keep = 450
	if err := r.trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	for owner, want := range map[string]int32{"greedy": 200, "greedier": 200, "modest": 50} {
		if got := *r.bin([]byte(spelled([]byte(owner)))); got != want {
			t.Errorf("%s keeps %d, want %d", owner, got, want)
		}
	}
	if r.size() != 450 {
		t.Errorf("%d are left, want 450", r.size())
	}
	again := newRecords(r.db, "self", r.accept)
	if err := again.count(t.Context()); err != nil || again.size() != 450 {
		t.Errorf("%d are left in the store, %v; want 450", again.size(), err)
	}
	if found, err := has(r.db, recordAt("self39", "self").Bytes()); err != nil || !found {
		t.Errorf("this node's own record was trimmed: %v", err)
	}
}

// TestARunningRouterTrims: a node that is full makes room by itself.
func TestARunningRouterTrims(t *testing.T) {
	h := newHost(t, "a")
	router, err := New(h, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := router.records
	r.max, r.keep = 100, 75
	n := run(t, h, router)
	eventually(t, "it runs", func() bool { return n.Stats().Running })
	for i := range r.max {
		if err := put(t, r, fmt.Sprint(i), "greedy"); err != nil {
			t.Fatal(err)
		}
	}
	if put(t, r, "k", "modest") == nil {
		t.Fatal("more records than there is room for")
	}
	eventually(t, "there is room", func() bool { return put(t, r, "k", "modest") == nil })
	for range cap(r.full) + 2 { // so many tokens fit only once a trim that began after the record came is over
		r.full <- struct{}{}
	}
	if size := r.size(); size != r.keep {
		t.Errorf("%d records, want %d", size, r.keep)
	}
	if found, err := has(r.db, recordAt("k", "modest").Bytes()); err != nil || !found {
		t.Errorf("the record of who has one was trimmed: %v", err)
	}
}

func TestFairShare(t *testing.T) {
	for _, c := range []struct {
		counts []int32
		keep   int
		want   int32
	}{
		{[]int32{10, 10}, 10, 5},
		{[]int32{1, 100}, 50, 49},
		{[]int32{0, 0, 7}, 3, 3},
		{[]int32{5, 5}, 0, 0},
		{[]int32{1, 2, 3}, 6, maxPerPeer}, // nobody has to give
		{[]int32{1, 2, 3}, 5, 2},
		{nil, 5, maxPerPeer},
	} {
		got := fairShare(c.counts, c.keep)
		left := 0
		for _, n := range c.counts {
			left += int(min(n, got))
		}
		if got != c.want || left > c.keep {
			t.Errorf("fairShare(%v, %d) = %d, which leaves %d; want %d", c.counts, c.keep, got, left, c.want)
		}
	}
}

func TestForeignPlacesAreRefused(t *testing.T) {
	r := newRecords(memDB(t), "self", func() bool { return true })
	for _, at := range []string{"/pk/x", "/providers/x", "/providers/x/y/z", "/providers//y"} {
		if err := r.Put(t.Context(), ds.RawKey(at), nil); err == nil {
			t.Errorf("a record was put at %s", at)
		}
	}
}
