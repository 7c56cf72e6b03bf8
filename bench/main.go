// Command bench measures whole flurry systems beside what people use today, in one run on one machine: nix copy to and
// from files, nginx serving a binary cache, a bare net/http handler.
//
// It runs the flurry binary, real Nix, nginx and wrk, all on loopback, in a directory of its own, and prints one line a
// measurement with both figures and their ratio. It asserts nothing: figures move with the machine, and judging them is
// for whoever reads docs/BENCHMARKS.md.
//
//	go run ./bench -r1 r1.paths -r2 r2.paths
//
// The measurement called sources makes hosts in network namespaces, and wants root, iproute2 and nftables; without them it
// is left out.
//
// The two files name the store paths of a closure and of its rebuild, a line each.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	out    io.Writer
	dir    string // everything is below it
	flurry string // the binary
	rounds int
	r1, r2 []string // store paths
	big    int64    // bytes of the large NAR for the memory measurements
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	b := &bench{out: out}
	r1 := flags.String("r1", "", "file with the store paths of the closure")
	r2 := flags.String("r2", "", "file with the store paths of its rebuild")
	only := flags.String("only", "", "comma-separated names of measurements; empty: all")
	flags.IntVar(&b.rounds, "rounds", 5, "rounds; medians are printed")
	flags.Int64Var(&b.big, "big", 2<<30, "bytes of the large NAR")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if b.r1, err = readPaths(*r1); err != nil {
		return err
	}
	if *r2 != "" {
		if b.r2, err = readPaths(*r2); err != nil {
			return err
		}
	}
	if b.dir, err = os.MkdirTemp("", "flurry-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeAll(b.dir)) }()
	b.flurry = filepath.Join(b.dir, "flurry")
	if text, err := exec.CommandContext(ctx, "go", "build", "-o", b.flurry, "./cmd/flurry").CombinedOutput(); err != nil {
		return fmt.Errorf("building flurry: %w: %s", err, text)
	}
	return b.all(ctx, *only)
}

// all carries out the measurements whose names are in only.
func (b *bench) all(ctx context.Context, only string) error {
	measurements := []struct {
		name string
		run  func(context.Context) error
	}{
		{"publish", b.publish},
		{"fetch", b.fetch},
		{"narinfo", b.narinfo},
		{"rebuild", b.rebuild},
		{"memory", b.memory},
		{"catalog", b.catalog},
		{"sources", b.sources},
		{"upstream", b.upstream},
		{"far", b.far},
		{"misses", b.misses},
		{"crowd", b.crowd},
	}
	fmt.Fprintf(b.out, "closure: %d paths, %.0f MB of NARs; medians of %d; %s\n\n", len(b.r1), float64(narBytes(ctx, b.r1))/1e6, b.rounds, time.Now().UTC().Format(time.DateOnly))
	for _, m := range measurements {
		if only != "" && !slices.Contains(strings.Split(only, ","), m.name) {
			continue
		}
		if err := m.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

// line prints one comparison: ours, theirs, and what part of theirs ours is.
func (b *bench) line(what string, ours, theirs float64, unit, whose string) {
	fmt.Fprintf(b.out, "%-46s %10.2f %-6s %10.2f %-6s %-28s ratio %.2f\n", what, ours, unit, theirs, unit, whose, ours/theirs)
}

// alone prints a figure that stands by itself.
func (b *bench) alone(what string, value float64, unit, note string) {
	fmt.Fprintf(b.out, "%-46s %10.2f %-6s %s\n", what, value, unit, note)
}

func readPaths(name string) ([]string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	paths := strings.Fields(string(text))
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s names no paths", name)
	}
	return paths, nil
}

// rival is one of several things that are measured in turn.
type rival struct {
	name string
	run  func(round int) (float64, error)
}

// medians measures rivals in turn, b.rounds times, so that what the machine does meanwhile falls on all of them, and
// returns the median of each. Before each measurement the disk is left to settle.
func (b *bench) medians(rivals ...rival) (map[string]float64, error) {
	all := make(map[string][]float64)
	for round := range b.rounds {
		for _, r := range rivals {
			unix.Sync()
			v, err := r.run(round)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
			all[r.name] = append(all[r.name], v)
		}
	}
	medians := make(map[string]float64)
	for name, values := range all {
		slices.Sort(values)
		medians[name] = values[len(values)/2]
	}
	return medians, nil
}

// timed is how many seconds f takes.
func timed(f func() error) (float64, error) {
	start := time.Now()
	err := f()
	return time.Since(start).Seconds(), err
}

// removeAll removes a tree in which Nix has made directories read-only.
func removeAll(dir string) error {
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = os.Chmod(name, 0o700)
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(dir))
}
