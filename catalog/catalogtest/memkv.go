package catalogtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/flurry-nix/flurry/catalog"
)

// MemKV is a [catalog.KV] in memory. It polices its users: an empty batch or an
// operation that the interface does not have is an error, and what Scan showed
// is overwritten after each call, so that whoever keeps it reads rubbish. The
// zero value is empty and ready.
type MemKV struct {
	mu     sync.Mutex
	values map[string]string
	order  []string // the keys, sorted; nil when it has to be made again
}

var _ catalog.KV = (*MemKV)(nil)

// Get implements [catalog.KV].
func (m *MemKV) Get(key []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[string(key)]
	if !ok {
		return nil, catalog.ErrNotFound
	}
	return []byte(v), nil
}

// Scan implements [catalog.KV].
func (m *MemKV) Scan(prefix, from []byte, fn func(k, v []byte) (bool, error)) error {
	for _, kv := range m.snapshot(string(prefix), string(from)) {
		k, v := []byte(kv[0]), []byte(kv[1])
		more, err := fn(k, v)
		spoil(k)
		spoil(v)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// snapshot returns the keys and values that Scan shows.
func (m *MemKV) snapshot(prefix, from string) [][2]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.order == nil {
		m.order = slices.Sorted(maps.Keys(m.values))
	}
	start, _ := slices.BinarySearch(m.order, max(prefix, from))
	var found [][2]string
	for _, k := range m.order[start:] {
		if !strings.HasPrefix(k, prefix) {
			break
		}
		found = append(found, [2]string{k, m.values[k]})
	}
	return found
}

// Apply implements [catalog.KV].
func (m *MemKV) Apply(ops []catalog.Op, sync bool) error {
	if len(ops) == 0 {
		return fmt.Errorf("apply: an empty batch")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := check(ops); err != nil {
		return err
	}
	if m.values == nil {
		m.values = make(map[string]string)
	}
	for _, op := range ops {
		switch op.Kind {
		case catalog.OpPut:
			m.values[string(op.Key)] = string(op.Value)
		case catalog.OpDelete:
			delete(m.values, string(op.Key))
		case catalog.OpDeletePrefix:
			maps.DeleteFunc(m.values, func(k, _ string) bool { return strings.HasPrefix(k, string(op.Key)) })
		}
	}
	m.order = nil
	return nil
}

// Clone returns a copy: what a crash at this moment would leave.
func (m *MemKV) Clone() *MemKV {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &MemKV{values: maps.Clone(m.values)}
}

// Len returns the number of keys.
func (m *MemKV) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.values)
}

func check(ops []catalog.Op) error {
	for i, op := range ops {
		switch {
		case op.Kind < catalog.OpPut || op.Kind > catalog.OpDeletePrefix:
			return fmt.Errorf("apply: operation %d is of no kind: %d", i, op.Kind)
		case len(op.Key) == 0:
			return fmt.Errorf("apply: operation %d has no key", i)
		case op.Kind == catalog.OpDeletePrefix && op.Key[0] == 0xff:
			return fmt.Errorf("apply: operation %d deletes under %q", i, op.Key)
		case op.Kind != catalog.OpPut && op.Value != nil:
			return fmt.Errorf("apply: operation %d deletes and has a value", i)
		}
	}
	return nil
}

func spoil(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}
