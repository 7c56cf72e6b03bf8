package e2e

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/report"
)

// ip runs ip on the host of the process.
func (p *process) ip(args ...string) string {
	p.t.Helper()
	line := p.on(append([]string{"ip"}, args...)...)
	out, err := exec.CommandContext(p.t.Context(), line[0], line[1:]...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestMoves: a machine whose network goes drops its connections at once, not when they are silent for half a minute, and when there is a network
// again it finds the peers that it was told of in seconds, not within a minute.
func TestMoves(t *testing.T) {
	l := needHosts(t)
	paths := small(t, "moves")
	a := daemonOn(t, l.Host, 0, "publisher")
	var made report.New
	a.must(&made, "new", "acme-1")
	a.must(nil, "publish", "acme-1", paths[len(paths)-1].String())
	b := daemonOn(t, l.Host, 0, "traveller", "--peer", a.peer(), "--wan=false")
	b.uses(made.Address, len(paths))

	words := strings.Fields(b.ip("-4", "-o", "addr", "show", "scope", "global")) // 2: eth0 inet 10.1.0.2/24 …
	device, address := words[1], words[3]
	route := strings.Fields(b.ip("route", "show", "default"))
	began := time.Now()
	b.ip("addr", "del", address, "dev", device)
	peers := func() int {
		var s report.Status
		b.must(&s, "status")
		return s.Network.Peers
	}
	b.await("to know that it is alone", func() bool { return peers() == 0 })
	alone := time.Since(began)
	began = time.Now()
	b.ip("addr", "add", address, "dev", device)
	b.ip(append([]string{"route", "replace"}, route...)...)
	b.await("to be connected again", func() bool { return peers() == 1 })
	back := time.Since(began)
	t.Logf("alone after %v, back after %v", alone, back)
	if alone > 15*time.Second || back > 15*time.Second {
		t.Errorf("alone after %v, back after %v", alone, back)
	}
	b.stop()
	a.stop()
}

// TestComesHome: a machine that comes to a network in which somebody has what it wants finds that neighbour by itself, in seconds.
func TestComesHome(t *testing.T) {
	l := needHosts(t)
	paths := small(t, "home")
	a := daemonOn(t, l.Host, 0, "publisher", "--wan=false", "--lan=true")
	var made report.New
	a.must(&made, "new", "acme-1")
	a.must(nil, "publish", "acme-1", paths[len(paths)-1].String())
	b := daemonOn(t, l.Host, 0, "traveller", "--wan=false", "--lan=true")
	b.must(nil, "use", made.Address)
	peers := func() int {
		var s report.Status
		b.must(&s, "status")
		return s.Network.Peers
	}
	if n := peers(); n != 0 {
		t.Fatalf("%d peers are found through a router", n)
	}
	a.ip("link", "add", "home", "type", "veth", "peer", "name", "home", "netns", strconv.Itoa(b.cmd.Process.Pid))
	a.ip("addr", "add", "192.168.77.1/24", "dev", "home")
	a.ip("link", "set", "home", "up")
	began := time.Now()
	b.ip("addr", "add", "192.168.77.2/24", "dev", "home")
	b.ip("link", "set", "home", "up")
	b.await("to find the neighbour", func() bool { return peers() == 1 })
	b.await("to have the catalog", func() bool {
		var s report.Status
		b.must(&s, "status")
		return s.Namespaces[0].Paths == len(paths)
	})
	found := time.Since(began)
	t.Logf("found after %v", found)
	if found > 20*time.Second {
		t.Errorf("found after %v", found)
	}
	b.stop()
	a.stop()
}
