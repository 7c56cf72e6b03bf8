package httpgateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestManyClients lets clients of every kind ask at once, while the catalog
// changes and archives break off, run late and write into what is no longer
// theirs. Every answer is whole and right, or visibly cut and right so far.
func TestManyClients(t *testing.T) {
	const clients, requests, paths = 12, 60, 16
	rng := rand.New(rand.NewPCG(7, 11))
	cache := newFakeCache(t)
	var samples []sample
	var opened atomic.Int64
	for i := range paths {
		data := make([]byte, 1+rng.IntN(300_000))
		for j := range data {
			data[j] = byte('A' + (i+j)%26)
		}
		letter := "0123456789abcdfg"[i : i+1]
		s := newSample(t, letter, fmt.Sprintf("path-%d", i), data)
		samples = append(samples, s)
		cache.add(s)
		cache.onNar(s, func(context.Context) (Nar, error) {
			nar := cache.nar(s.nar)
			switch opened.Add(1) % 8 {
			case 3:
				nar.write = func(_ context.Context, w io.Writer, off, n int64) error {
					_, _ = w.Write(s.nar[off : off+n/2])
					return errors.New("peer reset")
				}
			case 6:
				nar.write = lateWrite(s.nar)
			}
			return nar, nil
		})
	}
	g := New(cache, Options{Budget: ample})
	defer closeGateway(t, g)
	addr := startServer(t, NewServer(g))

	var wg sync.WaitGroup
	for c := range clients {
		rng := rand.New(rand.NewPCG(uint64(c), 1))
		wg.Go(func() {
			conn := dial(t, addr)
			for range requests {
				if !askSomething(t, conn, rng, samples) {
					_ = conn.conn.Close()
					conn = dial(t, addr)
				}
				if rng.IntN(10) == 0 {
					cache.generation.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if s := g.Stats(); s.NarInfos[Given] == 0 || s.Nars[Given] == 0 || s.Nars[Aborted] == 0 || s.NarInfos[NotHere] == 0 {
		t.Errorf("not everything happened: %+v", s)
	}
}

// lateWrite writes half, and the wrong bytes once the request is over.
func lateWrite(data []byte) func(context.Context, io.Writer, int64, int64) error {
	return func(ctx context.Context, w io.Writer, off, n int64) error {
		if _, err := w.Write(data[off : off+n-n/2]); err != nil {
			return err
		}
		go func() { // and it is not even waited for
			<-ctx.Done()
			_, _ = w.Write(bytes.Repeat([]byte("!"), int(n/2)))
		}()
		return errors.New("taking longer")
	}
}

// askSomething asks one question at random and checks the answer. It returns
// whether the connection can be used further.
func askSomething(t *testing.T, conn *wire, rng *rand.Rand, samples []sample) bool {
	s := samples[rng.IntN(len(samples))]
	switch rng.IntN(5) {
	case 0:
		conn.get(s.infoURL())
		a, err := conn.receive(http.MethodGet)
		if err != nil || a.code() != "200" || !strings.HasPrefix(string(a.body), "StorePath: "+s.path.String()+"\n") {
			t.Errorf("narinfo of %s: %v\n%s", s.path, err, a.text())
		}
		return err == nil
	case 1:
		conn.get("/" + hashOf("z") + ".narinfo")
		a, err := conn.receive(http.MethodGet)
		if err != nil || a.code() != "404" {
			t.Errorf("a miss: %v\n%s", err, a.text())
		}
		return err == nil
	case 2: // goes away in the midst of it
		conn.get(s.narURL())
		_, _ = conn.r.Peek(1 + rng.IntN(4000))
		return false
	default:
		off := rng.IntN(len(s.nar))
		conn.get(s.narURL(), fmt.Sprintf("Range: bytes=%d-", off))
		a, err := conn.receive(http.MethodGet)
		if errors.Is(err, errNothing) {
			return false // it broke off before net/http had sent the head
		}
		want := s.nar[off:]
		switch {
		case err != nil:
			t.Errorf("archive of %s from %d: %v", s.path, off, err)
		case a.code() == "404" && !a.cut: // nothing was written before it failed
		case a.code() != "206" || !bytes.HasPrefix(want, a.body) || !a.cut && len(a.body) != len(want):
			t.Errorf("archive of %s from %d: %s, %d bytes, cut %v", s.path, off, a.status, len(a.body), a.cut)
		}
		return err == nil && !a.cut
	}
}
