package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// nodeScenarios are those in which the gateway's own node fails, and the supervisor answers.
var nodeScenarios = []scenario{
	{name: "the node is killed in the middle of a NAR", script: builds, happens: nodeStruck(syscall.SIGKILL)},
	{name: "the node is killed in the middle of a NAR, fallback", script: builds, happens: nodeStruck(syscall.SIGKILL), settings: []string{"fallback = true"}},
	{name: "the node hangs in the middle of a NAR", script: builds, happens: nodeStruck(syscall.SIGSTOP)},
	{name: "the node is killed over and over", script: builds, happens: nodeKilledOverAndOver},
	{name: "the node crash-loops", script: builds, happens: nodeCrashLoops},
	{name: "the node crash-loops, fallback", script: builds, happens: nodeCrashLoops, settings: []string{"fallback = true"}},
	{name: "the node crash-loops, and there is a second substituter", script: builds, copied: true, happens: func(t *testing.T, m *matrix) ([]string, string, func(<-chan struct{})) {
		substituters, key, during := nodeCrashLoops(t, m)
		return append(substituters, m.cache), key, during
	}},
}

// nodeStruck: a signal comes when a large NAR is under way.
func nodeStruck(sig syscall.Signal) func(*testing.T, *matrix) ([]string, string, func(<-chan struct{})) {
	return func(t *testing.T, m *matrix) ([]string, string, func(<-chan struct{})) {
		peer, address := m.publisher(t, "2MB/s")
		g := m.gateway(t, peer, address)
		return []string{g.gateway}, g.key, func(done <-chan struct{}) {
			for g.received() <= 2_500_000 {
				select {
				case <-done:
					t.Error("the build was over before the node was struck")
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
			if err := syscall.Kill(g.node(), sig); err != nil {
				t.Error(err)
			}
		}
	}
}

func nodeKilledOverAndOver(t *testing.T, m *matrix) ([]string, string, func(<-chan struct{})) {
	g := m.gateway(t, m.origin, m.address)
	return []string{g.gateway}, g.key, func(done <-chan struct{}) {
		for {
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
			}
			if pid := g.node(); pid != 0 {
				syscall.Kill(pid, syscall.SIGKILL) // it may be gone already
			}
		}
	}
}

// nodeCrashLoops: Nix has seen the gateway when it was well, and now its node does not start any more.
func nodeCrashLoops(t *testing.T, m *matrix) ([]string, string, func(<-chan struct{})) {
	g := m.gateway(t, m.origin, m.address)
	if err := os.WriteFile(filepath.Join(g.state, "format"), []byte("flurry store 99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.signal(syscall.SIGKILL)
	g.down("was written by a later flurry")
	return []string{g.gateway}, g.key, nil
}
