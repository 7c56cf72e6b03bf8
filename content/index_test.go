package content

import "testing"

func TestIndex(t *testing.T) {
	b := &Body{Size: 10, Chunks: []Piece{{Length: 3}, {Length: 1}, {Length: 6}}}
	x := b.Index()
	for i, want := range []uint64{0, 3, 4, 10} {
		if got := x.Start(i); got != want {
			t.Errorf("Start(%d) = %d, want %d", i, got, want)
		}
	}
	for off, want := range []int{0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 3, 3} {
		if got := x.Find(uint64(off)); got != want {
			t.Errorf("Find(%d) = %d, want %d", off, got, want)
		}
	}
	if got := new(Body).Index().Find(0); got != 0 {
		t.Errorf("Find(0) in an empty body = %d, want 0", got)
	}
}
