package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/store"
)

// RunCollector checks that what open returns does what [store.Collector] says, as [Run] does for [store.Store].
func RunCollector(t *testing.T, open func(t *testing.T) store.Collector) {
	for _, part := range []struct {
		name string
		test func(*testing.T, store.Collector)
	}{
		{"Fates", testFates},
		{"Orphans", testOrphans},
		{"OrphansAgain", testOrphansAgain},
		{"DryRun", testDryRun},
		{"Leases", testLeases},
		{"LeaseOutlivesItsBatch", testLeaseOutlives},
		{"OneAtATime", testOneAtATime},
		{"PutAgain", testPutAgain},
		{"Stored", testStored},
		{"Room", testRoom},
		{"EndedContext", testSweepEnded},
		{"Meanwhile", testMeanwhile},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, open(t)) })
	}
}

var sweepTime = time.Unix(1_800_000_000, 0)

// putAll puts and commits chunks from up to, not including, to.
func putAll(t *testing.T, s store.Store, from, to uint64) {
	t.Helper()
	b, err := s.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c := store.NewCodec()
	for seed := from; seed < to; seed++ {
		k, raw := Chunk(seed, 800+int(seed)*37)
		mustReceive(t, b, c, k, raw)
	}
	mustCommit(t, b)
}

func start(t *testing.T, s store.Collector) store.Collection {
	t.Helper()
	col, err := s.StartCollection(t.Context())
	if err != nil {
		t.Fatalf("StartCollection: %v", err)
	}
	t.Cleanup(func() {
		if err := col.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return col
}

// sweepWith is one collection.
func sweepWith(t *testing.T, s store.Collector, fate func(store.Key) store.Fate, o store.SweepOptions) store.Swept {
	t.Helper()
	col := start(t, s)
	swept, err := col.Sweep(t.Context(), fate, o)
	if err != nil {
		t.Fatalf("Sweep: %v", err)
	}
	for range 2 {
		if err := col.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	return swept
}

// always is the fate of everything.
func always(f store.Fate) func(store.Key) store.Fate { return func(store.Key) store.Fate { return f } }

// wantThere checks chunks from up to, not including, to.
func wantThere(t *testing.T, s store.Reader, there bool, from, to uint64) {
	t.Helper()
	c := store.NewCodec()
	for seed := from; seed < to; seed++ {
		k, raw := Chunk(seed, 800+int(seed)*37)
		if there {
			wantContent(t, s, c, k, raw)
		} else {
			wantAbsent(t, s, k)
		}
	}
}

func testFates(t *testing.T, s store.Collector) {
	putAll(t, s, 0, 30)
	fates := make(map[store.Key]store.Fate)
	for seed := range uint64(30) {
		k, _ := Chunk(seed, 800+int(seed)*37)
		fates[k] = store.Keep
		if seed < 20 {
			fates[k] = store.Dead
		}
		if seed < 10 {
			fates[k] = store.Orphan
		}
	}
	asked := make(map[store.Key]int)
	swept := sweepWith(t, s, func(k store.Key) store.Fate { asked[k]++; return fates[k] }, store.SweepOptions{Now: sweepTime})
	wantThere(t, s, false, 0, 20)
	wantThere(t, s, true, 20, 30)
	if swept.Contents != 20 || swept.KeptContents != 10 || swept.Bytes <= 0 || swept.KeptBytes <= 0 {
		t.Errorf("swept %+v", swept)
	}
	for k, n := range asked {
		if _, ok := fates[k]; !ok || n != 1 {
			t.Errorf("asked %d times about %v", n, k)
		}
	}
	if len(asked) != 30 {
		t.Errorf("asked about %d contents of 30", len(asked))
	}
	if swept := sweepWith(t, s, always(store.Keep), store.SweepOptions{Now: sweepTime}); swept.Contents != 0 || swept.KeptContents != 10 {
		t.Errorf("swept again %+v", swept)
	}
}

func testOrphans(t *testing.T, s store.Collector) {
	putAll(t, s, 0, 5)
	for _, step := range []struct {
		after time.Duration
		there bool
	}{{0, true}, {time.Hour, true}, {-time.Hour, true}, {22 * time.Hour, true}, {23 * time.Hour, false}} {
		swept := sweepWith(t, s, always(store.Orphan), store.SweepOptions{Now: sweepTime.Add(step.after), KeepOrphans: 24 * time.Hour})
		wantThere(t, s, step.there, 0, 5)
		if step.there && swept.WaitingContents != 5 || !step.there && swept.Contents != 5 {
			t.Errorf("after %v: %+v", step.after, swept)
		}
	}
}

// testOrphansAgain: a sweep for which something is no orphan begins its time anew.
func testOrphansAgain(t *testing.T, s store.Collector) {
	putAll(t, s, 0, 1)
	at := func(h int, f store.Fate, dry bool) {
		t.Helper()
		sweepWith(t, s, always(f), store.SweepOptions{Now: sweepTime.Add(time.Duration(h) * time.Hour), KeepOrphans: 24 * time.Hour, DryRun: dry})
	}
	at(0, store.Orphan, false)
	at(10, store.Keep, true) // counts for nothing
	at(23, store.Keep, false)
	at(25, store.Orphan, false)
	wantThere(t, s, true, 0, 1)
	at(48, store.Orphan, false)
	wantThere(t, s, true, 0, 1)
	at(49, store.Orphan, false)
	wantThere(t, s, false, 0, 1)
}

func testDryRun(t *testing.T, s store.Collector) {
	putAll(t, s, 0, 20)
	o := store.SweepOptions{Now: sweepTime, DryRun: true}
	dry := sweepWith(t, s, always(store.Dead), o)
	wantThere(t, s, true, 0, 20)
	o.DryRun = false
	wet := sweepWith(t, s, always(store.Dead), o)
	wantThere(t, s, false, 0, 20)
	if dry.Contents != 20 || dry.Contents != wet.Contents || dry.Bytes != wet.Bytes || dry.Freed <= 0 || wet.Freed <= 0 {
		t.Errorf("dry run %+v, then %+v", dry, wet)
	}
}

func testLeases(t *testing.T, s store.Collector) {
	putAll(t, s, 0, 3)
	holds, puts := begin(t, s), begin(t, s)
	found, _ := Chunk(0, 800)
	if ok, err := holds.Has(t.Context(), found); err != nil || !ok {
		t.Fatal(ok, err)
	}
	k, raw := Chunk(1, 800+37)
	mustReceive(t, puts, store.NewCodec(), k, raw) // is there: found
	mustCommit(t, puts)
	own, ownRaw := Chunk(9, 800+9*37)
	mustReceive(t, puts, store.NewCodec(), own, ownRaw) // not committed
	swept := sweepWith(t, s, always(store.Dead), store.SweepOptions{Now: sweepTime})
	wantThere(t, s, true, 0, 2)
	wantThere(t, s, false, 2, 3)
	wantThere(t, s, true, 9, 10)
	if swept.Contents != 1 || swept.HeldContents < 2 {
		t.Errorf("swept %+v", swept)
	}
	mustCommit(t, puts)
	mustCommit(t, holds)
	for _, b := range []store.Batch{holds, puts} {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	sweepWith(t, s, always(store.Dead), store.SweepOptions{Now: sweepTime})
	wantThere(t, s, false, 0, 10)
}

// testLeaseOutlives: what was put or found since the collection began stays, though its batch is closed before the sweep.
func testLeaseOutlives(t *testing.T, s store.Collector) {
	putAll(t, s, 0, 2)
	col := start(t, s)
	b := begin(t, s)
	k, _ := Chunk(0, 800)
	if ok, err := b.Has(t.Context(), k); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	putAll(t, s, 5, 6)
	for range 2 {
		if _, err := col.Sweep(t.Context(), always(store.Dead), store.SweepOptions{Now: sweepTime}); err != nil {
			t.Fatal(err)
		}
		wantThere(t, s, true, 0, 1)
		wantThere(t, s, false, 1, 2)
		wantThere(t, s, true, 5, 6)
	}
	if err := col.Close(); err != nil {
		t.Fatal(err)
	}
	sweepWith(t, s, always(store.Dead), store.SweepOptions{Now: sweepTime})
	wantThere(t, s, false, 0, 6)
}

func testOneAtATime(t *testing.T, s store.Collector) {
	col := start(t, s)
	if _, err := s.StartCollection(t.Context()); !errors.Is(err, store.ErrCollecting) {
		t.Errorf("a second collection: %v", err)
	}
	if err := col.Close(); err != nil {
		t.Fatal(err)
	}
	if err := start(t, s).Close(); err != nil {
		t.Fatal(err)
	}
}

func testPutAgain(t *testing.T, s store.Collector) {
	for range 3 {
		putAll(t, s, 0, 10)
		wantThere(t, s, true, 0, 10)
		sweepWith(t, s, always(store.Dead), store.SweepOptions{Now: sweepTime})
		wantThere(t, s, false, 0, 10)
	}
}

func testStored(t *testing.T, s store.Collector) {
	putAll(t, s, 0, 1)
	k, _ := Chunk(0, 800)
	if n, ok, err := s.Stored(t.Context(), k); err != nil || !ok || n <= 0 {
		t.Errorf("Stored = %d, %v, %v", n, ok, err)
	}
	k, _ = Chunk(1, 800)
	if n, ok, err := s.Stored(t.Context(), k); err != nil || ok || n != 0 {
		t.Errorf("Stored of what is not here = %d, %v, %v", n, ok, err)
	}
}

func testRoom(t *testing.T, s store.Collector) {
	room := func() store.Room {
		t.Helper()
		r, err := s.Room(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	empty := room()
	putAll(t, s, 0, 10)
	full := room()
	swept := sweepWith(t, s, always(store.Dead), store.SweepOptions{Now: sweepTime})
	if full.Live != empty.Live+swept.Bytes || full.Used < full.Live {
		t.Errorf("%+v, then %+v, of which %d bytes went", empty, full, swept.Bytes)
	}
	if r := room(); r.Live != empty.Live || r.Used > full.Used-swept.Freed {
		t.Errorf("in the end %+v; %+v", r, swept)
	}
}

func testSweepEnded(t *testing.T, s store.Collector) {
	putAll(t, s, 0, 3)
	ctx, cancel := context.WithCancel(t.Context())
	col := start(t, s)
	cancel()
	if _, err := s.StartCollection(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("StartCollection: %v", err)
	}
	if _, err := col.Sweep(ctx, always(store.Dead), store.SweepOptions{Now: sweepTime}); !errors.Is(err, context.Canceled) {
		t.Errorf("Sweep: %v", err)
	}
	wantThere(t, s, true, 0, 3)
}

// testMeanwhile has batches put and find what collections take away: what a batch was told is here stays while it is open.
func testMeanwhile(t *testing.T, s store.Collector) {
	const keys, batches = 40, 60
	var work sync.WaitGroup
	for lane := range 3 {
		work.Go(func() {
			c := store.NewCodec()
			for n := range batches {
				if err := useFew(t.Context(), s, c, uint64(lane*7+n), keys); err != nil {
					t.Errorf("lane %d, batch %d: %v", lane, n, err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { work.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		sweepWith(t, s, always(store.Dead), store.SweepOptions{Now: sweepTime})
	}
	wantThere(t, s, false, 0, keys)
}

// useFew puts some contents, and expects that they can be read until its batch is closed.
func useFew(ctx context.Context, s store.Store, c *store.Codec, from, keys uint64) error {
	b, err := s.Begin(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	for i := range uint64(6) {
		seed := (from + i*i) % keys
		k, raw := Chunk(seed, 800+int(seed)*37)
		if err := store.Receive(ctx, b, c, k, raw); err != nil {
			return err
		}
	}
	if err := b.Commit(ctx); err != nil {
		return err
	}
	for i := range uint64(6) {
		seed := (from + i*i) % keys
		k, _ := Chunk(seed, 800+int(seed)*37)
		if _, err := store.Get(ctx, s, c, k); err != nil {
			return err
		}
	}
	return nil
}
