package httpgateway

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestRenderedLeavesInOrderOfUse(t *testing.T) {
	text := newNarInfoText(1, make([]byte, 1000))
	key := func(i int) asked { return asked{hash: numberedHash(i)} }
	r := newRendered(3 * cost(key(0), text))
	for i := range 3 {
		r.put(key(i), text)
	}
	if r.get(key(0)) == nil {
		t.Fatal("0 left although there was room")
	}
	r.put(key(3), text)
	for i, want := range []bool{true, false, true, true} {
		if got := r.get(key(i)) != nil; got != want {
			t.Errorf("%d is kept: %v", i, got)
		}
	}
	if other := r.get(asked{view: "acme-1", hash: numberedHash(0)}); other != nil {
		t.Error("a text of the merged view is given in another")
	}
}

func TestRenderedKeepsNoGiants(t *testing.T) {
	r := newRendered(maxRendered)
	key := asked{hash: numberedHash(1)}
	r.put(key, newNarInfoText(1, make([]byte, maxRenderedText)))
	if r.get(key) == nil {
		t.Error("the longest text is not kept")
	}
	r.put(key, newNarInfoText(2, make([]byte, maxRenderedText+1)))
	if r.get(key) != nil {
		t.Error("a longer text is kept, or the old one in its place")
	}
	if r.size != 0 {
		t.Errorf("nothing is kept, in %d bytes", r.size)
	}
}

// TestRenderedModel compares with a plain list, step by step.
func TestRenderedModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const limit = 20_000
	r := newRendered(limit)
	type kept struct {
		key  asked
		text *narInfoText
	}
	var model []kept // the most recently used last
	find := func(key asked) int { return slices.IndexFunc(model, func(k kept) bool { return k.key == key }) }
	for step := range 20_000 {
		key := asked{hash: numberedHash(rng.IntN(30))}
		i := find(key)
		switch op := rng.IntN(10); {
		case op < 5:
			text := newNarInfoText(uint64(step), make([]byte, rng.IntN(3000)))
			r.put(key, text)
			if i >= 0 {
				model = slices.Delete(model, i, i+1)
			}
			model = append(model, kept{key, text})
			for size(model, func(k kept) int { return cost(k.key, k.text) }) > limit {
				model = model[1:]
			}
		default:
			got := r.get(key)
			switch {
			case i < 0 && got != nil, i >= 0 && got != model[i].text:
				t.Fatalf("step %d: wrong text", step)
			case i >= 0:
				k := model[i]
				model = append(slices.Delete(model, i, i+1), k)
			}
		}
		if want := size(model, func(k kept) int { return cost(k.key, k.text) }); r.size != want || len(r.texts) != len(model) || r.order.Len() != len(model) {
			t.Fatalf("step %d: %d texts in %d bytes, want %d in %d", step, len(r.texts), r.size, len(model), want)
		}
	}
}

func size[T any](all []T, of func(T) int) (n int) {
	for _, v := range all {
		n += of(v)
	}
	return n
}
