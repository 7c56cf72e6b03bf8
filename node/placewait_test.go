package node

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/trust"
)

// countingNix has nothing, and counts how often it is asked for each path.
type countingNix struct{ asked map[nix.StorePath]int }

func (c countingNix) Infos(_ context.Context, paths []nix.StorePath) ([]daemon.PathInfo, error) {
	for _, p := range paths {
		c.asked[p]++
	}
	return nil, nil
}

// verified is an entry of some namespace.
func verified(t *testing.T, name string) trust.Verified {
	t.Helper()
	key, err := nix.NewSecretKey("cache-1", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p, err := nix.ParseStorePath("/nix/store/00000000000000000000000000000001-" + name)
	if err != nil {
		t.Fatal(err)
	}
	e := namespace.Entry{Path: p, NarSize: 1000, Body: [32]byte{1}}
	e.Sigs = []nix.Signature{key.Sign(e.Fingerprint())}
	a := namespace.AddressOf(key.Public())
	v, err := trust.NewUpstreamPolicy(a).Recall(&e, namespace.ID{}, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestAskedEverMoreSeldom: Nix is asked soon whether it has imported a path, and then ever more seldom, each path by its own time.
func TestAskedEverMoreSeldom(t *testing.T) {
	now := time.Now()
	asks := countingNix{make(map[nix.StorePath]int)}
	p := newPlaces(&Node{Needs: Needs{Installed: asks, Now: func() time.Time { return now }}})
	late, early := verified(t, "late"), verified(t, "early")
	add := func(v trust.Verified) {
		p.waiting[waitKey{v.Address(), v.Path().Hash()}] = &toPlace{verified: v, until: now.Add(placeWait)}
	}
	add(early)
	for i := range 200 {
		if i == 100 {
			add(late)
		}
		if err := p.placeWaiting(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i == 100 && asks.asked[late.Path()] != 1 {
			t.Error("it is not asked at once for what was given just now")
		}
		now = now.Add(placeEvery)
	}
	// After 0, 5, 15, 35, 75 s, and each minute from then on until ten are over.
	if asks.asked[early.Path()] != 13 || len(p.waiting) != 1 {
		t.Errorf("asked %d times, %d wait", asks.asked[early.Path()], len(p.waiting))
	}
}
