package node

import (
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var b breaker
	allowed := func(want bool, when string) {
		t.Helper()
		if b.allows(now) != want {
			t.Errorf("%s: allowed is %v", when, !want)
		}
	}
	for range breakAfter - 1 {
		allowed(true, "before anything is known")
		b.failed(now)
	}
	b.worked()
	for range breakAfter - 1 {
		b.failed(now)
	}
	allowed(true, "after an answer and too few failures")
	b.failed(now)
	b.failed(now) // was under way together with the last one
	allowed(false, "after so many in a row")
	now = now.Add(breakFor)
	allowed(true, "to find out")
	allowed(false, "while that is found out")
	b.failed(now)
	now = now.Add(breakFor)
	allowed(false, "after failing again")
	now = now.Add(breakFor)
	allowed(true, "after twice the time")
	now = now.Add(breakFor)
	allowed(true, "when the one before was broken off")
	for range 20 {
		b.failed(now)
		now = now.Add(breakMost)
		allowed(true, "after the longest time")
	}
	if !b.open() {
		t.Error("not open while it fails")
	}
	b.worked()
	if b.open() {
		t.Error("open after an answer")
	}
	for range breakAfter - 1 {
		allowed(true, "as in the beginning")
		b.failed(now)
	}
	allowed(true, "as in the beginning")
	b.worked()
	for pause := breakFor; pause < 100*breakMost; pause *= 2 {
		b.trip(now)
		b.trip(now) // says nothing new
		now = now.Add(min(pause, breakMost) - 1)
		if !b.keepsBack(now) {
			t.Errorf("nothing is kept back %v after it was tripped", min(pause, breakMost)-1)
		}
		if now = now.Add(1); b.keepsBack(now) {
			t.Errorf("questions are kept back %v after it was tripped", min(pause, breakMost))
		}
	}
	b.worked()
	if b.trip(now); !b.keepsBack(now.Add(breakFor-1)) || b.keepsBack(now.Add(breakFor)) {
		t.Error("after it worked the pause is not the first")
	}
}
