package catalog

import (
	"testing"

	"github.com/flurry-nix/flurry/nix"
)

func TestAnswerCache(t *testing.T) {
	c := newAnswerCache(100)
	key := func(n byte) cacheKey { return cacheKey{path: nix.PathHash{n}} }
	add := func(n byte, size int) {
		_, ticket := c.get(key(n))
		c.put(key(n), &answer{size: size}, ticket)
	}
	has := func(n byte) bool {
		a, _ := c.get(key(n))
		return a != nil
	}
	add(1, 40)
	add(2, 40)
	has(1) // the latest now
	add(3, 40)
	if !has(1) || has(2) || !has(3) {
		t.Fatal("not the longest unused one went")
	}
	add(4, 101)
	if has(4) || !has(1) {
		t.Fatal("what is too large was let in")
	}
	add(1, 60) // in its place
	if !has(1) || !has(3) || c.used != 100 {
		t.Fatalf("%d bytes in use, want 100", c.used)
	}
	// What was read before a change is not put after it.
	_, ticket := c.get(key(5))
	c.drop(spaceID{}, nix.PathHash{5})
	c.put(key(5), &answer{size: 1}, ticket)
	if has(5) {
		t.Fatal("an outdated answer was put")
	}
	add(6, 0)
	c.drop(spaceID{1}, nix.PathHash{6}) // of another namespace
	if !has(6) {
		t.Fatal("the wrong one was dropped")
	}
	c.drop(spaceID{}, nix.PathHash{6})
	if has(6) || c.used != 100 {
		t.Fatal("not dropped")
	}
}
