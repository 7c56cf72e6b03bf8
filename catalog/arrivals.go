package catalog

import (
	"slices"

	"github.com/flurry-nix/flurry/namespace"
)

// arrivals is the order in which publications became alive and listed here. One
// that died and came back stands at its new place. Followers go through it by
// number.
type arrivals struct {
	log  []arrival // by rising number; some are stale
	last uint64    // the highest number given
	dead int       // stale ones, at least
}

type arrival struct {
	n uint64
	p *publication
}

// stale reports whether the publication is gone from that place.
func (a arrival) stale() bool { return !a.p.told || a.p.arrival != a.n }

func (o *arrivals) append(p *publication) {
	o.last++
	p.arrival = o.last
	o.log = append(o.log, arrival{o.last, p})
}

// drop is told that a publication of the log is no longer to be told.
func (o *arrivals) drop() {
	o.dead++
	if o.dead > 64 && o.dead > len(o.log)/2 {
		o.log = slices.DeleteFunc(o.log, arrival.stale)
		o.dead = 0
	}
}

// since returns up to limit ids that came after number n, and the number to go
// on from.
func (o *arrivals) since(n uint64, limit int) (ids []namespace.ID, next uint64) {
	from, _ := slices.BinarySearchFunc(o.log, n+1, func(a arrival, n uint64) int {
		switch {
		case a.n < n:
			return -1
		case a.n > n:
			return 1
		}
		return 0
	})
	for _, a := range o.log[from:] {
		if a.stale() {
			continue
		}
		if len(ids) == limit {
			return ids, next
		}
		ids = append(ids, a.p.id)
		next = a.n
	}
	return ids, o.last
}
