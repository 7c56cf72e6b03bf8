package namespace_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/namespace"
)

// fullPublication returns a publication of n entries of ordinary size, about
// 1 KB each.
func fullPublication(t testing.TB, n int) *namespace.Publication {
	k := secret(t, "ci")
	p := &namespace.Publication{
		Namespace: address(t, "acme-1"),
		Time:      at(t, "2026-09-01T12:00:00Z"),
		Expires:   at(t, "2026-09-01T12:00:00Z").Add(90 * 24 * time.Hour),
		Entries:   make([]namespace.Entry, 0, n),
	}
	refs := []string{"glibc-2.40", "gcc-14-lib", "openssl-3.4.1", "zlib-1.3.1"}
	for i := range n {
		p.Entries = append(p.Entries, entry(t, k, fmt.Sprintf("package-number-%d", i), refs...))
	}
	for i := range p.Entries {
		p.Entries[i].Sort()
	}
	return p
}

func BenchmarkParsePublication(b *testing.B) {
	for _, n := range []int{512, namespace.MaxEntries} {
		text := fullPublication(b, n).Append(nil)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := namespace.ParsePublication(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseNote(b *testing.B) {
	raw := namespace.SignNote(fullPublication(b, namespace.MaxEntries).Append(nil), secret(b, "ci")).Append(nil)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := namespace.ParseNote(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// TestParseIsLean counts what parsing allocates: the text once, what is kept of
// it, and little more. A count, not a time.
func TestParseIsLean(t *testing.T) {
	text := fullPublication(t, namespace.MaxEntries).Append(nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p, err := namespace.ParsePublication(text)
	runtime.ReadMemStats(&after)
	if err != nil || len(p.Entries) != namespace.MaxEntries {
		t.Fatal(err)
	}
	if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 4*uint64(len(text)) {
		t.Errorf("%d bytes allocated to parse %d", bytes, len(text))
	}
	if n := after.Mallocs - before.Mallocs; n > 30*namespace.MaxEntries {
		t.Errorf("%d allocations to parse %d entries", n, namespace.MaxEntries)
	}
}
