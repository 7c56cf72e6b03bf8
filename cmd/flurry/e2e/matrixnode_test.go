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
	{name: "the node is killed in the middle of a NAR", happens: nodeStruck(syscall.SIGKILL), proof: brokeOff},
	{name: "the node hangs in the middle of a NAR", happens: nodeStruck(syscall.SIGSTOP), proof: cutOff},
	{name: "the node is killed over and over", happens: nodeKilledOverAndOver, proof: anything},
	{name: "the node crash-loops", happens: nodeCrashLoops, proof: nothingThere},
	{name: "the node crash-loops when Nix was told of everything", happens: nodeCrashLoopsThen, gated: true, proof: noneGiven},
	{name: "the node crash-loops, and there is a second substituter", proof: nothingThere, copied: true, happens: func(t *testing.T, m *matrix) ([]string, string, during) {
		substituters, key, during := nodeCrashLoops(t, m)
		return append(substituters, m.cache), key, during
	}},
}

// nodeStruck: a signal comes when a large NAR is under way.
func nodeStruck(sig syscall.Signal) func(*testing.T, *matrix) ([]string, string, during) {
	return func(t *testing.T, m *matrix) ([]string, string, during) {
		peer, address := m.publisher(t)
		g := m.slowly(t, peer, address)
		return []string{g.gateway}, g.key, func(done <-chan struct{}, p *tap) {
			if !p.midNar(done) {
				t.Error("the build was over before the node was struck")
				return
			}
			if err := syscall.Kill(g.node(), sig); err != nil {
				t.Error(err)
			}
		}
	}
}

func nodeKilledOverAndOver(t *testing.T, m *matrix) ([]string, string, during) {
	g := m.gateway(t, m.origin, m.address)
	return []string{g.gateway}, g.key, func(done <-chan struct{}, _ *tap) {
		killed := make(map[int]bool)
		for {
			if pid := g.node(); pid != 0 && syscall.Kill(pid, syscall.SIGKILL) == nil { // it may be gone already
				killed[pid] = true
			}
			select {
			case <-done:
				if len(killed) == 0 {
					t.Error("no node was killed")
				}
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}

// nodeCrashLoops: the gateway was well, and now its node does not start any more.
func nodeCrashLoops(t *testing.T, m *matrix) ([]string, string, during) {
	g := m.gateway(t, m.origin, m.address)
	g.crashLoops()
	return []string{g.gateway}, g.key, nil
}

// nodeCrashLoopsThen: it does not when Nix has been told of all paths, and asks for the first NAR.
func nodeCrashLoopsThen(t *testing.T, m *matrix) ([]string, string, during) {
	g := m.gateway(t, m.origin, m.address)
	return []string{g.gateway}, g.key, func(done <-chan struct{}, p *tap) {
		defer close(p.gate)
		select {
		case <-p.held:
			g.crashLoops()
		case <-done:
			t.Error("Nix asked for no NAR")
		}
	}
}

// crashLoops makes the node one that ends whenever it is started.
func (p *process) crashLoops() {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.state, "format"), []byte("flurry store 99\n"), 0o600); err != nil {
		p.t.Error(err)
		return
	}
	p.signal(syscall.SIGKILL)
	p.down("was written by a later flurry")
}
