package daemon

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/nix"
)

func TestPathInfo(t *testing.T) {
	sig := nix.Signature{Name: "acme-1", Sig: [64]byte{1}}
	for _, minor := range []int{21, 26, 34, 35, 38, 39} {
		d := startFake(t, func(c *fakeConn) {
			if client := c.greet(minor); client != uint64(major|min(minor, 35)) {
				t.Errorf("to 1.%d the client answers %#x", minor, client)
			}
			c.question()
			c.send(
				stderrNext, "a log line",
				stderrStartActivity, 1, 3, 105, "an activity", 2, 0, 7, 1, "text", 0,
				stderrResult, 1, 105, 1, 1, "a result",
				stderrStopActivity, 1,
				stderrLast, 1,
				"/nix/store/"+hashC+"-hello.drv", hex64,
				[]string{"/nix/store/" + hashB + "-b", "/nix/store/" + hashA + "-a", "/nix/store/" + hashB + "-b"},
				1_700_000_000, 226488, 1,
				[]string{sig.String(), "garbage", sig.String()}, "fixed:r:sha256:x")
			c.wait()
		})
		p := storePath(t, hashA+"-a")
		got, err := d.open().PathInfo(t.Context(), p)
		if err != nil {
			t.Fatalf("1.%d: %v", minor, err)
		}
		hash, _ := nix.ParseNarHash("sha256:" + hex64)
		want := PathInfo{
			Path: p, NarHash: hash, NarSize: 226488, References: []nix.StorePath{p, storePath(t, hashB+"-b")},
			Deriver: hashC + "-hello.drv", Sigs: []nix.Signature{sig}, Ultimate: true, CA: "fixed:r:sha256:x",
			RegTime: time.Unix(1_700_000_000, 0),
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("1.%d: got %+v\nwant %+v", minor, got, want)
		}
		if q := <-d.seen; q != (question{opQueryPathInfo, p.String()}) {
			t.Errorf("asked %+v", q)
		}
	}
}

func TestPathFromHashAndTempRoot(t *testing.T) {
	d := startFake(t, fakeStore{hashA + "-a": nil}.play)
	s := d.open()
	p := storePath(t, hashA+"-a")
	if got, err := s.PathFromHash(t.Context(), p.Hash()); err != nil || got != p {
		t.Errorf("PathFromHash = %v, %v", got, err)
	}
	if _, err := s.PathFromHash(t.Context(), storePath(t, hashB+"-b").Hash()); !errors.Is(err, ErrNotValid) {
		t.Errorf("of an unknown hash: %v", err)
	}
	if err := s.AddTempRoot(t.Context(), p); err != nil {
		t.Error(err)
	}
	for _, want := range []question{{opQueryPathFromHashPart, hashA}, {opQueryPathFromHashPart, hashB}, {opAddTempRoot, p.String()}} {
		if got := <-d.seen; got != want {
			t.Errorf("asked %+v, want %+v", got, want)
		}
	}
}

func TestPathFromHashOfAnotherPath(t *testing.T) {
	lie := func(c *fakeConn) {
		c.greet(35)
		c.question()
		c.send(stderrLast, "/nix/store/"+hashB+"-b")
		c.wait()
	}
	s := startFake(t, lie, lie).open()
	if p, err := s.PathFromHash(t.Context(), storePath(t, hashA+"-a").Hash()); err == nil || errors.Is(err, ErrNotValid) {
		t.Errorf("accepted %v, %v", p, err)
	}
}

func TestNotValid(t *testing.T) {
	s := startFake(t, fakeStore{hashA + "-a": nil}.play).open()
	_, err := s.PathInfo(t.Context(), storePath(t, hashB+"-b"))
	var e *NotValidError
	if !errors.Is(err, ErrNotValid) || !errors.As(err, &e) || len(e.Paths) != 1 || e.Paths[0].Name() != "b" {
		t.Errorf("got %v", err)
	}
	if _, err := s.PathInfo(t.Context(), storePath(t, hashA+"-a")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A daemon's error answers one question; the connection goes on.
func TestRemoteError(t *testing.T) {
	for _, minor := range []int{25, 35} {
		d := startFake(t, func(c *fakeConn) {
			c.greet(minor)
			for range 2 {
				c.question()
				if minor >= 26 {
					c.send(stderrError, "Error", 0, "Error", "\x1b[31;1merror:\x1b[0m disk is \x1b[35;1mfull\x1b[0m", 0, 2, 0, "while a", 0, "while b")
				} else {
					c.send(stderrError, "error: disk is full", 1)
				}
			}
			c.question()
			c.send(stderrLast, "")
			c.wait()
		})
		s := d.open()
		var e *RemoteError
		if _, err := s.PathInfo(t.Context(), storePath(t, hashA+"-a")); !errors.As(err, &e) || e.Message != "error: disk is full" {
			t.Errorf("1.%d: %v", minor, err)
		}
		if err := s.AddTempRoot(t.Context(), storePath(t, hashA+"-a")); !errors.As(err, &e) {
			t.Errorf("1.%d: %v", minor, err)
		}
		if _, err := s.PathFromHash(t.Context(), storePath(t, hashA+"-a").Hash()); !errors.Is(err, ErrNotValid) {
			t.Errorf("1.%d, after the errors: %v", minor, err)
		}
	}
}

// An error in the middle of a batch is the answer to one question of it; those
// after it are still read.
func TestRemoteErrorWithinABatch(t *testing.T) {
	graph := fakeStore{hashA + "-a": {hashB + "-b", hashC + "-c"}, hashB + "-b": nil, hashC + "-c": nil}
	d := startFake(t, func(c *fakeConn) {
		c.greet(35)
		for {
			q, ok := c.question()
			if !ok {
				return
			}
			if strings.HasSuffix(q.arg, "-b") {
				c.send(stderrError, "Error", 0, "Error", "error: no", 0, 0)
				continue
			}
			graph.answer(c, q)
		}
	})
	s := d.open()
	var e *RemoteError
	if _, err := s.Closure(t.Context(), []nix.StorePath{storePath(t, hashA+"-a")}); !errors.As(err, &e) {
		t.Errorf("closure: %v", err)
	}
	// Were c's answer still unread, it would be taken for a's.
	if info, err := s.PathInfo(t.Context(), storePath(t, hashA+"-a")); err != nil || len(info.References) != 2 {
		t.Errorf("afterwards: %+v, %v", info, err)
	}
}

// A daemon that refuses a new connection is greeted anew for the next question,
// not asked on the connection that it refused.
func TestRefusedReconnection(t *testing.T) {
	graph := fakeStore{hashA + "-a": nil}
	refuse := func(c *fakeConn) {
		c.in.uint()
		c.send(serverMagic, major|35, "2.99", 2, stderrError, "Error", 0, "Error", "error: too many users", 0, 0)
		c.wait()
	}
	s := startFake(t, func(c *fakeConn) { c.greet(35) }, refuse, graph.play).open()
	p := storePath(t, hashA+"-a")
	var e *RemoteError
	if _, err := s.PathInfo(t.Context(), p); !errors.As(err, &e) {
		t.Errorf("refused: %v", err)
	}
	if _, err := s.PathInfo(t.Context(), p); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestSignaturesBeyondTheLimitAreDropped(t *testing.T) {
	var sigs []string
	for i := range nix.MaxSigs + 1 {
		sigs = append(sigs, nix.Signature{Name: "k", Sig: [64]byte{byte(i)}}.String())
	}
	d := startFake(t, func(c *fakeConn) {
		c.greet(35)
		c.question()
		c.send(stderrLast, 1, "/nix/store/"+hashB+"-no-derivation", hex64, []string{}, 1, 112, 0, sigs, "")
		c.wait()
	})
	info, err := d.open().PathInfo(t.Context(), storePath(t, hashA+"-a"))
	if err != nil || len(info.Sigs) != nix.MaxSigs || info.Sigs[nix.MaxSigs-1].String() != sigs[nix.MaxSigs-1] {
		t.Errorf("%d signatures, %v", len(info.Sigs), err)
	}
	if info.Deriver != "" {
		t.Errorf("deriver %q", info.Deriver)
	}
}

func TestLogUpToTheLimitIsSkipped(t *testing.T) {
	line := strings.Repeat("x", maxMessage)
	for lines, good := range map[int]bool{maxLog/maxMessage - 1: true, maxLog / maxMessage: false} {
		play := func(c *fakeConn) {
			c.greet(35)
			c.question()
			for range lines {
				c.send(stderrNext, line)
			}
			fakeStore{hashA + "-a": nil}.answer(c, question{opQueryPathInfo, "/nix/store/" + hashA + "-a"})
			c.wait()
		}
		_, err := startFake(t, play, play).open().PathInfo(t.Context(), storePath(t, hashA+"-a"))
		if (err == nil) != good {
			t.Errorf("%d lines of 1 MiB: %v", lines, err)
		}
	}
}

// What a broken daemon may send. Each script is played twice, since a failure
// on an old connection is tried again.
func TestBrokenDaemons(t *testing.T) {
	after := func(values ...any) script {
		return func(c *fakeConn) {
			c.greet(35)
			c.question()
			c.send(values...)
			c.wait()
		}
	}
	info := func(deriver, hash string, refs []string) script {
		return after(stderrLast, 1, deriver, hash, refs, 1, 112, 0, []string{}, "")
	}
	manyRefs := make([]string, nix.MaxReferences+1)
	for name, tt := range map[string]struct {
		script script
		says   string
	}{
		"hangs up":                    {func(c *fakeConn) { c.greet(35); c.question() }, "EOF"},
		"hangs up in the answer":      {func(c *fakeConn) { c.greet(35); c.question(); c.send(stderrLast, 1, raw("\x08\x00")) }, "unexpected EOF"},
		"hangs up after the flag":     {func(c *fakeConn) { c.greet(35); c.question(); c.send(stderrLast, 1) }, "unexpected EOF"},
		"hangs up in the log":         {func(c *fakeConn) { c.greet(35); c.question(); c.send(stderrNext, 100) }, "unexpected EOF"},
		"hangs up in the error":       {func(c *fakeConn) { c.greet(35); c.question(); c.send(stderrError, "Error") }, "unexpected EOF"},
		"unknown message":             {after(0x12345678), "unknown kind 0x12345678"},
		"asks for data":               {after(0x64617461, 100), "unknown kind"},
		"oversized string":            {after(stderrLast, 1, uint64(maxString+1)), "a string of 65537, at most 65536"},
		"string of 2^64-1 bytes":      {after(stderrLast, 1, ^uint64(0)), "a string of 18446744073709551615"},
		"padding":                     {after(stderrLast, 1, raw("\x01\x00\x00\x00\x00\x00\x00\x00aXXXXXXX")), "padding"},
		"too many references":         {info("", hex64, manyRefs), "a list of 65537, at most 65536"},
		"too many signatures":         {after(stderrLast, 1, "", hex64, []string{}, 1, 112, 0, make([]string, maxSignatures+1), ""), "a list of 1025"},
		"reference that is no path":   {info("", hex64, []string{"/etc/passwd"}), "a reference of"},
		"reference below a path":      {info("", hex64, []string{"/nix/store/" + hashB + "-b/bin"}), "a reference of"},
		"hash that is none":           {info("", "xyz", nil), "is not a SHA-256"},
		"empty hash":                  {info("", "", nil), "is not a SHA-256"},
		"hash of another algorithm":   {info("", "sha1:"+hex64[:40], nil), "is not a SHA-256"},
		"oversized log line":          {after(stderrNext, uint64(maxMessage+1)), "a log line of 1048577"},
		"oversized error":             {after(stderrError, uint64(maxMessage+1)), "a string of 1048577"},
		"error with endless traces":   {after(stderrError, "Error", 0, "Error", "m", 0, maxTraces+1), "traces of 10001"},
		"activity of endless fields":  {after(stderrStartActivity, 1, 1, 1, "", maxFields+1), "a list of fields of 1001"},
		"field of an unknown type":    {after(stderrResult, 1, 1, 1, 2), "a field's type of 2"},
		"result of an oversized text": {after(stderrResult, 1, 1, 1, 1, uint64(maxMessage+1)), "a log line of"},
		"endless log lines":           {endless(stderrNext, strings.Repeat("log ", 1000)), "more than 4194304 bytes of log"},
		"endless empty log lines":     {endless(stderrNext, ""), "more than 4194304 bytes of log"},
		"endless activities":          {endless(stderrStartActivity, 1, 1, 1, "text", 1, 1, "field", 0), "more than 4194304 bytes of log"},
		"endless ends of activities":  {endless(stderrStopActivity, 1), "more than 4194304 bytes of log"},
		"endless results":             {endless(stderrResult, 1, 1, 1, 0, 5), "more than 4194304 bytes of log"},
	} {
		t.Run(name, func(t *testing.T) {
			d := startFake(t, tt.script, tt.script)
			_, err := d.open().PathInfo(t.Context(), storePath(t, hashA+"-a"))
			if err == nil || !strings.Contains(err.Error(), tt.says) || errors.Is(err, ErrNotValid) {
				t.Errorf("got %v", err)
			}
			if first, second := <-d.seen, <-d.seen; first != second {
				t.Errorf("asked %+v, then %+v", first, second)
			}
		})
	}
}

// endless sends one message again and again until the other side has had
// enough.
func endless(values ...any) script {
	return func(c *fakeConn) {
		c.greet(35)
		c.question()
		many := make([]any, 0, 100*len(values))
		for range 100 {
			many = append(many, values...)
		}
		text := spell(many...)
		for {
			if _, err := c.Write(text); err != nil {
				return
			}
		}
	}
}

func TestBrokenHandshakes(t *testing.T) {
	greeting := func(values ...any) script {
		return func(c *fakeConn) {
			c.in.uint()
			c.send(values...)
			c.wait()
		}
	}
	for name, tt := range map[string]struct {
		script script
		says   string
	}{
		"hangs up":          {func(*fakeConn) {}, "greet the Nix daemon"},
		"another protocol":  {greeting(raw("HTTP/1.1 400 Bad Request")), "not a Nix daemon"},
		"too old":           {greeting(serverMagic, major|20), "protocol 1.20"},
		"of version 0":      {greeting(serverMagic, 35), "protocol 0.35"},
		"of version 2":      {greeting(serverMagic, 2<<8|1), "protocol 2.1"},
		"enormous version":  {greeting(serverMagic, ^uint64(0)), "protocol"},
		"oversized name":    {greeting(serverMagic, major|35, uint64(maxString+1)), "a string of"},
		"refuses":           {greeting(serverMagic, major|35, "2.99", 2, stderrError, "Error", 0, "Error", "error: you may not", 0, 0), "you may not"},
		"ends after a flag": {func(c *fakeConn) { c.in.uint(); c.send(serverMagic, major|35, "2.99") }, "greet the Nix daemon"},
	} {
		d := startFake(t, tt.script)
		s, err := Open(t.Context(), Options{Remote: "unix://" + d.socket})
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
		if s != nil {
			t.Errorf("%s: a store comes with the error", name)
		}
	}
}

// A daemon that hangs is cut off when the caller has waited enough, and the
// next question goes to a new connection.
func TestHungDaemonIsCutByTheContext(t *testing.T) {
	hang := func(c *fakeConn) { c.greet(35); c.question(); c.wait() }
	d := startFake(t, hang, fakeStore{hashA + "-a": nil}.play)
	s := d.open()
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("waited enough")
	go func() {
		<-d.seen
		cancel(enough)
	}()
	if _, err := s.PathInfo(ctx, storePath(t, hashA+"-a")); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	if _, err := s.PathInfo(t.Context(), storePath(t, hashA+"-a")); err != nil {
		t.Errorf("the next question: %v", err)
	}
}

func TestHungHandshakeIsCutByTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d := startFake(t, func(c *fakeConn) {
		c.in.uint()
		cancel()
		c.wait()
	})
	if _, err := Open(ctx, Options{Remote: "unix://" + d.socket}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Whoever waits for the turn does not wait for the daemon.
func TestWaitingForTheTurnEndsWithTheContext(t *testing.T) {
	d := startFake(t, func(c *fakeConn) { c.greet(35); c.question(); c.wait() })
	s := d.open()
	first := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := s.PathInfo(ctx, storePath(t, hashA+"-a"))
		first <- err
	}()
	<-d.seen // the first question has the turn
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := s.PathInfo(ended, storePath(t, hashB+"-b")); !errors.Is(err, context.Canceled) {
		t.Errorf("the second question: %v", err)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first question: %v", err)
	}
}

func TestCloseCutsAQuestionShort(t *testing.T) {
	d := startFake(t, func(c *fakeConn) { c.greet(35); c.question(); c.wait() })
	s := d.open()
	first := make(chan error)
	go func() {
		_, err := s.PathInfo(t.Context(), storePath(t, hashA+"-a"))
		first <- err
	}()
	<-d.seen
	s.Close()
	if err := <-first; !errors.Is(err, errClosed) {
		t.Errorf("the question under way: %v", err)
	}
	if _, err := s.PathInfo(t.Context(), storePath(t, hashA+"-a")); !errors.Is(err, errClosed) {
		t.Errorf("a question after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

// The daemon was restarted between two questions: nobody notices, and the
// temporary roots that it had granted are there again.
func TestRestartedDaemon(t *testing.T) {
	graph := fakeStore{hashA + "-a": nil}
	first := func(c *fakeConn) {
		c.greet(35)
		q, _ := c.question()
		graph.answer(c, q)
		c.question()
		c.send(stderrError, "Error", 0, "Error", "error: no", 0, 0)
	}
	d := startFake(t, first, graph.play)
	s := d.open()
	p := storePath(t, hashA+"-a")
	if err := s.AddTempRoot(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if err := s.AddTempRoot(t.Context(), storePath(t, hashB+"-refused")); err == nil {
		t.Fatal("the refused root was granted")
	}
	if _, err := s.PathInfo(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		<-d.seen // what the first connection was asked
	}
	for _, want := range []question{{opAddTempRoot, p.String()}, {opQueryPathInfo, p.String()}} {
		if got := <-d.seen; got != want {
			t.Errorf("asked %+v, want %+v", got, want)
		}
	}
}

func TestOpenWithoutADaemon(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale")
	listener, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	listener.Close()

	var down *DownError
	for _, o := range []Options{
		{Socket: stale},
		{Remote: "unix://" + stale},
		{Remote: "unix://" + dir + "/none"},
		{Remote: "daemon", Socket: dir + "/none"},
		{Remote: "daemon", StateDir: dir},
	} {
		if _, err := Open(t.Context(), o); !errors.As(err, &down) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	want := "the Nix daemon does not answer at " + stale + ": connection refused"
	if _, err := Open(t.Context(), Options{Socket: stale}); !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %q, want %q", err, want)
	}
	for _, o := range []Options{
		{Socket: dir + "/none", Command: []string{dir + "/no-nix-daemon", "--stdio"}},
		{StateDir: dir, Command: []string{"flurry-test-no-such-program"}},
	} {
		if _, err := Open(t.Context(), o); !errors.Is(err, ErrNoNix) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for _, remote := range []string{"ssh://host", "https://cache.nixos.org", "local?root=%zz", "/some/dir"} {
		if _, err := Open(t.Context(), Options{Remote: remote}); err == nil || errors.Is(err, ErrNoNix) {
			t.Errorf("NIX_REMOTE=%s: %v", remote, err)
		}
	}
}

func TestRealDir(t *testing.T) {
	for want, o := range map[string]Options{
		"/nix/store":         {},
		"/r/nix/store":       {Remote: "local?root=/r"},
		"/s":                 {Remote: "local?root=/r&real=/s"},
		"/explicit":          {Remote: "local?root=/r", RealDir: "/explicit"},
		"/r space/nix/store": {Remote: "local?root=/r%20space"},
	} {
		if got := o.realDir(); got != want {
			t.Errorf("%+v: %s, want %s", o, got, want)
		}
	}
}

// A program of our own that is no daemon: what it says comes with the error.
func TestProcessThatFails(t *testing.T) {
	for name, tt := range map[string]struct{ script, says string }{
		"fails":         {"echo 'error: the store is locked' >&2; exit 1", "the store is locked"},
		"says too much": {"i=0; while [ $i -lt 2000 ]; do echo noise >&2; i=$((i+1)); done; echo the reason >&2; exit 1", "the reason"},
		"ends at once":  {"exit 0", "greet the Nix daemon"},
		"is no daemon":  {"echo hello, world, this is a shell; cat > /dev/null", "not a Nix daemon"},
	} {
		_, err := Open(t.Context(), Options{Remote: "local", Command: []string{"/bin/sh", "-c", tt.script}})
		if err == nil || !strings.Contains(err.Error(), tt.says) || len(err.Error()) > maxStderr+500 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A child of the program may hold its standard error open for as long as it
// likes: this one until the test lets it go.
func TestProcessThatLeavesAChild(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Options{Remote: "local", Command: []string{"/bin/sh", "-c", "cat " + pipe + " >/dev/null & echo 'error: gone' >&2; exit 1"}})
	if err == nil || !strings.Contains(err.Error(), "error: gone") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(pipe, nil, 0); err != nil {
		t.Error(err)
	}
}

func TestProcessThatHangsIsKilled(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "started")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		os.ReadFile(pipe) // until the program has opened and closed it
		cancel()
	}()
	_, err := Open(ctx, Options{Remote: "local", Command: []string{"/bin/sh", "-c", "trap '' TERM; : > " + pipe + "; exec sleep 1000"}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestNar(t *testing.T) {
	dir := t.TempDir()
	p := storePath(t, hashA+"-a")
	if err := os.WriteFile(filepath.Join(dir, p.Base()), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := startFake(t, fakeStore{}.play)
	s, err := Open(t.Context(), Options{Remote: "unix://" + d.socket, RealDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var got, want bytes.Buffer
	if err := s.Nar(t.Context(), p, &got); err != nil {
		t.Fatal(err)
	}
	if err := (&nix.NarNode{Type: 'f', Data: []byte("hello")}).WriteNar(&want); err != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("NAR %q", got.Bytes())
	}
	if err := s.Nar(t.Context(), storePath(t, hashB+"-b"), &got); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a path that is gone: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Nar(ctx, p, &got); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context ended: %v", err)
	}
}
