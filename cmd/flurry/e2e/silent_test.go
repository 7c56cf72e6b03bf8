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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/nix"
)

// silentBound is how late a narinfo may be while a crowd says nothing. By design it is as late as ever, a millisecond: the bound is for a
// machine that does other things, too, and below what a question costs that waits for a place.
const silentBound = 2 * time.Second

// crowd keeps many connections open that never ask anything, and opens another for each that is closed. Every fourth dribbles: it begins
// a request, and goes on with a byte now and then.
type crowd struct {
	addr    string
	stop    chan struct{}
	running sync.WaitGroup
	open    atomic.Int64
	opened  atomic.Int64
}

func startCrowd(t *testing.T, gateway string, size int) *crowd {
	t.Helper()
	c := &crowd{addr: strings.TrimPrefix(gateway, "http://"), stop: make(chan struct{})}
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
	conn, err := net.DialTimeout("tcp", c.addr, time.Second)
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
	case <-time.After(10 * time.Millisecond):
		return true
	}
}

// TestSilentCrowd: a thousand connections that say nothing do not disturb Nix, neither while the node runs nor while the standby stands in
// for it: narinfos come as ever, NARs are whole.
func TestSilentCrowd(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 4096 {
		t.Skipf("this process may open %d files: too few for a crowd", limit.Cur)
	}
	path := build(t, "silent", pkg{name: "large", seed: 3, size: 8_000_000})[0]
	p := daemon(t, "daemon")
	there, absent := p.listing([]nix.StorePath{path})
	info := p.narinfo(path)
	c := startCrowd(t, p.gateway, 1000)
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
