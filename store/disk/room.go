package disk

import (
	"log/slog"
	"sync/atomic"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/store"
)

// room decides whether there is room for more.
type room struct {
	dir     string
	space   func(dir string) (durable.Space, error)
	quota   int64 // bytes of packs; 0: no bound
	reserve int64 // bytes to leave free
	ballast *durable.Ballast
	log     *slog.Logger
	used    atomic.Int64 // bytes of packs, what was admitted and not yet written included
}

// reserveOf is the reserve where none is set, for a disk of total bytes.
func reserveOf(total int64) int64 { return max(autoReserve, total/autoReservePart) }

// admit counts n bytes for a record of kind k as used, or says why they are not
// accepted.
func (r *room) admit(k store.Kind, n int64) error {
	space, err := r.space(r.dir)
	if err != nil {
		return err
	}
	keep, bounded := r.reserve, r.quota > 0
	if k == store.KindDocument || k == store.KindKeepList {
		keep, bounded = min(keep, minReserve), false
	}
	if space.Free-n < keep {
		return &store.FullError{Free: space.Free, Reserve: keep}
	}
	if used := r.used.Add(n); bounded && used > r.quota {
		r.used.Add(-n)
		return &store.FullError{Used: used - n, Quota: r.quota}
	}
	r.refill(space.Free - n)
	return nil
}

// admitMove counts n bytes for a record that is written anew, so that its old
// place can be given back: that may use most of the reserve, and for a while
// more than the quota.
func (r *room) admitMove(n int64) error {
	space, err := r.space(r.dir)
	if err != nil {
		return err
	}
	if keep := min(r.reserve, minReserve); space.Free-n < keep {
		return &store.FullError{Free: space.Free, Reserve: keep}
	}
	r.used.Add(n)
	return nil
}

// release counts back what was admitted and is not there.
func (r *room) release(n int64) { r.used.Add(-n) }

// refill sets the ballast up again when there is plenty of room.
func (r *room) refill(free int64) {
	if r.ballast == nil || r.ballast.Held() || free < r.reserve+2*r.ballast.Size() {
		return
	}
	if err := r.ballast.Hold(); err != nil {
		r.log.Warn("store: no room set aside for a full disk", "error", err)
	}
}

// drop gives the ballast up. Pebble calls it when it meets a full disk.
func (r *room) drop() {
	if r.ballast == nil || !r.ballast.Held() {
		return
	}
	err := r.ballast.Release()
	r.log.Error("store: the disk is full; the room set aside for that is in use now", "bytes", r.ballast.Size(), "error", err)
}

// forIndex is an error when Pebble might meet a full disk with nothing left to
// drop, which would end the process.
func (r *room) forIndex() error {
	if r.ballast != nil && r.ballast.Held() {
		return nil
	}
	space, err := r.space(r.dir)
	if err != nil {
		return err
	}
	if space.Free < indexRoom {
		return &store.FullError{Free: space.Free, Reserve: indexRoom}
	}
	return nil
}
