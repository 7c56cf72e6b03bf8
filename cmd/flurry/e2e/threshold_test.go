package e2e

import (
	"testing"

	"github.com/flurry-nix/flurry/report"
)

// TestThreshold: where two builders have to agree Nix is given nothing that one machine has published, and all of it once another
// has published what it built itself.
func TestThreshold(t *testing.T) {
	paths := build(t, "threshold", pkg{name: "library", seed: 1, size: 50_000}, pkg{name: "app", seed: 2, size: 200_000, deps: []int{0}})
	app := paths[len(paths)-1].String()
	portA, portB := peerPort(t), peerPort(t)
	a := daemon(t, "a", "--port", portA)
	var made report.New
	a.must(&made, "new", "acme-1")
	b := daemon(t, "b", "--port", portB, "--peer", "127.0.0.1:"+portA)
	var key report.WriterKey
	b.must(&key, "writer", "key", "second-1")
	a.must(nil, "writer", "add", "acme-1", key.Key)
	a.must(nil, "publish", "acme-1", app)
	b.uses(made.Address, len(paths))

	c := daemon(t, "c", "--peer", "127.0.0.1:"+portA, "--peer", "127.0.0.1:"+portB)
	c.must(nil, "use", made.Address, "--threshold", "2")
	c.uses(made.Address, len(paths))
	if err := realise(t, c, c.gateway, c.key, paths); err == nil {
		t.Fatal("Nix was given what one machine alone has built")
	}
	var second report.Publish
	b.must(&second, "publish", "acme-1", app)
	if second.Paths != len(paths) {
		t.Fatalf("%d paths were published by who built them as well: %+v", second.Paths, second)
	}
	c.await("to know of both builds", func() bool { return realise(t, c, c.gateway, c.key, paths) == nil })
	a.stop()
	b.stop()
	c.stop()
}
