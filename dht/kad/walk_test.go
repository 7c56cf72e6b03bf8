package kad

import (
	"slices"
	"testing"

	libpeer "github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/flurry-nix/flurry/peer"
)

// named is a walk of the library that names peers: an odd number names the peer of
// that number without addresses.
func named(t *testing.T, numbers ...int) <-chan libpeer.AddrInfo {
	t.Helper()
	at := addr(t, "/ip4/203.0.113.1/tcp/7670")
	c := make(chan libpeer.AddrInfo, len(numbers))
	for _, n := range numbers {
		p := libpeer.AddrInfo{ID: someone(n / 2)}
		if n%2 == 0 {
			p.Addrs = []ma.Multiaddr{at}
		}
		c <- p
	}
	close(c)
	return c
}

func TestDistinct(t *testing.T) {
	const with, without = 0, 1
	self := someone(9)
	found := named(t, 2+with, 4+without, 2+with, 2+without, 18+with, 4+with, 6+without, 6+without, 18+without)
	var got []peer.ID
	unaddressed, more := distinct(found, self, func(p peer.Info) bool {
		got = append(got, p.ID)
		return true
	})
	if want := []peer.ID{infoAt(1).ID, infoAt(2).ID}; !slices.Equal(got, want) {
		t.Errorf("yielded %v, want %v", got, want)
	}
	if !more || !slices.Equal(unaddressed, []libpeer.ID{someone(3)}) {
		t.Errorf("left %v, %v; want the third alone", unaddressed, more)
	}
}

func TestDistinctIsBounded(t *testing.T) {
	var numbers []int
	for i := range 2 * maxFound {
		numbers = append(numbers, 2*i, 2*(i+10*maxFound)+1)
	}
	yielded := 0
	_, more := distinct(named(t, numbers...), "self", func(peer.Info) bool { yielded++; return true })
	if yielded != maxFound || more {
		t.Errorf("yielded %d, want %d and no more", yielded, maxFound)
	}
	unaddressed, _ := distinct(named(t, 1, 3, 5, 7, 9, 11, 13), "self", nil)
	if len(unaddressed) != maxUnaddressed {
		t.Errorf("%d are to be looked up, want %d", len(unaddressed), maxUnaddressed)
	}
	yielded = 0
	if _, more := distinct(named(t, 2, 4, 6), "self", func(peer.Info) bool { yielded++; return false }); yielded != 1 || more {
		t.Errorf("yielded %d after the end", yielded)
	}
}
