package e2e

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// silentBound is how late a narinfo may be while a crowd says nothing. By design it is as late as ever, a millisecond: the bound is for a
// machine that does other things, too, and below what a question costs that waits for a place.
const silentBound = 2 * time.Second

// crowd keeps many connections open that never ask anything, and opens another for each that is closed. Every fourth dribbles: it begins
// a request, and goes on with a byte now and then.
type crowd struct {
	network string
	addr    string
	pause   time.Duration // before another is opened
	stop    chan struct{}
	running sync.WaitGroup
	open    atomic.Int64
	opened  atomic.Int64
}

func startCrowd(t *testing.T, c *crowd, size int) *crowd {
	t.Helper()
	c.stop = make(chan struct{})
	for n := range size {
		c.running.Go(func() {
			for c.stay(n%4 == 0) {
			}
		})
	}
	t.Cleanup(c.end)
	return c
}

func (c *crowd) end() {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.running.Wait()
}

// stay holds a connection until it is closed, and reports whether another is to follow.
func (c *crowd) stay(dribbles bool) bool {
	conn, err := net.DialTimeout(c.network, c.addr, time.Second)
	if err == nil {
		c.open.Add(1)
		c.opened.Add(1)
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = io.Copy(io.Discard, conn)
		}()
		if dribbles {
			_, _ = io.WriteString(conn, "GET /nix-cache-info HTTP/1.1\r\n")
		}
		for waiting := true; waiting; {
			select {
			case <-gone:
				waiting = false
			case <-c.stop:
				waiting = false
			case <-time.After(time.Second):
				if dribbles {
					_, _ = io.WriteString(conn, "x")
				}
			}
		}
		conn.Close()
		<-gone
		c.open.Add(-1)
	}
	select {
	case <-c.stop:
		return false
	case <-time.After(c.pause):
		return true
	}
}

// roomForCrowd skips a test where a process may not have as many files.
func roomForCrowd(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 4096 {
		t.Skipf("this process may open %d files: too few for a crowd", limit.Cur)
	}
}

// TestSilentCrowd: a thousand connections that say nothing do not disturb Nix, neither while the node runs nor while the standby stands in
// for it: narinfos come as ever, NARs are whole.
func TestSilentCrowd(t *testing.T) {
	roomForCrowd(t)
	path := build(t, "silent", pkg{name: "large", seed: 3, size: 8_000_000})[0]
	p := daemon(t, "daemon")
	there, absent := p.listing([]nix.StorePath{path})
	info := p.narinfo(path)
	c := startCrowd(t, &crowd{network: "tcp", addr: strings.TrimPrefix(p.gateway, "http://"), pause: 10 * time.Millisecond}, 1000)
	p.await("to have a crowd", func() bool { return c.open.Load() > 900 })
	var took []time.Duration
	for range 300 {
		for _, ask := range []struct {
			path   string
			status int
		}{{there, http.StatusOK}, {absent, http.StatusNotFound}} {
			began := time.Now()
			status, err := askOnce(c.addr, ask.path)
			took = append(took, time.Since(began))
			if err != nil || status != ask.status {
				t.Fatalf("%s with %d silent connections: %d, %v", ask.path, c.open.Load(), status, err)
			}
		}
	}
	slices.Sort(took)
	t.Logf("%d silent connections, %d opened in all; narinfos: median %v, worst %v", c.open.Load(), c.opened.Load(), took[len(took)/2], took[len(took)-1])
	if worst := took[len(took)-1]; worst > silentBound {
		t.Errorf("a narinfo took %v", worst)
	}
	for range 5 {
		if err := wholeNar(c.addr, info); err != nil {
			t.Error(err)
		}
	}

	pid := p.signal(syscall.SIGSTOP)
	p.await("to answer for the node", func() bool { status, err := askOnce(c.addr, there); return err == nil && status == http.StatusNotFound })
	began := time.Now()
	for range 20 {
		if status, err := askOnce(c.addr, there); err != nil || status != http.StatusNotFound && status != http.StatusOK {
			t.Errorf("the standby, with %d silent connections: %d, %v", c.open.Load(), status, err)
		}
	}
	if took := time.Since(began); took > 20*silentBound {
		t.Errorf("20 answers of the standby took %v", took)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil && !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	p.await("to give the path again", func() bool { status, err := askOnce(c.addr, there); return err == nil && status == http.StatusOK })
	if err := wholeNar(c.addr, info); err != nil {
		t.Error(err)
	}
	c.end()
	p.stop()
}

// TestSilentCrowdElsewhere: as many at the control socket, or at the port for peers, keep neither Nix nor whoever asks for the status
// waiting, and a peer that is connected gets what it asks for. (New ones wait: libp2p counts who has not said who it is, and lets in some
// dozens, each for 15 s at most.)
func TestSilentCrowdElsewhere(t *testing.T) {
	roomForCrowd(t)
	paths := small(t, "silent-elsewhere")
	port := peerPort(t)
	p := daemon(t, "daemon", "--port", port)
	var made report.New
	p.must(&made, "new", "acme-1")
	p.must(nil, "use", "acme-1")
	p.must(nil, "publish", "acme-1", paths[len(paths)-1].String())
	user := daemon(t, "user", "--port", peerPort(t), "--peer", "127.0.0.1:"+port)
	user.must(nil, "use", made.Address)
	user.await("to list the paths", func() bool {
		var s report.Status
		user.must(&s, "status")
		return s.Namespaces[0].Paths == len(paths)
	})
	gateway := strings.TrimPrefix(p.gateway, "http://")
	for name, c := range map[string]struct {
		*crowd
		path nix.StorePath // which the user has not asked for yet
	}{
		"control socket": {&crowd{network: "unix", addr: filepath.Join(p.state, "control.sock"), pause: time.Second}, paths[0]},
		"port for peers": {&crowd{network: "tcp", addr: "127.0.0.1:" + port, pause: time.Second}, paths[1]},
	} {
		t.Run(name, func(t *testing.T) {
			startCrowd(t, c.crowd, 1000)
			p.await("to have a crowd", func() bool { return c.opened.Load() >= 1000 })
			var slowest time.Duration
			for i := range 20 {
				for _, path := range paths {
					began := time.Now()
					if status, err := askOnce(gateway, "/"+path.Hash().String()+".narinfo"); err != nil || status != http.StatusOK {
						t.Fatalf("a narinfo: %d, %v", status, err)
					}
					slowest = max(slowest, time.Since(began))
				}
				if i%4 == 0 {
					if err := p.ask(nil, "status"); err != nil {
						t.Errorf("%d connections after the first: %v", c.opened.Load(), err)
					}
				}
			}
			t.Logf("%d silent connections, %d opened in all; the slowest narinfo took %v", c.open.Load(), c.opened.Load(), slowest)
			if slowest > silentBound {
				t.Errorf("a narinfo took %v", slowest)
			}
			if err := wholeNar(strings.TrimPrefix(user.gateway, "http://"), user.narinfo(c.path)); err != nil {
				t.Errorf("what a peer has from here: %v", err)
			}
			c.end()
		})
	}
	user.stop()
	p.stop()
}

// askOnce asks one question over a connection of its own.
func askOnce(addr, path string) (status int, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	status, _, err = exchange(conn, bufio.NewReader(conn), path)
	return status, err
}

// wholeNar reads a NAR and compares it with what its narinfo says.
func wholeNar(addr string, info *nix.NarInfo) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", info.URL); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, resp.Body)
	if err != nil || uint64(n) != info.NarSize || [32]byte(sum.Sum(nil)) != [32]byte(info.NarHash) {
		return fmt.Errorf("a NAR of %d bytes: %s, %d bytes, %w", info.NarSize, resp.Status, n, err)
	}
	return nil
}
