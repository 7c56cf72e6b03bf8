package httpgateway

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/flurry-nix/flurry/nix"
)

func numberedHash(i int) (h nix.PathHash) {
	binary.BigEndian.PutUint64(h[:], uint64(i))
	return h
}

func TestMemory(t *testing.T) {
	var m Memory
	if got := m.Lookup(numberedHash(0)); got != nil {
		t.Fatalf("an empty memory remembers %v", got)
	}
	start := time.Unix(1_800_000_000, 5)
	first := Answer{View: "acme-1", Hash: numberedHash(1), Outcome: NotHere, At: start, Took: time.Millisecond}
	second := Answer{Hash: numberedHash(1), Nar: true, Outcome: Aborted, At: start.Add(time.Second), Took: time.Hour}
	m.add(first)
	m.add(Answer{Hash: numberedHash(2)})
	m.add(second)
	got := m.Lookup(numberedHash(1))
	if len(got) != 2 || got[0] != second || got[1] != first {
		t.Errorf("got %+v, want the newer, then the older", got)
	}
}

// TestMemoryForgets fills the ring beyond its end: the oldest answers go, and no
// others.
func TestMemoryForgets(t *testing.T) {
	var m Memory
	const extra = 3
	for i := range maxRemembered + extra {
		m.add(Answer{Hash: numberedHash(i), At: time.Unix(int64(i), 0)})
	}
	for i, want := range map[int]int{
		0: 0, extra - 1: 0,
		extra: 1, extra + 1: 1, blockLen: 1, maxRemembered - 1: 1, maxRemembered: 1, maxRemembered + extra - 1: 1,
	} {
		got := m.Lookup(numberedHash(i))
		if len(got) != want || want == 1 && got[0].At.Unix() != int64(i) {
			t.Errorf("answer %d is remembered as %v", i, got)
		}
	}
	if size := unsafe.Sizeof(block{}) * uintptr(len(m.blocks)); size > 5_000_000 {
		t.Errorf("a full memory takes %d bytes", size)
	}
}

func TestMemoryRecallsAtMost(t *testing.T) {
	var m Memory
	for i := range maxRecalled + 1 {
		m.add(Answer{At: time.Unix(int64(i), 0)})
	}
	got := m.Lookup(nix.PathHash{})
	if len(got) != maxRecalled {
		t.Fatalf("%d answers", len(got))
	}
	if last := got[len(got)-1].At.Unix(); last != 1 {
		t.Errorf("the last of them is of second %d; the oldest should be left out", last)
	}
}

func TestMemoryIsSharedSafely(t *testing.T) {
	var m Memory
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				m.add(Answer{Hash: numberedHash(g)})
				if i%500 == 0 && len(m.Lookup(numberedHash(g))) == 0 {
					t.Error("an answer was forgotten")
				}
			}
		})
	}
	wg.Wait()
	if m.next != 8000 {
		t.Errorf("%d answers", m.next)
	}
}

func TestOutcomeString(t *testing.T) {
	for o, want := range map[Outcome]string{Given: "given", NotHere: "not-here", Left: "left", outcomes: "unknown", 255: "unknown"} {
		if got := o.String(); got != want {
			t.Errorf("%d is %q, want %q", o, got, want)
		}
	}
}

// TestMemoryWhileAnswering: what is looked up while others add is what was there, in order, each once.
func TestMemoryWhileAnswering(t *testing.T) {
	var m Memory
	const wanted = 10
	for i := range maxRemembered + 500 {
		h := numberedHash(1)
		if i%(maxRemembered/wanted) != 7 {
			h = numberedHash(2)
		}
		m.add(Answer{Hash: h, At: time.Unix(int64(i), 0)})
	}
	stop := make(chan struct{})
	var adding sync.WaitGroup
	adding.Go(func() {
		for i := maxRemembered + 500; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			m.add(Answer{Hash: numberedHash(3), At: time.Unix(int64(i), 0)})
		}
	})
	before := wanted + 1
	for range 50 {
		got := m.Lookup(numberedHash(1))
		if len(got) > before {
			t.Fatalf("%d answers, where %d were", len(got), before)
		}
		before = len(got)
		for k := 1; k < len(got); k++ {
			if !got[k].At.Before(got[k-1].At) {
				t.Fatalf("answer %d is of %v, and the one before of %v", k, got[k].At, got[k-1].At)
			}
		}
	}
	close(stop)
	adding.Wait()
}
