package disk_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/disk"
)

// childEnv makes the test binary run one of children instead of tests.
const (
	childEnv = "FLURRY_DISK_TEST_CHILD"
	dirEnv   = "FLURRY_DISK_TEST_DIR"
	fromEnv  = "FLURRY_DISK_TEST_FROM"
)

func children() map[string]func() int {
	return map[string]func() int{"putter": putter, "holder": holder, "condemner": condemner, "collector": collectorChild}
}

// child starts this binary as a child.
func child(t *testing.T, name, dir string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), append(env, childEnv+"="+name, dirEnv+"="+dir)...)
	cmd.Stderr = os.Stderr
	return cmd
}

const (
	crashPack  = 60_000
	crashBatch = 7
	crashLanes = 3
)

// putter is a child that puts and commits for ever, from several goroutines,
// and says what was acknowledged: a line with the number of each content.
func putter() int {
	ctx := context.Background()
	s, err := disk.Open(ctx, os.Getenv(dirEnv), quiet(disk.Options{MaxPack: crashPack, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	from, err := strconv.Atoi(os.Getenv(fromEnv))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	c := store.NewCodec()
	var wg sync.WaitGroup
	for lane := range crashLanes {
		wg.Go(func() {
			if err := putForEver(ctx, s, c, from, lane); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		})
	}
	wg.Wait()
	return 1
}

// putForEver puts every crashLanes-th content from lane on, in batches, and now
// and then one that another lane puts too.
func putForEver(ctx context.Context, s store.Store, c *store.Codec, from, lane int) error {
	for i := from + lane; ; {
		b, err := s.Begin(ctx)
		if err != nil {
			return err
		}
		var line strings.Builder
		for range crashBatch {
			for _, n := range []int{i, from + (i-from)/2} {
				k, raw := chunk(n)
				if err := store.Receive(ctx, b, c, k, raw); err != nil {
					return err
				}
				fmt.Fprintln(&line, n)
			}
			i += crashLanes
		}
		if err := b.Commit(ctx); err != nil {
			return err
		}
		if _, err := os.Stdout.WriteString(line.String()); err != nil {
			return err
		}
		if err := b.Close(); err != nil {
			return err
		}
	}
}

// A process is killed again and again while it puts and commits. Each time, all
// that it was told is durable is there and right, and whatever else is there is
// right too.
func TestCrash(t *testing.T) {
	t.Parallel()
	rounds := 10
	if os.Getenv("FLURRY_LONG") == "1" {
		rounds = 100
	}
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(rand.Uint64(), 0))
	var acknowledged []int
	next := 0
	for round := range rounds {
		acks := killed(t, dir, next, 1+r.IntN(400), time.Duration(r.IntN(3000))*time.Microsecond)
		acknowledged = append(acknowledged, acks...)
		for _, i := range acks {
			next = max(next, i+1)
		}
		s := open(t, dir, disk.Options{MaxPack: crashPack})
		c := store.NewCodec()
		for _, i := range acknowledged {
			if got := state(t, s, c, i); got != "right" {
				t.Fatalf("round %d: content %d was acknowledged and is %s", round, i, got)
			}
		}
		beyond := next + 3*crashLanes*crashBatch // what was put and not committed
		for i := range beyond {
			if got := state(t, s, c, i); got != "right" && got != "absent" {
				t.Fatalf("round %d: content %d is %s", round, i, got)
			}
		}
		report, err := s.Check(t.Context(), nil)
		if err != nil || len(report.Damaged) != 0 {
			t.Fatalf("round %d: check: %+v, %v", round, report, err)
		}
		closeStore(t, s)
		next = beyond
	}
	if len(acknowledged) < rounds {
		t.Errorf("%d acknowledged in %d rounds: the test tests little", len(acknowledged), rounds)
	}
}

// killed runs a putter, kills it some time after it has acknowledged lines
// contents, and returns all that it acknowledged.
func killed(t *testing.T, dir string, from, lines int, after time.Duration) (acknowledged []int) {
	t.Helper()
	cmd := child(t, "putter", dir, fmt.Sprintf("%s=%d", fromEnv, from))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(out)
	for in.Scan() {
		i, err := strconv.Atoi(in.Text())
		if err != nil {
			break // the last line, cut by the kill
		}
		acknowledged = append(acknowledged, i)
		if len(acknowledged) == lines {
			// The moment is random; nothing waits for it.
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return acknowledged
}

// holder is a child that has a store open until its input ends.
func holder() int {
	s, err := disk.Open(context.Background(), os.Getenv(dirEnv), quiet(disk.Options{}))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := s.Close(); err != nil {
		return 1
	}
	return 0
}

func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	cmd := child(t, "holder", dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	if _, err := disk.Open(t.Context(), dir, quiet(disk.Options{})); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("Open while another process has it: %v", err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	fill(t, open(t, dir, disk.Options{}), 0, 1)
}
