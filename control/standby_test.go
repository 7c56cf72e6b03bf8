package control

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/report"
)

// TestStandby: whatever is asked while there is no daemon, the answer is what is wrong; all of it for admins.
func TestStandby(t *testing.T) {
	for _, admin := range []bool{true, false} {
		name := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		roles := self()
		if !admin {
			roles = Roles{Owner: -1}
			l = strangers{l}
		}
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- Standby(ctx, l, roles, func(whole bool) *report.Problem {
				if whole != admin {
					t.Errorf("whole is %v for somebody who is admin: %v", whole, admin)
				}
				return &report.Problem{ID: "node-down", Message: "it is down", Found: []string{"why"}, Exit: report.ExitNoDaemon}
			}, slog.New(slog.DiscardHandler))
		}()
		c := Dial(name)
		if _, err := c.Status(ctx, StatusRequest{}); problemOf(err).ID != "node-down" || problemOf(err).Exit != report.ExitNoDaemon {
			t.Errorf("status: %v", err)
		}
		if _, err := c.Use(ctx, UseRequest{}); problemOf(err).ID != "node-down" {
			t.Errorf("use: %v", err)
		}
		if admin {
			end()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			continue
		}
		if h, err := c.Health(ctx); err != nil || h.Status != "standby" || strings.Join(h.Reasons, "; ") != "it is down; why" {
			t.Errorf("health: %+v, %v", h, err)
		}
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// strangers is a listener to which nobody comes of whom the kernel says who it is.
type strangers struct{ net.Listener }

func (s strangers) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{c}, nil
}
