package httpgateway

import (
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	var m Memory
	if median, longest := m.Durations(); median != 0 || longest != 0 {
		t.Errorf("of nothing: %v, %v", median, longest)
	}
	for _, ms := range []int{9, 1, 5} {
		m.add(Answer{Took: time.Duration(ms) * time.Millisecond})
	}
	m.add(Answer{Nar: true, Took: time.Hour})
	if median, longest := m.Durations(); median != 0.005 || longest != 0.009 {
		t.Errorf("of 9, 1 and 5 ms, and an archive: %v, %v", median, longest)
	}
	for range 2 * durationsOf {
		m.add(Answer{Took: time.Millisecond})
	}
	if _, longest := m.Durations(); longest != 0.001 {
		t.Errorf("an answer long ago still counts: %v", longest)
	}
}
