package ledger

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/transfer"
)

// Bans is who is not talked to for a while. Its zero value is ready.
type Bans struct {
	mu   sync.Mutex
	list map[peer.ID]transfer.Ban
}

// Add bans p for d, unless it is banned for longer already. A d that is not
// above 0 does nothing.
func (b *Bans) Add(p peer.ID, d time.Duration, why string) {
	if d <= 0 {
		return
	}
	if len(why) > maxWhy {
		why = strings.ToValidUTF8(why[:maxWhy], "")
	}
	now := time.Now()
	ban := transfer.Ban{Peer: p, Until: now.Add(d), Why: why}
	b.mu.Lock()
	defer b.mu.Unlock()
	if old, ok := b.list[p]; ok && old.Until.After(ban.Until) {
		return
	}
	if b.list == nil {
		b.list = make(map[peer.ID]transfer.Ban)
	}
	b.list[p] = ban
	if len(b.list) > MaxBans {
		b.prune(now)
	}
}

// Has says whether p is banned now.
func (b *Bans) Has(p peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	ban, ok := b.list[p]
	if ok && !ban.Until.After(time.Now()) {
		delete(b.list, p)
		return false
	}
	return ok
}

// Banned lists the bans that hold, by peer.
func (b *Bans) Banned() []transfer.Ban {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	var all []transfer.Ban
	for p, ban := range b.list {
		if !ban.Until.After(now) {
			delete(b.list, p)
			continue
		}
		all = append(all, ban)
	}
	slices.SortFunc(all, func(x, y transfer.Ban) int { return strings.Compare(string(x.Peer), string(y.Peer)) })
	return all
}

// prune drops what is over and, if that is not enough, the ban that ends first.
func (b *Bans) prune(now time.Time) {
	var first peer.ID
	for p, ban := range b.list {
		if !ban.Until.After(now) {
			delete(b.list, p)
			continue
		}
		if end, ok := b.list[first]; !ok || ban.Until.Before(end.Until) {
			first = p
		}
	}
	if len(b.list) > MaxBans {
		delete(b.list, first)
	}
}
