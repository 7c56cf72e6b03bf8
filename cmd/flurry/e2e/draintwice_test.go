package e2e

import (
	"io"
	"net/http"
	"syscall"
	"testing"

	"github.com/flurry-nix/flurry/nix"
)

// TestDrainTwice: a NAR under way is given to its end also when somebody is impatient and has the daemon read its configuration again and
// again, and then has it stop: as a service manager does that was told to reload it and then to restart it.
func TestDrainTwice(t *testing.T) {
	path := build(t, "drain-twice", pkg{name: "large", seed: 1, size: 30_000_000})[0]
	p := daemon(t, "daemon")
	there, _ := p.listing([]nix.StorePath{path})
	info := p.narinfo(path)
	c, resp := p.open(info.URL, "")
	defer c.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
		t.Fatal(err)
	}
	a := startAsker(t, p.gateway, there)
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGHUP, syscall.SIGTERM} {
		before := a.count(there, http.StatusNotFound)
		if err := p.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		p.await("to let the standby answer", func() bool { return a.count(there, http.StatusNotFound) > before+10 })
	}
	a.end(t) // what comes when there is nobody any more is refused
	n, err := io.Copy(io.Discard, resp.Body)
	if uint64(n) != info.NarSize-1<<20 || err != nil {
		t.Errorf("the rest of the NAR: %d of %d bytes, %v", n, info.NarSize-1<<20, err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, p.stderr)
	}
}
