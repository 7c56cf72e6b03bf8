package origin

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/nix"
)

// FuzzContinues: a range that is taken is the one that was asked for, to the end.
func FuzzContinues(f *testing.F) {
	for _, s := range []string{"bytes 5-9/10", "bytes 5-9/*", "bytes 5-8/10", "bytes */10", "", "bytes 5-", "items 5-9/10", "bytes +5-9/10", "bytes 5-18446744073709551615/0"} {
		f.Add(s, int64(5), int64(10))
		f.Add(s, int64(5), int64(-1))
	}
	f.Fuzz(func(t *testing.T, s string, from, total int64) {
		if !continues(s, from, total) {
			return
		}
		var a, b, size int64
		if _, err := fmt.Sscanf(s, "bytes %d-%d/%d", &a, &b, &size); err != nil || a != from || b != size-1 || a > b || total >= 0 && size != total {
			t.Errorf("%q continues at %d of %d", s, from, total)
		}
	})
}

func TestContinues(t *testing.T) {
	if !continues("bytes 5-9/10", 5, 10) || !continues("bytes 5-9/10", 5, -1) {
		t.Error("the rest is not taken")
	}
}

// TestNoHead: a cache that takes a question and then says nothing, or a byte of its header a second, is given up.
func TestNoHead(t *testing.T) {
	for _, trickle := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			left := make(chan struct{})
			transport := newTransport()
			transport.Proxy = nil
			transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
				here, there := net.Pipe()
				go func() {
					defer close(left)
					defer there.Close()
					there.Read(make([]byte, 4096))
					for trickle {
						time.Sleep(time.Second)
						if _, err := io.WriteString(there, "H"); err != nil {
							return
						}
					}
					io.Copy(io.Discard, there)
				}()
				return here, nil
			}
			o, err := New("http://cache.test", Options{Transport: transport})
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			_, err = o.Nar(t.Context(), &nix.NarInfo{URL: "nar/x", NarSize: 1})
			if err == nil || !strings.Contains(err.Error(), "timeout awaiting response headers") || time.Since(began) != headTimeout {
				t.Errorf("%v after %v", err, time.Since(began))
			}
			transport.CloseIdleConnections()
			<-left
		})
	}
}
