package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/report"
)

// gatewaySocket is a socket that Nix asks at, and the address that was asked for.
type gatewaySocket struct {
	net.Listener
	at string
}

// listenGateway opens the sockets that Nix asks at.
func (i *instance) listenGateway(ctx context.Context, addrs []string) (all []net.Listener, err error) {
	open, err := openGateway(ctx, addrs, i.log)
	for _, l := range open {
		all = append(all, l)
	}
	return all, err
}

// openGateway opens the sockets that Nix asks at. An address that this machine does not have, such as ::1 without IPv6, is
// passed over if there is another.
func openGateway(ctx context.Context, addrs []string, log *slog.Logger) ([]gatewaySocket, error) {
	var lc net.ListenConfig
	var open []gatewaySocket
	var absent error
	for _, at := range addrs {
		l, err := lc.Listen(ctx, "tcp", at)
		switch {
		case err == nil:
			open = append(open, gatewaySocket{l, at})
		case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
			log.Info("no gateway at an address that this machine does not have", "address", at)
			absent = err
		default:
			for _, l := range open {
				l.Close()
			}
			return nil, portProblem(at, err)
		}
	}
	if len(open) == 0 && absent != nil {
		return nil, fmt.Errorf("no gateway: %w", absent)
	}
	return open, nil
}

// portProblem says who holds a port that cannot be had.
func portProblem(at string, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listening on %s: %w", at, err)
	}
	p := &report.Problem{ID: "port-in-use", Exit: report.ExitFailed, Message: at + " is taken by another program"}
	host, port, e := net.SplitHostPort(at)
	n, e2 := strconv.Atoi(port)
	if e != nil || e2 != nil {
		return p
	}
	another := net.JoinHostPort(host, strconv.Itoa(n+10))
	p.Try = []string{fmt.Sprintf("stop it; or another address: --gateway %s, or [gateway] listen = [%q] in flurry.toml", another, another)}
	if who, ok := holderOf("tcp", n); ok {
		p.Message = fmt.Sprintf("%s is taken by %s", at, who)
		if who.program == "flurry" {
			p.Message = fmt.Sprintf("%s is taken: another flurry runs here (pid %d)", at, who.pid)
			p.Try = append([]string{"flurry status        shows it"}, p.Try...)
		}
	}
	return p
}

// peerPort is the port to listen at for peers: the configured one, or for this run another if somebody has that.
func (i *instance) peerPort() uint16 {
	want := i.cfg.Port
	host := ""
	if i.cfg.Loopback {
		host = "127.0.0.1"
	}
	if want == 0 || portIsFree(host, want) {
		return uint16(want)
	}
	p := &report.Problem{ID: "port-in-use", Message: fmt.Sprintf("the peer port %d is taken by another program", want),
		Try: []string{"stop it; or another port: --port N, or [network] port = N in flurry.toml"}}
	for _, kind := range []string{"tcp", "udp"} {
		if who, ok := holderOf(kind, want); ok {
			p.Message = fmt.Sprintf("the peer port %d is taken by %s", want, who)
			break
		}
	}
	free := freePort(host)
	p.Message += fmt.Sprintf("; using %s for this run, which is no good behind a port forward", portWords(free))
	i.log.Warn(p.Message)
	i.warnings = append(i.warnings, *p)
	return uint16(free)
}

func portWords(n int) string {
	if n == 0 {
		return "another"
	}
	return strconv.Itoa(n)
}

// portIsFree tries whether a port can be had, for TCP and UDP.
func portIsFree(host string, port int) bool {
	at := net.JoinHostPort(host, strconv.Itoa(port))
	l, err := net.Listen("tcp", at)
	if errors.Is(err, syscall.EADDRINUSE) {
		return false
	}
	if err == nil {
		l.Close()
	}
	c, err := net.ListenPacket("udp", at)
	if errors.Is(err, syscall.EADDRINUSE) {
		return false
	}
	if err == nil {
		c.Close()
	}
	return true
}

// freePort is a port that nobody has, for TCP and UDP, or 0 if none was found soon.
func freePort(host string) int {
	for range 16 {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return 0
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if portIsFree(host, port) {
			return port
		}
	}
	return 0
}

// listenControl opens the control socket. A socket that nobody answers at is a dead daemon's, and replaced.
func listenControl(ctx context.Context, name string, private bool) (net.Listener, error) {
	const longest = 107 // bytes of a path in the kernel's sockaddr_un, less its end
	if len(name) > longest {
		return nil, usage("--socket /run/flurry.sock", "the control socket's path has %d bytes, at most %d: %s", len(name), longest, name)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, err
	}
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "unix", name)
	switch {
	case err == nil:
		c.Close()
		return nil, &report.Problem{ID: "port-in-use", Exit: report.ExitFailed, Message: "another flurry runs here: it answers at " + name, Try: []string{"another --state, or stop it"}}
	case errors.Is(err, syscall.ECONNREFUSED) && isSocket(name):
		if err := os.Remove(name); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("control socket %s: %w", name, reasonOf(err))
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", name)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	mode := fs.FileMode(0o666) // who may ask what is decided by the peer's credentials
	if private {
		mode = 0o600
	}
	if err := os.Chmod(name, mode); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// inUse is the problem that another daemon has the state directory, if that is what err comes of; else nil.
func inUse(cfg config, err error) error {
	if !isProblem(err, "port-in-use") {
		return nil
	}
	lock := filepath.Join(cfg.State, "lock")
	if _, err := os.Stat(lock); err != nil {
		return nil
	}
	l, err := durable.TryLock(lock)
	if err != nil {
		return storeProblem(cfg.State, err)
	}
	l.Unlock()
	return nil
}

// ownerOf is the user who owns a directory.
func ownerOf(dir string) (int, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("%s: its owner is not known", dir)
	}
	return int(stat.Uid), nil
}
