package netlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// space is a network namespace. It lives as long as a program in it, which waits for the end of its input: that is when
// close is called, or this process ends, however it ends.
type space struct {
	keeper *exec.Cmd
	input  io.Closer
}

// space makes a namespace that forwards packets and has nothing but a loopback.
func (l *Lab) space(ctx context.Context) (*space, error) {
	keeper := exec.Command("cat")
	keeper.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	input, err := keeper.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := keeper.Start(); err != nil {
		return nil, fmt.Errorf("a network namespace: %w", err)
	}
	s := &space{keeper, input}
	l.mu.Lock()
	l.spaces = append(l.spaces, s)
	l.mu.Unlock()
	return s, errors.Join(
		s.run(ctx, "", "ip", "link", "set", "lo", "up"),
		s.run(ctx, "", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"))
}

func (s *space) close() error {
	return errors.Join(s.input.Close(), s.keeper.Wait())
}

func (s *space) pid() string { return strconv.Itoa(s.keeper.Process.Pid) }

// enter is the command line that runs args in the namespace, in the process that begins it.
func (s *space) enter(args ...string) []string {
	return append([]string{"nsenter", "--target", s.pid(), "--net", "--"}, args...)
}

func (s *space) run(ctx context.Context, input string, args ...string) error {
	return run(ctx, input, s.enter(args...)...)
}

// address gives an interface its address and puts it up.
func (s *space) address(ctx context.Context, name, addr string) error {
	return errors.Join(
		s.run(ctx, "", "ip", "address", "add", addr, "dev", name),
		s.run(ctx, "", "ip", "link", "set", name, "up"))
}

// limit makes an interface send at most rate.
func (s *space) limit(ctx context.Context, name string, rate Rate) error {
	if rate == 0 {
		s.run(ctx, "", "tc", "qdisc", "del", "dev", name, "root") // an error says that there was none
		return nil
	}
	// A bucket of 64 KiB holds what the kernel hands down at once; 50 ms are what the queue of a good modem has.
	return s.run(ctx, "", "tc", "qdisc", "replace", "dev", name, "root", "tbf", "rate", fmt.Sprintf("%dbit", rate), "burst", "64kb", "latency", "50ms")
}

// Host is one host of a lab.
type Host struct {
	*space
	lab   *Lab
	n     int
	addr  string
	outer *space // what its line to the middle ends at: itself, or the router before it
}

// Addr is the host's IPv4 address.
func (h *Host) Addr() string { return h.addr }

// Enter is the command line that runs args on the host. The process that begins it becomes the program.
func (h *Host) Enter(args ...string) []string { return h.enter(args...) }

// SetRate changes what the host's line to the middle carries each way.
func (h *Host) SetRate(ctx context.Context, rate Rate) error {
	return errors.Join(h.outer.limit(ctx, "eth0", rate), h.lab.core.limit(ctx, fmt.Sprintf("port%d", h.n), rate))
}

// Dial connects from the host to addr, a numeric address with a port.
func (h *Host) Dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	err = h.visit(func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// visit calls f on a thread that is in the namespace meanwhile. The thread goes back afterwards: children that are to
// die with their parent die with the thread that made them.
func (s *space) visit(f func() error) error {
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer here.Close()
	there, err := os.Open("/proc/" + s.pid() + "/ns/net")
	if err != nil {
		return err
	}
	defer there.Close()
	runtime.LockOSThread()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	err = f()
	if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, back) // still locked: nobody else may run on this thread
	}
	runtime.UnlockOSThread()
	return err
}
