package catalogtest

import (
	"errors"
	"sync"

	"github.com/flurry-nix/flurry/catalog"
)

// ErrFault is what a [FaultyKV] fails with.
var ErrFault = errors.New("injected fault")

// Fault is what happens to one call of Apply.
type Fault byte

const (
	NoFault     Fault = iota
	Failed            // nothing was done, and Apply says so
	FailedAfter       // everything was done, and yet Apply fails
)

// FaultyKV is a [catalog.KV] whose Apply fails as Plan says. Reading never
// fails.
type FaultyKV struct {
	catalog.KV
	Plan func(call int) Fault // call counts from 0

	mu    sync.Mutex
	calls int
}

// Apply implements [catalog.KV].
func (f *FaultyKV) Apply(ops []catalog.Op, sync bool) error {
	f.mu.Lock()
	fault := f.Plan(f.calls)
	f.calls++
	f.mu.Unlock()
	if fault == Failed {
		return ErrFault
	}
	if err := f.KV.Apply(ops, sync); err != nil {
		return err
	}
	if fault == FailedAfter {
		return ErrFault
	}
	return nil
}

// Calls returns how often Apply was called.
func (f *FaultyKV) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}
