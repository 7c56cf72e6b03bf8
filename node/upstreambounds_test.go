package node

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/nix"
)

// TestUpstreamMemoryBounded: however many paths an origin is asked for, and peers say they have, what is remembered of them is bounded; of what is forgotten
// nothing is said.
func TestUpstreamMemoryBounded(t *testing.T) {
	now := time.Now()
	u := &upstream{holders: newHolders(), absent: make(map[nix.PathHash]time.Time), infos: make(map[nix.PathHash]originInfo)}
	path := func(i int) nix.StorePath {
		var h nix.PathHash
		binary.BigEndian.PutUint32(h[:], uint32(i))
		p, err := nix.ParseBaseName(h.String() + "-x")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for i := range upstreamAbsent + 1000 {
		p := path(i)
		u.setAbsent(p.Hash(), now.Add(time.Minute))
		u.holders.setVain(p.Hash(), now.Add(time.Minute), false)
		u.holders.add(p.Hash(), hearsay{})
	}
	if len(u.absent) > upstreamAbsent || len(u.holders.vain) > upstreamAbsent || len(u.holders.said) > hearsayPaths {
		t.Errorf("%d absent, %d in vain, %d said", len(u.absent), len(u.holders.vain), len(u.holders.said))
	}
	for i := range upstreamInfos + 1000 {
		u.setInfo(&nix.NarInfo{StorePath: path(i)}, now)
	}
	if len(u.infos) > upstreamInfos {
		t.Errorf("%d places", len(u.infos))
	}
	last := path(upstreamInfos + 999).Hash()
	if !u.confirmed(last, now.Add(upstreamHit-time.Second)) || u.confirmed(last, now.Add(upstreamHit)) || u.confirmed(path(1<<30).Hash(), now) {
		t.Error("what counts as confirmed is wrong")
	}
	u.setAbsent(last, now.Add(upstreamMiss))
	if u.info(last) != nil || u.confirmed(last, now) || !u.lacks(last, now.Add(upstreamMiss-time.Second)) || u.lacks(last, now.Add(upstreamMiss)) {
		t.Error("what is absent is confirmed, or for too long")
	}
	u.setInfo(&nix.NarInfo{StorePath: path(upstreamInfos + 999)}, now)
	if u.lacks(last, now) {
		t.Error("what is there is absent")
	}
}
