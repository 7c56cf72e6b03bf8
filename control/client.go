package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"

	"github.com/flurry-nix/flurry/report"
)

// Client asks the daemon behind a socket.
type Client struct {
	socket string
	http   *http.Client
}

// A Client is a Daemon: what works over the socket works in the process.
var _ Daemon = (*Client)(nil)

// Dial returns a client. It connects when it is asked something.
func Dial(socket string) *Client {
	dialer := net.Dialer{Timeout: dialTimeout}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}
	return &Client{socket: socket, http: &http.Client{Transport: transport}}
}

func (c *Client) Status(ctx context.Context, r StatusRequest) (report.Status, error) {
	return ask[report.Status](ctx, c, "status", r)
}

func (c *Client) Why(ctx context.Context, r WhyRequest) (report.Why, error) {
	return ask[report.Why](ctx, c, "why", r)
}

func (c *Client) Show(ctx context.Context, r ShowRequest) (report.Show, error) {
	return ask[report.Show](ctx, c, "show", r)
}

func (c *Client) Use(ctx context.Context, r UseRequest) (report.Use, error) {
	return ask[report.Use](ctx, c, "use", r)
}

func (c *Client) Leave(ctx context.Context, r LeaveRequest) (report.Leave, error) {
	return ask[report.Leave](ctx, c, "leave", r)
}

func (c *Client) New(ctx context.Context, r NewRequest) (report.New, error) {
	return ask[report.New](ctx, c, "new", r)
}

func (c *Client) Publish(ctx context.Context, r PublishRequest, progress func(report.PublishProgress)) (report.Publish, error) {
	return follow[report.Publish](ctx, c, "publish", r, progress)
}

func (c *Client) Check(ctx context.Context, r CheckRequest, progress func(report.CheckProgress)) (report.Check, error) {
	return follow[report.Check](ctx, c, "check", r, progress)
}

func (c *Client) Health(ctx context.Context) (report.Health, error) {
	return ask[report.Health](ctx, c, "health", struct{}{})
}

func ask[A any](ctx context.Context, c *Client, verb string, q any) (A, error) {
	return follow[A](ctx, c, verb, q, func(struct{}) {})
}

// follow sends q, hands out progress as it comes, and returns the result.
func follow[A, P any](ctx context.Context, c *Client, verb string, q any, progress func(P)) (a A, err error) {
	text, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://flurry/v1/"+verb, bytes.NewReader(text))
	if err != nil {
		return a, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return a, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return a, &report.Problem{ID: "bad-request", Exit: report.ExitUsage, Message: fmt.Sprintf("the daemon does not know %q (%s)", verb, resp.Status),
			Try: []string{"the same version of flurry on both ends"}}
	}
	lines := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
	for {
		var l line
		switch err := lines.Decode(&l); {
		case err != nil:
			return a, fmt.Errorf("the daemon's answer broke off: %w", errors.Join(err, ctx.Err()))
		case l.Error != nil:
			return a, l.Error
		case l.Result != nil:
			return a, json.Unmarshal(l.Result, &a)
		case l.Progress != nil && progress != nil:
			var p P
			if err := json.Unmarshal(l.Progress, &p); err != nil {
				return a, err
			}
			progress(p)
		}
	}
}

// unreachable makes a Problem of a failed connection.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return &report.Problem{ID: "no-daemon", Exit: report.ExitNoDaemon, Message: "no daemon at " + c.socket,
			Try: []string{"flurry daemon --state DIR        and --state DIR here, too", "sudo systemctl start flurry        (journalctl -u flurry says why it stopped)"}}
	case errors.Is(err, fs.ErrPermission):
		return &report.Problem{ID: "may-not", Exit: report.ExitNoDaemon, Message: "this user may not use " + c.socket, Try: []string{"sudo flurry …"}}
	}
	return fmt.Errorf("asking the daemon at %s: %w", c.socket, err)
}
