package e2e

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStartHangs: a node that does not come to its feet, since its disk does not answer, keeps nobody waiting: Nix is answered, the service
// manager is told that the service is there, people are told how things are. When the disk answers it runs, and when that is stopped in the
// middle of a start it ends.
func TestStartHangs(t *testing.T) {
	needRoot(t, "only root can have the kernel ask before files are read")
	paths := small(t, "start-hangs")
	p := daemon(t, "daemon", "--gateway", "127.0.0.1:"+peerPort(t))
	there, absent := p.listing(paths)
	p.stop()
	m := newManager(t)
	disk := newDisk(t, p.state)
	p.gateway = "http://" + p.args[1]
	begin := func() {
		t.Helper()
		disk.hangs()
		p.begin("NOTIFY_SOCKET=" + m.at)
		p.await("to open its sockets", func() bool {
			status, err := askOnce(p.args[1], "/nix-cache-info")
			return err == nil && status == http.StatusOK
		})
	}
	begin()
	a := startAsker(t, p.gateway, there, absent)
	p.down("the node is starting") // after a while: it may only just have begun
	p.await("to tell the service manager", func() bool { return m.heard("READY=1") && m.heard("STATUS=the node is starting") })
	if status, text := p.health(); status != http.StatusServiceUnavailable || !strings.Contains(text, "the node is starting") {
		t.Errorf("/health: %d %s", status, text)
	}
	if a.count(there, http.StatusOK) > 0 || a.count(there, http.StatusNotFound) == 0 || a.count("/nix-cache-info", http.StatusOK) == 0 {
		t.Error("the standby did not answer")
	}
	disk.goesOn()
	p.await("to give the path", func() bool { return a.count(there, http.StatusOK) > 0 })
	a.end(t)
	p.stop()

	begin()
	began := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, p.stderr)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("a node that starts was waited for %v", took)
	}
}
