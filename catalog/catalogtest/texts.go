package catalogtest

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
)

// Texts is a [catalog.Texts] in memory. It polices its users: a text that is not
// of the kind it is put as is an error. The zero value is empty and ready.
type Texts struct {
	mu    sync.Mutex
	texts map[textKey][]byte
}

type textKey struct {
	kind catalog.TextKind
	id   namespace.ID
}

var _ catalog.Texts = (*Texts)(nil)

// PutText implements [catalog.Texts].
func (t *Texts) PutText(ctx context.Context, kind catalog.TextKind, raw []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if title := titles()[kind]; title == "" || !bytes.HasPrefix(raw, []byte(title)) {
		return fmt.Errorf("put text: not of kind %d: %.40q", kind, raw)
	}
	id, err := namespace.TextID(raw)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.texts == nil {
		t.texts = make(map[textKey][]byte)
	}
	t.texts[textKey{kind, id}] = bytes.Clone(raw)
	return nil
}

func titles() map[catalog.TextKind]string {
	return map[catalog.TextKind]string{
		catalog.TextDocument:    "flurry namespace 1\n",
		catalog.TextPublication: "flurry publication 1\n",
		catalog.TextKeepList:    "flurry keep 1\n",
	}
}

// Text implements [catalog.Texts].
func (t *Texts) Text(ctx context.Context, kind catalog.TextKind, id namespace.ID) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	raw, ok := t.texts[textKey{kind, id}]
	if !ok {
		return nil, fmt.Errorf("text %s: %w", id.Short(), catalog.ErrNotFound)
	}
	return bytes.Clone(raw), nil
}

// Lose removes a text, as a damaged disk does.
func (t *Texts) Lose(kind catalog.TextKind, id namespace.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.texts, textKey{kind, id})
}

// All returns the texts of a kind, in the order of their ids.
func (t *Texts) All(kind catalog.TextKind) iter.Seq2[[]byte, error] {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := make(map[namespace.ID][]byte)
	for k, raw := range t.texts {
		if k.kind == kind {
			found[k.id] = raw
		}
	}
	order := slices.SortedFunc(maps.Keys(found), namespace.ID.Compare)
	return func(yield func([]byte, error) bool) {
		for _, id := range order {
			if !yield(bytes.Clone(found[id]), nil) {
				return
			}
		}
	}
}
