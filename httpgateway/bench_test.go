package httpgateway

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// benchCache answers at once, without locks.
type benchCache struct{ s sample }

func (c benchCache) Info(_ context.Context, _ string, h nix.PathHash) (trust.Verified, error) {
	if h != c.s.hash() {
		return trust.Verified{}, ErrNotHere
	}
	return c.s.v, nil
}

func (c benchCache) Nar(context.Context, string, nix.NarHash, nix.PathHash) (Nar, error) {
	return benchNar(c.s.nar), nil
}

func (benchCache) Generation() uint64 { return 1 }

type benchNar []byte

func (n benchNar) Size() int64 { return int64(len(n)) }

// WriteRange writes chunk by chunk, as they come out of a store.
func (n benchNar) WriteRange(_ context.Context, w io.Writer, off, count int64) error {
	for piece := n[off : off+count]; len(piece) > 0; {
		k := min(len(piece), 64<<10)
		if _, err := w.Write(piece[:k]); err != nil {
			return err
		}
		piece = piece[k:]
	}
	return nil
}

func (benchNar) Close() error { return nil }

// bare is the least that net/http can do for the same answers.
func bare(g *Gateway, s sample) http.Handler {
	text := get(g, s.infoURL()).Body.Bytes()
	length := []string{strconv.Itoa(len(text))}
	kind := []string{"text/x-nix-narinfo"}
	url := s.infoURL()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, ".nar"):
			w.Header().Set("Content-Length", strconv.Itoa(len(s.nar)))
			_ = benchNar(s.nar).WriteRange(r.Context(), w, 0, int64(len(s.nar)))
		case r.URL.Path == url:
			h := w.Header()
			h["Content-Type"], h["Content-Length"] = kind, length
			_, _ = w.Write(text)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte("not here: no namespace in use has published it (flurry why " + aHash + ")\n"))
		}
	})
}

// BenchmarkServe compares with bare, over loopback on one connection that is
// kept alive. allocs/op are net/http's own but for the difference.
func BenchmarkServe(b *testing.B) {
	for _, c := range []struct {
		name string
		path func(s sample) string
		size int
	}{
		{"hit", sample.infoURL, 100},
		{"miss", func(sample) string { return "/" + aHash + ".narinfo" }, 100},
		{"nar/10KB", sample.narURL, 10_000},
		{"nar/100MB", sample.narURL, 100_000_000},
	} {
		s := newSample(b, "h", "hello-1.0", digits(c.size), storePath(b, hashOf("l")+"-libc-2.40"))
		own := testKey(b, "flurry-local-1")
		g := New(benchCache{s}, Options{Budget: ample, Signer: &own})
		for name, h := range map[string]http.Handler{"gateway": g, "bare": bare(g, s)} {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				addr := startServer(b, NewServer(h))
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					b.Fatal(err)
				}
				defer conn.Close()
				request := []byte("GET " + c.path(s) + " HTTP/1.1\r\nHost: 127.0.0.1:7669\r\nUser-Agent: curl/7.85.0 Nix/2.8.0\r\nAccept: */*\r\n\r\n")
				r := bufio.NewReaderSize(conn, 64<<10)
				b.ReportAllocs()
				if strings.HasPrefix(c.name, "nar") {
					b.SetBytes(int64(c.size))
				}
				for b.Loop() {
					if _, err := conn.Write(request); err != nil {
						b.Fatal(err)
					}
					if err := skipAnswer(r); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		if err := g.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// skipAnswer reads one answer without allocating.
func skipAnswer(r *bufio.Reader) error {
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			_, err := r.Discard(length)
			return err
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			for _, digit := range bytes.TrimSpace(value) {
				length = length*10 + int(digit-'0')
			}
		}
	}
}

// BenchmarkHandler is the gateway's own part of a hit and a miss.
func BenchmarkHandler(b *testing.B) {
	s := newSample(b, "h", "hello-1.0", digits(100))
	g := New(benchCache{s}, Options{})
	defer func() {
		if err := g.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
	}()
	for name, path := range map[string]string{"hit": s.infoURL(), "miss": "/" + aHash + ".narinfo"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:7669"+path, nil)
				if err != nil {
					b.Error(err)
					return
				}
				w := discard{make(http.Header)}
				for pb.Next() {
					g.ServeHTTP(w, r)
				}
			})
		})
	}
}
