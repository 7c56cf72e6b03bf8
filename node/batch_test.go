package node

import (
	"testing"

	"github.com/flurry-nix/flurry/nix"
)

// TestBatches: questions that come faster than they are answered go together, each once, none is forgotten, and nothing of them stays.
func TestBatches(t *testing.T) {
	const questions = 2*lookupHashes + 100
	bs, k := newBatches(), batchKey{of: &remote{}, about: &upstream{}}
	started := 0
	for i := range questions {
		if bs.put(k, &single{hash: nix.PathHash{byte(i), byte(i >> 8)}}) {
			started++
		}
	}
	if started != lookupsAtOnce {
		t.Errorf("%d lookups at once", started)
	}
	asked := make(map[nix.PathHash]int)
	for _, want := range []int{lookupHashes, lookupHashes, 100} {
		some := bs.take(k)
		if len(some) != want {
			t.Errorf("%d questions in a lookup, want %d", len(some), want)
		}
		for _, q := range some {
			asked[q.hash]++
		}
	}
	if len(asked) != questions {
		t.Errorf("%d of %d questions were asked", len(asked), questions)
	}
	for range lookupsAtOnce {
		if some := bs.take(k); some != nil {
			t.Errorf("%d questions more", len(some))
		}
	}
	if len(bs.byKey) != 0 {
		t.Error("something stays")
	}
	if !bs.put(k, &single{}) {
		t.Error("nobody asks the next one")
	}
}
