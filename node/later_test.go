package node

import (
	"sync"
	"testing"

	"github.com/flurry-nix/flurry/store/storetest"
)

// TestLaterEnded: when the node has ended every batch is closed, whoever else brings one at the same time.
func TestLaterEnded(t *testing.T) {
	s := storetest.NewMem(t)      // it complains of a batch that was never closed
	n := &Node{tasks: newTasks()} // which takes no more tasks
	for range 200 {
		var all sync.WaitGroup
		for range 8 {
			b, err := s.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() { n.later.commit(n, b) })
		}
		all.Wait()
	}
}
