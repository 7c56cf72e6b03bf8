package httpgateway

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/trust"
)

// TestLogIsHushed: a cache that fails for a whole closure fills no disk.
func TestLogIsHushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		cache := newFakeCache(t)
		for i := range 100 {
			cache.onInfo("", numberedHash(i), func(context.Context) (trust.Verified, error) {
				return trust.Verified{}, errors.New("disk on fire")
			})
		}
		g := New(cache, Options{Log: slog.New(slog.NewTextHandler(&out, nil))})
		ask := func(from, to int) {
			for i := from; i < to; i++ {
				get(g, "/"+numberedHash(i).String()+".narinfo")
			}
		}
		get(g, "/"+aHash+".narinfo") // not here: nothing to say
		if out.Len() != 0 {
			t.Errorf("logged: %s", &out)
		}
		ask(0, 50)
		if got := strings.Count(out.String(), "\n"); got != 1 || !strings.Contains(out.String(), "disk on fire") {
			t.Errorf("logged: %s", &out)
		}
		out.Reset()
		time.Sleep(logEvery)
		ask(50, 100)
		if got := strings.Count(out.String(), "\n"); got != 1 || !strings.Contains(out.String(), "hushed=49") {
			t.Errorf("logged: %s", &out)
		}
		out.Reset()
		time.Sleep(logEvery)
		ask(0, 1)
		if !strings.Contains(out.String(), "hushed=49") {
			t.Errorf("logged: %s", &out)
		}
		closeGateway(t, g)
	})
}
