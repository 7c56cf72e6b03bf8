package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/httpgateway"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// endless is a cache with one NAR for all names, which has no end that anybody would live to see.
type endless struct{}

func (endless) Info(context.Context, string, nix.PathHash) (trust.Verified, error) {
	return trust.Verified{}, httpgateway.ErrNotHere
}

func (endless) Generation() uint64 { return 0 }

func (endless) Nar(context.Context, string, nix.NarHash, nix.PathHash) (httpgateway.Nar, error) {
	return endless{}, nil
}

func (endless) Size() int64 { return 1 << 50 }

func (endless) WriteRange(_ context.Context, w io.Writer, _, _ int64) error {
	for {
		if _, err := w.Write(make([]byte, 32<<10)); err != nil {
			return err
		}
	}
}

func (endless) Close() error { return nil }

// TestDrainEnds: an instance that is to end waits for the NARs under way as long as it is told to, and no longer: whoever reads on then,
// and whoever reads nothing, is cut off.
func TestDrainEnds(t *testing.T) {
	if nodeDrain > 30*time.Second || stopLimit > time.Minute { // TimeoutStopSec of the unit files
		t.Errorf("a node has %v for its NARs, and %v to end", nodeDrain, stopLimit)
	}
	for name, reads := range map[string]bool{"reads": true, "reads nothing": false} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			i := &instance{log: slog.New(slog.DiscardHandler), gateway: httpgateway.New(endless{}, httpgateway.Options{}), drain: 300 * time.Millisecond}
			ctx, end := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- i.serveGateway(ctx, l) }()
			resp, err := http.Get("http://" + l.Addr().String() + "/nar/" + nix.NarHash{}.Nix32() + "-" + nix.PathHash{}.String() + ".nar")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			cut := make(chan error, 1)
			if reads {
				go func() { _, err := io.Copy(io.Discard, resp.Body); cut <- err }()
			}
			began := time.Now()
			end()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took < i.drain || took > i.drain+5*time.Second {
				t.Errorf("it ended after %v", took)
			}
			if reads && <-cut == nil {
				t.Error("a NAR that was cut off ended well")
			}
			if err := i.gateway.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
