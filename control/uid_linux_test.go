package control

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flurry-nix/flurry/report"
)

// TestOtherUser connects as another user, whom the kernel names to the server.
func TestOtherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	nobody, u, g := account(t)
	for _, test := range []struct {
		name  string
		roles Roles
		may   Role
	}{
		{"anyone", Roles{Owner: 0}, Anyone},
		{"publisher by name", Roles{Publishers: []string{u.Username}}, Publisher},
		{"publisher by group", Roles{Publishers: []string{"@" + g.Name}}, Publisher},
		{"admin by name", Roles{Admins: []string{u.Username}}, Admin},
		{"owner of the state", Roles{Owner: nobody.uid}, Admin},
	} {
		t.Run(test.name, func(t *testing.T) {
			address := fmt.Sprintf("@flurry-test-%d-%s", os.Getpid(), t.Name()) // abstract: no directory is in nobody's way
			l, err := net.Listen("unix", address)
			if err != nil {
				t.Fatal(err)
			}
			f := &fake{}
			serveOn(t, l, f, test.roles)
			c := newClient(address, func(context.Context) (net.Conn, error) { return dialAs(nobody, address) })
			ctx := t.Context()
			for _, act := range []struct {
				name string
				need Role
				do   func() error
			}{
				{"status", Anyone, func() error { _, err := c.Status(ctx, StatusRequest{Peers: true}); return err }},
				{"why", Anyone, func() error { _, err := c.Why(ctx, WhyRequest{Path: "x"}); return err }},
				{"show", Anyone, func() error { _, err := c.Show(ctx, ShowRequest{Namespace: "x"}); return err }},
				{"health", Anyone, func() error { _, err := c.Health(ctx); return err }},
				{"wait", Anyone, func() error { _, err := c.Wait(ctx, WaitRequest{Paths: []string{"x"}}, nil); return err }},
				{"wait for peers that it names", Publisher, func() error {
					_, err := c.Wait(ctx, WaitRequest{Paths: []string{"x"}, Peers: []string{"h"}}, nil)
					return err
				}},
				{"publish", Publisher, func() error { _, err := c.Publish(ctx, PublishRequest{}, nil); return err }},
				{"use", Admin, func() error { _, err := c.Use(ctx, UseRequest{}); return err }},
				{"leave", Admin, func() error { _, err := c.Leave(ctx, LeaveRequest{}); return err }},
				{"new", Admin, func() error { _, err := c.New(ctx, NewRequest{}); return err }},
				{"collect", Admin, func() error { _, err := c.Collect(ctx, CollectRequest{}, nil); return err }},
				{"check", Admin, func() error { _, err := c.Check(ctx, CheckRequest{}, nil); return err }},
			} {
				f.asked = nil
				err := act.do()
				if act.need <= test.may {
					if err != nil {
						t.Errorf("%s: %v", act.name, err)
					}
					continue
				}
				if p := problemOf(err); p.ID != "may-not" || p.Exit != report.ExitNoDaemon || !strings.HasSuffix(p.Message, "you are "+u.Username) {
					t.Errorf("%s: %v", act.name, err)
				}
				if f.asked != nil {
					t.Errorf("%s: the daemon was asked all the same", act.name)
				}
			}
		})
	}
}

// dialAs connects as who. Credentials belong to threads: one is given who's, connects, and ends with its goroutine.
func dialAs(who caller, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	out := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		conn, err := connectAs(who, address)
		out <- result{conn, err}
	}()
	r := <-out
	return r.conn, r.err
}

func connectAs(who caller, address string) (net.Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), address)
	defer file.Close()
	// The raw system calls change this thread alone; those of package syscall change all.
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(who.gid), uintptr(who.gid), uintptr(who.gid)); errno != 0 {
		return nil, errno
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(who.uid), uintptr(who.uid), uintptr(who.uid)); errno != 0 {
		return nil, errno
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: address}); err != nil {
		return nil, err
	}
	return net.FileConn(file)
}
