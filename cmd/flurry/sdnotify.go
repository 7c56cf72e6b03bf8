package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// notifier tells a service manager how the service is (sd_notify(3)). Without one it says nothing.
type notifier struct {
	conn  *net.UnixConn
	every time.Duration // how often the manager wants to hear of it; 0: it does not
}

// newNotifier speaks to the manager that started this process, if one did and asked for it.
func newNotifier(getenv func(string) string, pid int) (*notifier, error) {
	at := getenv("NOTIFY_SOCKET")
	if at == "" {
		return &notifier{}, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: at})
	if err != nil {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	n := &notifier{conn: conn}
	if whose := getenv("WATCHDOG_PID"); whose == "" || whose == strconv.Itoa(pid) {
		if us, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 {
			n.every = time.Duration(us) * time.Microsecond / 2
		}
	}
	return n, nil
}

// say sends assignments, such as "READY=1". A manager that does not hear is not this service's concern.
func (n *notifier) say(lines ...string) {
	if n.conn == nil {
		return
	}
	_ = n.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = n.conn.Write([]byte(strings.Join(lines, "\n")))
}

func (n *notifier) close() {
	if n.conn != nil {
		n.conn.Close()
	}
}

// firstPassed is the descriptor of the first socket that a service manager passes on (sd_listen_fds(3)).
const firstPassed = 3

// maxPassed is how many sockets are taken: two address families and the control socket, with room.
const maxPassed = 16

// passedSockets are the listening sockets that the service manager opened for this process: streams of TCP are the
// gateway's, one of unix is the control socket.
func passedSockets(getenv func(string) string, pid int) (gateway []net.Listener, control net.Listener, err error) {
	if getenv("LISTEN_PID") != strconv.Itoa(pid) {
		return nil, nil, nil
	}
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n < 0 || n > maxPassed {
		return nil, nil, fmt.Errorf("LISTEN_FDS is %.20q: a number up to %d", getenv("LISTEN_FDS"), maxPassed)
	}
	for fd := firstPassed; fd < firstPassed+n; fd++ {
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), "passed socket")
		l, e := net.FileListener(f)
		f.Close()
		switch l := l.(type) {
		case *net.TCPListener:
			if ip := l.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() {
				e = fmt.Errorf("%s is not on loopback; the gateway is for this machine's Nix alone", l.Addr())
			}
			gateway = append(gateway, l)
		case *net.UnixListener:
			if control != nil {
				e = errors.Join(errors.New("two unix sockets were passed: the control socket is one"), l.Close())
			} else {
				control = l
			}
		default:
			e = errors.Join(errors.New("it is neither TCP nor a unix socket"), e)
		}
		if e != nil {
			err = errors.Join(err, fmt.Errorf("socket %d of the service manager: %w", fd, e))
		}
	}
	if err != nil {
		for _, l := range gateway {
			l.Close()
		}
		if control != nil {
			control.Close()
		}
		return nil, nil, err
	}
	return gateway, control, nil
}
