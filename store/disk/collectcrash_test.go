package disk_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/internal/durable/durabletest"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/disk"
)

const faultContents = 48

// collectScenario puts faultContents contents, then collects with a disk that does as fault says.
func collectScenario(t *testing.T, dir string, d *durabletest.FS, fault durabletest.Fault) {
	t.Helper()
	s, err := disk.Open(t.Context(), dir, quiet(faultOptions(d)))
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, 0, faultContents)
	d.Fail(fault)
	if _, err := collect(t, s, fateOf(faultContents, stays), store.SweepOptions{}); err != nil && !errors.Is(err, errInjected) {
		t.Errorf("Sweep: %v", err)
	}
	c := store.NewCodec()
	for i := range faultContents {
		if got := state(t, s, c, i); stays(i) && got != "right" && !strings.Contains(got, errInjected.Error()) {
			t.Errorf("content %d stays and is %s", i, got)
		}
	}
	_ = s.Close() // may fail
	d.Fail(nil)
}

// surveyCollected opens the store again and expects what stays, nothing wrong, and that a collection and puts work.
func surveyCollected(t *testing.T, dir string) {
	t.Helper()
	s := open(t, dir, disk.Options{MaxPack: 9000})
	defer closeStore(t, s)
	c := store.NewCodec()
	for i := range faultContents {
		if got := state(t, s, c, i); got != "right" && (stays(i) || got != "absent") {
			t.Errorf("content %d is %s", i, got)
		}
	}
	mustCollect(t, s, fateOf(faultContents, stays), store.SweepOptions{})
	wantStaying(t, s, faultContents)
	fill(t, s, 0, faultContents)
	wantStates(t, s, "right", 0, faultContents)
	if report, err := s.Check(t.Context(), nil); err != nil || len(report.Damaged) != 0 || report.Contents != faultContents {
		t.Errorf("check: %+v, %v", report, err)
	}
	if st := stats(t, s); st.Bytes != onDisk(t, dir) || st.Damaged != 0 {
		t.Errorf("%+v; %d bytes on disk", st, onDisk(t, dir))
	}
}

// Each operation on the packs fails once during a collection, in each way; then the process ends, or the power does, with the
// index or without.
func TestCollectFaults(t *testing.T) {
	t.Parallel()
	ops := []durabletest.Op{
		durabletest.OpOpen, durabletest.OpRead, durabletest.OpWrite, durabletest.OpSync, durabletest.OpSyncDir, durabletest.OpRemove,
	}
	for _, op := range ops {
		met := 0
		for _, effect := range []durabletest.Effect{durabletest.Undone, durabletest.Half, durabletest.Done} {
			if effect == durabletest.Half && op != durabletest.OpWrite {
				continue // the same as Undone
			}
			for nth, more := 0, true; more; nth++ {
				if more = collectFault(t, op, nth, effect); more {
					met++
				}
				if t.Failed() {
					t.Fatalf("%s number %d, effect %d", op, nth, effect)
				}
			}
		}
		if met < 2 {
			t.Errorf("%s failed %d times: the test tests little", op, met)
		}
	}
}

// collectFault tells whether there was an nth operation to fail.
func collectFault(t *testing.T, op durabletest.Op, nth int, effect durabletest.Effect) (met bool) {
	dir, d := t.TempDir(), durabletest.New()
	var mu sync.Mutex
	left := nth
	collectScenario(t, dir, d, func(o durabletest.Op, path string) (durabletest.Effect, error) {
		mu.Lock()
		defer mu.Unlock()
		if o == op {
			if left--; left == -1 {
				met = true
				return effect, errInjected
			}
		}
		return durabletest.Done, nil
	})
	if nth%2 == 0 {
		cut(t, d, uint64(nth))
	}
	if nth%3 == 0 {
		removeAll(t, filepath.Join(dir, "index"))
	}
	surveyCollected(t, dir)
	return met
}

// From some operation on every one fails, as when the disk dies or the process is killed between two of them; then the power
// is cut.
func TestCollectOnDyingDisk(t *testing.T) {
	t.Parallel()
	ended := false
	for after := 0; !ended; after++ {
		dir, d := t.TempDir(), durabletest.New()
		left := after
		var mu sync.Mutex
		ended = true
		collectScenario(t, dir, d, func(op durabletest.Op, _ string) (durabletest.Effect, error) {
			mu.Lock()
			defer mu.Unlock()
			if op == durabletest.OpRead || op == durabletest.OpOpen {
				return durabletest.Done, nil
			}
			if left--; left < 0 {
				ended = false
				return durabletest.Half, errInjected
			}
			return durabletest.Done, nil
		})
		cut(t, d, uint64(after))
		if after%2 == 0 {
			removeAll(t, filepath.Join(dir, "index"))
		}
		surveyCollected(t, dir)
		if t.Failed() {
			t.Fatalf("after %d operations", after)
		}
	}
}

// The index that a kill leaves at the moment at which a pack is removed points to what replaced it.
func TestIndexBeforeRemoval(t *testing.T) {
	dir, d := t.TempDir(), durabletest.New()
	var copies []string
	var mu sync.Mutex
	collectScenario(t, dir, d, func(op durabletest.Op, path string) (durabletest.Effect, error) {
		mu.Lock()
		defer mu.Unlock()
		if op == durabletest.OpRemove && strings.HasSuffix(path, ".pack") {
			to := filepath.Join(t.TempDir(), "index")
			if err := os.CopyFS(to, os.DirFS(filepath.Join(dir, "index"))); err != nil {
				t.Error(err)
			}
			copies = append(copies, to)
		}
		return durabletest.Done, nil
	})
	if len(copies) < 3 {
		t.Fatalf("%d packs were removed: the test tests little", len(copies))
	}
	for _, index := range copies {
		old := copyDir(t, dir)
		removeAll(t, filepath.Join(old, "index"))
		if err := os.CopyFS(filepath.Join(old, "index"), os.DirFS(index)); err != nil {
			t.Fatal(err)
		}
		s := open(t, old, disk.Options{MaxPack: 9000})
		for i := range faultContents {
			if stays(i) {
				wantStates(t, s, "right", i, i+1)
			}
		}
		closeStore(t, s)
	}
}

// collectorChild is a child that puts, and collects what does not stay, for ever; see putter.
func collectorChild() int {
	ctx := context.Background()
	s, err := disk.Open(ctx, os.Getenv(dirEnv), quiet(disk.Options{MaxPack: crashPack}))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fate := fateOf(collectedContents, stays)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			if err := collectOnce(ctx, s, fate); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	})
	work.Go(func() {
		for {
			if err := putRandom(ctx, s); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	})
	work.Wait()
	return 1
}

const collectedContents = 600

func collectOnce(ctx context.Context, s store.Collector, fate func(store.Key) store.Fate) error {
	c, err := s.StartCollection(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Sweep(ctx, fate, store.SweepOptions{DeadPart: 0.2})
	return err
}

// putRandom puts and commits some contents, and says which of those that stay are durable.
func putRandom(ctx context.Context, s store.Store) error {
	b, err := s.Begin(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	c := store.NewCodec()
	var line strings.Builder
	for range 12 {
		i := rand.IntN(collectedContents)
		k, raw := chunk(i)
		if err := store.Receive(ctx, b, c, k, raw); err != nil {
			return err
		}
		if stays(i) {
			fmt.Fprintln(&line, i)
		}
	}
	if err := b.Commit(ctx); err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(line.String())
	return err
}

// A process is killed again and again while it puts and collects. What it acknowledged and what stays is there each time.
func TestCollectCrash(t *testing.T) {
	t.Parallel()
	rounds := 10
	if os.Getenv("FLURRY_LONG") == "1" {
		rounds = 100
	}
	dir := t.TempDir()
	acknowledged := make(map[int]bool)
	for round := range rounds {
		for _, i := range killedCollecting(t, dir) {
			acknowledged[i] = true
		}
		s := open(t, dir, disk.Options{MaxPack: crashPack})
		c := store.NewCodec()
		for i := range collectedContents {
			got := state(t, s, c, i)
			if acknowledged[i] && got != "right" || got != "right" && got != "absent" {
				t.Fatalf("round %d: content %d (acknowledged: %v) is %s", round, i, acknowledged[i], got)
			}
		}
		if report, err := s.Check(t.Context(), nil); err != nil || len(report.Damaged) != 0 {
			t.Fatalf("round %d: check: %+v, %v", round, report, err)
		}
		if round%3 == 2 {
			mustCollect(t, s, fateOf(collectedContents, stays), store.SweepOptions{})
			for i := range collectedContents {
				if got := state(t, s, c, i); !stays(i) && got != "absent" {
					t.Fatalf("round %d: content %d is %s after a collection", round, i, got)
				}
			}
		}
		if st := stats(t, s); st.Bytes != onDisk(t, dir) || st.Damaged != 0 {
			t.Fatalf("round %d: %+v; %d bytes on disk", round, st, onDisk(t, dir))
		}
		closeStore(t, s)
		if round%4 == 3 {
			removeAll(t, filepath.Join(dir, "index"))
		}
	}
	if len(acknowledged) < 20 {
		t.Errorf("%d acknowledged: the test tests little", len(acknowledged))
	}
}

// killedCollecting runs a collector, kills it some time after it has begun to acknowledge, and returns what it did.
func killedCollecting(t *testing.T, dir string) (acknowledged []int) {
	t.Helper()
	cmd := child(t, "collector", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in, lines, last := bufio.NewScanner(out), 0, 1+rand.IntN(150)
	for in.Scan() {
		i, err := strconv.Atoi(in.Text())
		if err != nil {
			break // the last line, cut by the kill
		}
		acknowledged = append(acknowledged, i)
		if lines++; lines == last {
			// The moment is random; nothing waits for it.
			time.AfterFunc(time.Duration(rand.IntN(5000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return acknowledged
}
