package e2e

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// tap is a way to a gateway that passes all on as it is and remembers what was asked and what came, so that a test knows what Nix was really told.
type tap struct {
	addr string
	gate chan struct{} // not nil: requests for NARs wait until it is closed
	held chan struct{} // closed when the first of them waits

	once  sync.Once
	mu    sync.Mutex
	all   []*tapped
	conns []net.Conn
	runs  sync.WaitGroup
}

// tapped is what went over one connection.
type tapped struct {
	mu   sync.Mutex
	sent bytes.Buffer // by Nix
	came bytes.Buffer
	nar  bool // the last question was for one
	part int  // bytes that came since it
}

// reply is one question of Nix's, and what it was given.
type reply struct {
	method, path, ranged string
	status               int   // 0: nothing came
	size, got            int64 // of the body: as was said, and as came
}

// cut reports whether it broke off in the body.
func (x reply) cut() bool { return x.method == http.MethodGet && x.status/100 == 2 && x.got < x.size }

// newTap is a way to a gateway's URL. gated: NARs wait until its gate is closed.
func newTap(t *testing.T, gateway string, gated bool) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{addr: l.Addr().String(), held: make(chan struct{})}
	if gated {
		p.gate = make(chan struct{})
	}
	to := strings.TrimPrefix(gateway, "http://")
	p.runs.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.runs.Go(func() { p.carry(c, to) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.conns { // to a node that hangs as well
			c.Close()
		}
		p.mu.Unlock()
		p.runs.Wait()
	})
	return p
}

func (p *tap) url() string { return "http://" + p.addr }

func (p *tap) carry(c net.Conn, to string) {
	defer c.Close()
	far, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer far.Close()
	one := &tapped{}
	p.mu.Lock()
	p.all, p.conns = append(p.all, one), append(p.conns, c, far)
	p.mu.Unlock()
	var ways sync.WaitGroup
	ways.Go(func() {
		p.pass(far, c, one, &one.sent)
		far.(*net.TCPConn).CloseWrite()
	})
	p.pass(c, far, one, &one.came)
	c.Close() // as the gateway did, at once
	ways.Wait()
}

func (p *tap) pass(to, from net.Conn, one *tapped, into *bytes.Buffer) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		one.mu.Lock()
		into.Write(buf[:n])
		switch {
		case into == &one.came:
			one.part += n
		case n > 0:
			one.nar, one.part = bytes.HasPrefix(buf[:n], []byte("GET /nar/")), 0
		}
		one.mu.Unlock()
		if p.gate != nil && bytes.HasPrefix(buf[:n], []byte("GET /nar/")) {
			p.once.Do(func() { close(p.held) })
			<-p.gate
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// midNar waits until some of a large NAR has come, and reports whether that happened before done was closed.
func (p *tap) midNar(done <-chan struct{}) bool {
	for {
		select {
		case <-done:
			return false
		case <-time.After(2 * time.Millisecond):
		}
		p.mu.Lock()
		for _, c := range p.all {
			c.mu.Lock()
			middle := c.nar && c.part > 1_000_000 && c.part < 6_000_000
			c.mu.Unlock()
			if middle {
				p.mu.Unlock()
				return true
			}
		}
		p.mu.Unlock()
	}
}

// replies is all that Nix asked so far, connection by connection.
func (p *tap) replies() (all []reply) {
	p.mu.Lock()
	conns := slices.Clone(p.all)
	p.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		sent, came := bufio.NewReader(bytes.NewReader(bytes.Clone(c.sent.Bytes()))), bufio.NewReader(bytes.NewReader(bytes.Clone(c.came.Bytes())))
		c.mu.Unlock()
		for {
			q, err := http.ReadRequest(sent)
			if err != nil {
				break
			}
			x := reply{method: q.Method, path: q.URL.Path, ranged: q.Header.Get("Range")}
			if a, err := http.ReadResponse(came, q); err == nil {
				x.status, x.size = a.StatusCode, a.ContentLength
				x.got, _ = io.Copy(io.Discard, a.Body)
			}
			all = append(all, x)
		}
	}
	return all
}

// cuts are the answers that broke off, and denied reports whether Nix, which asked for the rest or anew, was told that it is not there.
func (p *tap) cuts() (cuts []reply, denied func(path string) bool) {
	all := p.replies()
	for _, x := range all {
		if x.cut() {
			cuts = append(cuts, x)
		}
	}
	return cuts, func(path string) bool {
		return slices.ContainsFunc(all, func(x reply) bool { return x.path == path && x.status == http.StatusNotFound })
	}
}

// given is how many answers of a status there were to questions for paths that begin so.
func (p *tap) given(prefix string, status int) (n int) {
	for _, x := range p.replies() {
		if strings.HasPrefix(x.path, prefix) && x.status == status {
			n++
		}
	}
	return n
}

// allWent: Nix was given all that it asked for, to its end.
func allWent(t *testing.T, p *tap) {
	t.Helper()
	cuts, _ := p.cuts()
	if nars := p.given("/nar/", http.StatusOK); nars == 0 || p.given("/nar/", http.StatusNotFound) > 0 || len(cuts) > 0 {
		t.Errorf("%d NARs were given, %d are not there, and %+v broke off", nars, p.given("/nar/", http.StatusNotFound), cuts)
	}
}

// nothingThere: Nix asked for paths, and was told that none is there.
func nothingThere(t *testing.T, p *tap) {
	t.Helper()
	if denied := p.given("/", http.StatusNotFound); denied == 0 || p.given("/nar/", http.StatusOK) > 0 || p.given("/nix-cache-info", http.StatusOK) == 0 {
		t.Errorf("%d paths are not there: %+v", denied, p.replies())
	}
}

// noneGiven: Nix was told of paths, and given none of their NARs to its end.
func noneGiven(t *testing.T, p *tap) {
	t.Helper()
	told, asked := 0, 0
	for _, x := range p.replies() {
		nar := strings.HasPrefix(x.path, "/nar/")
		switch {
		case nar && x.status/100 == 2 && !x.cut():
			t.Errorf("a NAR was given: %+v", x)
		case nar:
			asked++
		case x.status == http.StatusOK:
			told++
		}
	}
	if told < 2 || asked == 0 { // nix-cache-info is one
		t.Errorf("Nix was told of %d paths, and asked for %d NARs", told, asked)
	}
}

// cutOff: a NAR broke off, and Nix, when it asked for the rest or for it anew, was told that it is not there.
func cutOff(t *testing.T, p *tap) {
	t.Helper()
	cuts, denied := p.cuts()
	if !slices.ContainsFunc(cuts, func(x reply) bool { return strings.HasPrefix(x.path, "/nar/") && denied(x.path) }) {
		t.Errorf("no NAR broke off and was not there then: %+v", p.replies())
	}
}

// brokeOff: a NAR broke off; what came of it then is not said.
func brokeOff(t *testing.T, p *tap) {
	t.Helper()
	if cuts, _ := p.cuts(); len(cuts) == 0 {
		t.Errorf("no NAR broke off: %+v", p.replies())
	}
}

// anything may have gone wrong.
func anything(*testing.T, *tap) {}
