package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/transfer/stream"
)

func taken(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

func TestHolderOf(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc here")
	}
	got, ok := holderOf("tcp", taken(t))
	if !ok || got.pid != os.Getpid() || !strings.HasPrefix(got.program, "flurry") {
		t.Errorf("%+v, %v", got, ok)
	}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, ok := holderOf("udp", c.LocalAddr().(*net.UDPAddr).Port); !ok || got.pid != os.Getpid() {
		t.Errorf("%+v, %v", got, ok)
	}
	if got, ok := holderOf("tcp", 1); ok {
		t.Errorf("port 1 is held by %+v", got)
	}
}

// TestListeners reads a table as the kernel writes it (proc_pid_net(5)).
func TestListeners(t *testing.T) {
	table := filepath.Join(t.TempDir(), "tcp")
	const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1DF5 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0000000000000000 100 0 0 10 0
   1: 00000000:1DF5 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1DF5 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 333 1 0000000000000000 100 0 0 10 0
   3: 0100007F:0DF5 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 444 1 0000000000000000 100 0 0 10 0
   4: short
`
	if err := os.WriteFile(table, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := listeners(table, 7669); !slices.Equal(got, []string{"111", "222"}) {
		t.Errorf("%q", got)
	}
	if got := listeners(filepath.Join(t.TempDir(), "missing"), 7669); got != nil {
		t.Errorf("%q", got)
	}
}

func TestListenGateway(t *testing.T) {
	var log bytes.Buffer
	i := &instance{log: slog.New(slog.NewTextHandler(&log, nil))}
	closeAll := func(open []net.Listener) {
		for _, l := range open {
			l.Close()
		}
	}
	// 192.0.2.1 is an address of nobody's (RFC 5737).
	open, err := i.listenGateway(t.Context(), []string{"127.0.0.1:0", "192.0.2.1:0"})
	if err != nil || len(open) != 1 || !strings.Contains(log.String(), "192.0.2.1:0") {
		t.Errorf("%v, %v: %s", open, err, &log)
	}
	closeAll(open)
	if open, err := i.listenGateway(t.Context(), []string{"192.0.2.1:0"}); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		closeAll(open)
		t.Errorf("%v", err)
	}
	if open, err := i.listenGateway(t.Context(), nil); err != nil || len(open) != 0 {
		t.Errorf("%v, %v", open, err)
	}
	// When one is taken, none stays open.
	port := taken(t)
	free := freePort("127.0.0.1")
	_, err = i.listenGateway(t.Context(), []string{fmt.Sprintf("127.0.0.1:%d", free), fmt.Sprintf("127.0.0.1:%d", port)})
	if problemID(err) != "port-in-use" {
		t.Errorf("%v", err)
	}
	if !portIsFree("127.0.0.1", free) {
		t.Error("the first one was not closed")
	}
}

func TestPeerPort(t *testing.T) {
	i := &instance{log: slog.New(slog.DiscardHandler)}
	i.cfg.Loopback = true
	if got := i.peerPort(); got != 0 || len(i.warnings) != 0 {
		t.Errorf("any port: %d, %v", got, i.warnings)
	}
	i.cfg.Port = freePort("127.0.0.1")
	if got := i.peerPort(); int(got) != i.cfg.Port || len(i.warnings) != 0 {
		t.Errorf("a free one: %d, %v", got, i.warnings)
	}
	i.cfg.Port = taken(t)
	got := i.peerPort()
	if got == 0 || int(got) == i.cfg.Port || len(i.warnings) != 1 || !portIsFree("127.0.0.1", int(got)) {
		t.Fatalf("a taken one: %d, %v", got, i.warnings)
	}
	if w := i.warnings[0]; w.ID != "port-in-use" || w.Exit != report.ExitOK || !strings.Contains(w.Message, fmt.Sprintf("using %d for this run", got)) {
		t.Errorf("%+v", w)
	}
	// UDP alone is enough to be taken.
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if portIsFree("127.0.0.1", c.LocalAddr().(*net.UDPAddr).Port) {
		t.Error("a port whose UDP side is taken passes for free")
	}
}

// TestPeerPortTakenMeanwhile: a port that was free a moment ago costs a warning, and not the network.
func TestPeerPortTakenMeanwhile(t *testing.T) {
	i := &instance{log: slog.New(slog.DiscardHandler)}
	h, err := i.newHost(stream.HostConfig{KeyFile: filepath.Join(t.TempDir(), "identity.key"), Port: uint16(taken(t)), Loopback: true, Gate: stream.NewDialGate(nil, true)})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

func TestListenControl(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a", "s")
	l, err := listenControl(t.Context(), name, false)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := listenControl(t.Context(), name, false); problemID(err) != "port-in-use" {
		t.Errorf("%v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	l, err = listenControl(t.Context(), name, true)
	if err != nil {
		t.Fatalf("a dead daemon's socket: %v", err)
	}
	defer l.Close()
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a user's own: %v, %v", info.Mode(), err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenControl(t.Context(), file, false); err == nil {
		t.Error("a file was taken for a socket")
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("%q, %v", text, err)
	}
	for n, want := range map[int]string{107: "", 108: "usage"} {
		long := filepath.Join(dir, strings.Repeat("x", n-len(dir)-1))
		l, err := listenControl(t.Context(), long, false)
		if problemID(err) != want || (err == nil) != (want == "") {
			t.Errorf("%d bytes: %v", n, err)
		}
		if err == nil {
			l.Close()
		}
	}
}
