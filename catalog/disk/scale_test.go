package disk

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// The scale that a node is measured at. Making it takes half a minute; with
// -scale.dir it is made once, and memory is that of a process that only opened
// it.
const (
	scalePublications = 5000
	scalePaths        = 100_000
)

var scaleDir = flag.String("scale.dir", "", "directory that keeps the catalog of the scale benchmarks")

// fileTexts keeps texts as files, so that they do not count as memory. A file
// says that it is there, not what a crash leaves.
type fileTexts struct{ dir string }

func (f fileTexts) PutText(_ context.Context, _ catalog.TextKind, raw []byte) error {
	id, err := namespace.TextID(raw)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.dir, id.String()), raw, 0o600)
}

func (f fileTexts) Text(_ context.Context, _ catalog.TextKind, id namespace.ID) ([]byte, error) {
	return os.ReadFile(filepath.Join(f.dir, id.String()))
}

func pathName(i int) string { return fmt.Sprintf("package-%d-1.%d", i, i%10) }

// openScale opens the catalog of the benchmarks, which it makes if need be.
// reopen opens another one on the same index.
func openScale(b *testing.B) (c *catalog.Catalog, a namespace.Address, reopen func(*testing.B) *catalog.Catalog) {
	b.Helper()
	dir := *scaleDir
	if dir == "" {
		dir = b.TempDir()
	}
	texts := fileTexts{filepath.Join(dir, "texts")}
	p := catalogtest.NewPublisher(b, "acme-1", 1)
	made := filepath.Join(dir, "made")
	if _, err := os.Stat(made); err != nil {
		makeScale(b, dir, texts, p)
		if err := os.WriteFile(made, nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	kv, err := Open(filepath.Join(dir, "index"), quiet())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := kv.Close(); err != nil {
			b.Error(err)
		}
	})
	reopen = func(b *testing.B) *catalog.Catalog {
		b.Helper()
		c, err := catalog.Open(b.Context(), kv, texts, func() time.Time { return p.Start }, quiet())
		if err != nil {
			b.Fatal(err)
		}
		return c
	}
	return reopen(b), p.Address, reopen
}

// makeScale fills a catalog: publications of 20 paths, each path with 8
// references to the ones before it.
func makeScale(b *testing.B, dir string, texts fileTexts, p *catalogtest.Publisher) {
	b.Helper()
	if err := os.MkdirAll(texts.dir, 0o700); err != nil {
		b.Fatal(err)
	}
	kv, err := Open(filepath.Join(dir, "index"), quiet())
	if err != nil {
		b.Fatal(err)
	}
	c, err := catalog.Open(b.Context(), kv, texts, func() time.Time { return p.Start }, quiet())
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Adopt(b.Context(), p.Document(1, nil), nil); err != nil {
		b.Fatal(err)
	}
	policy, _ := c.Policy(p.Address)
	jobs := make(chan int)
	var wait sync.WaitGroup
	start := time.Now()
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for n := range jobs {
				v, err := policy.VerifyPublication(scalePublication(p, n))
				if err == nil {
					_, err = c.Add(b.Context(), v)
				}
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	for n := range scalePublications {
		jobs <- n
	}
	close(jobs)
	wait.Wait()
	b.Logf("made in %v", time.Since(start))
	if err := kv.Close(); err != nil {
		b.Fatal(err)
	}
}

func scalePublication(p *catalogtest.Publisher, n int) []byte {
	const each = scalePaths / scalePublications
	return p.Publication(p.Root, func(v *namespace.Publication) {
		for i := n * each; i < (n+1)*each; i++ {
			var refs []nix.StorePath
			for j := max(0, i-8); j < i; j++ {
				refs = append(refs, catalogtest.Path(pathName(j)))
			}
			v.Entries = append(v.Entries, catalogtest.Entry(pathName(i), "", refs...))
		}
		v.Roots = []nix.StorePath{catalogtest.Path(pathName((n+1)*each - 1))}
	})
}

func resident(b *testing.B) float64 {
	b.Helper()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		b.Fatal(err)
	}
	return float64(kb) / 1024
}

func BenchmarkScale(b *testing.B) {
	start := time.Now()
	c, a, reopen := openScale(b)
	b.Logf("open: %v; resident %.1f MB", time.Since(start), resident(b))
	ctx := b.Context()
	hashes := make([]nix.PathHash, 1000)
	for i := range hashes {
		hashes[i] = catalogtest.Path(pathName(i * 97)).Hash()
	}
	next := 0
	b.Run("HitCold", func(b *testing.B) {
		for b.Loop() {
			next += 7919
			if _, err := c.Lookup(ctx, a, catalogtest.Path(pathName(next%scalePaths)).Hash()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Hit", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, err := c.Lookup(ctx, a, hashes[i%len(hashes)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Miss", func(b *testing.B) {
		var h nix.PathHash
		for i := 0; b.Loop(); i++ {
			h[0], h[1], h[2], h[3] = byte(i), byte(i>>8), byte(i>>16), byte(i*7)
			if _, err := c.Lookup(ctx, a, h); err == nil {
				b.Fatal("found")
			}
		}
	})
	b.Run("Generation", func(b *testing.B) {
		for b.Loop() {
			c.Generation()
		}
	})
	b.Run("CompleteFirst", func(b *testing.B) { // a closure of 2,000 paths
		for b.Loop() {
			b.StopTimer()
			fresh := reopen(b)
			found, err := fresh.Lookup(ctx, a, catalogtest.Path(pathName(1999)).Hash())
			if err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			complete, missing, err := fresh.Complete(ctx, found[0], 1, func(nix.PublicKey) bool { return false }, func(nix.StorePath) bool { return false })
			if err != nil || !complete {
				b.Fatal(missing, err)
			}
		}
	})
	b.Run("Open", func(b *testing.B) {
		for b.Loop() {
			reopen(b)
		}
	})
	b.Run("Stats", func(b *testing.B) {
		for b.Loop() {
			if st := c.Stats(a); st.Paths != scalePaths {
				b.Fatalf("%+v", st)
			}
		}
	})
	b.Logf("resident afterwards %.1f MB", resident(b))
}
