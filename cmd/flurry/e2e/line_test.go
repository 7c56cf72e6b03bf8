package e2e

import (
	"testing"

	"github.com/flurry-nix/flurry/report"
)

// TestThreeProcesses is the README's story: one publishes, another uses, and the one that uses knows only somebody who
// knows the one that publishes.
func TestThreeProcesses(t *testing.T) {
	paths := small(t, "three")
	root := paths[len(paths)-1:]
	portA, portB, portC := peerPort(t), peerPort(t), peerPort(t)
	a := daemon(t, "a", "--port", portA)
	var made report.New
	a.must(&made, "new", "acme-1")
	var published report.Publish
	a.must(&published, "publish", "acme-1", root[0].String())
	if published.Paths != len(paths) {
		t.Fatalf("%d of %d paths were published", published.Paths, len(paths))
	}
	b := daemon(t, "b", "--port", portB, "--peer", "127.0.0.1:"+portA)
	c := daemon(t, "c", "--port", portC, "--peer", "127.0.0.1:"+portB, "--share", "all")
	c.uses(made.Address, len(paths))

	t.Run("nix copy, the node's key", func(t *testing.T) {
		if err := copyFrom(t, c, c.gateway, c.key, paths); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("realise, the node's key", func(t *testing.T) {
		if err := realise(t, c, c.gateway, c.key, paths); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("realise, one namespace's view", func(t *testing.T) {
		if err := realise(t, c, c.gateway+"/ns/acme-1", c.key, paths); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("no key", func(t *testing.T) {
		if err := realise(t, c, c.gateway, "other-1:gUPS5WA15etHss+qS88T+5lXfwyC3r3IZt7EWO7FeRE=", root); err == nil {
			t.Error("Nix accepted what nobody it trusts has signed")
		}
	})
	t.Run("the namespace's key, signing off", func(t *testing.T) {
		d := daemon(t, "d", "--peer", "127.0.0.1:"+portB, "--sign=false")
		d.uses(made.Address, len(paths))
		if err := realise(t, d, d.gateway, made.Address, paths); err != nil {
			t.Fatal(err)
		}
		if err := realise(t, d, d.gateway, d.localKey(), root); err == nil {
			t.Error("the gateway signs although it was told not to")
		}
	})
	t.Run("the publisher is gone", func(t *testing.T) {
		c.await("to hold everything", func() bool {
			var s report.Show
			c.must(&s, "show", "acme-1", "*")
			for _, p := range s.Found {
				if !p.Held {
					return false
				}
			}
			return len(s.Found) == len(paths)
		})
		a.stop()
		e := daemon(t, "e", "--peer", "127.0.0.1:"+portB)
		e.uses(made.Address, len(paths))
		if err := realise(t, e, e.gateway, e.key, paths); err != nil {
			t.Fatalf("%v\n%s", err, e.stderr)
		}
	})
	b.stop()
	c.stop()
}

// uses puts a namespace in use and waits until its paths are listed.
func (p *process) uses(address string, paths int) {
	p.t.Helper()
	p.must(nil, "use", address)
	p.await("to list the namespace's paths", func() bool {
		var s report.Status
		p.must(&s, "status")
		return len(s.Namespaces) == 1 && s.Namespaces[0].Paths == paths
	})
}
