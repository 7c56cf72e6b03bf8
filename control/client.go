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
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/flurry-nix/flurry/report"
)

// Client asks the daemon behind a socket. Its methods may be called concurrently.
type Client struct {
	socket string
	http   *http.Client
}

// What works over the socket works in the process.
var _ Daemon = (*Client)(nil)

// Dial returns a client. It connects when it is asked something, for each question anew.
func Dial(socket string) *Client {
	return newClient(socket, func(ctx context.Context) (net.Conn, error) { return dial(ctx, socket) })
}

// dial connects. A socket at which too many wait for the daemon to accept them says so at once, and is tried again for a while.
func dial(ctx context.Context, socket string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var dialer net.Dialer
	for {
		c, err := dialer.DialContext(ctx, "unix", socket)
		if !errors.Is(err, syscall.EAGAIN) {
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(dialPause):
		}
	}
}

func newClient(socket string, dial func(context.Context) (net.Conn, error)) *Client {
	transport := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		DisableKeepAlives: true,
	}
	return &Client{socket: socket, http: &http.Client{Transport: transport}}
}

// Status asks how the node is.
func (c *Client) Status(ctx context.Context, r StatusRequest) (report.Status, error) {
	return get[report.Status](ctx, c, "status", params{"peers": r.Peers})
}

// Why asks about one path.
func (c *Client) Why(ctx context.Context, r WhyRequest) (report.Why, error) {
	return get[report.Why](ctx, c, "why/"+segment(r.Path), params{"closure": r.Closure})
}

// Show asks about one namespace.
func (c *Client) Show(ctx context.Context, r ShowRequest) (report.Show, error) {
	return get[report.Show](ctx, c, "namespaces/"+segment(r.Namespace),
		params{"glob": r.Glob, "publications": r.Publications, "writers": r.Writers, "document": r.Document, "revoked": r.Revoked})
}

// Use puts a namespace in use.
func (c *Client) Use(ctx context.Context, r UseRequest) (report.Use, error) {
	return post[report.Use](ctx, c, "use", r, func(struct{}) {})
}

// Leave takes one out of use.
func (c *Client) Leave(ctx context.Context, r LeaveRequest) (report.Leave, error) {
	return post[report.Leave](ctx, c, "leave", r, func(struct{}) {})
}

// New makes a namespace.
func (c *Client) New(ctx context.Context, r NewRequest) (report.New, error) {
	return post[report.New](ctx, c, "new", r, func(struct{}) {})
}

// Publish publishes paths. It ends when ctx does, at both ends.
func (c *Client) Publish(ctx context.Context, r PublishRequest, progress func(report.PublishProgress)) (report.Publish, error) {
	return post[report.Publish](ctx, c, "publish", r, progress)
}

// Automatic changes what is published without being named.
func (c *Client) Automatic(ctx context.Context, r AutomaticRequest) (report.Automatic, error) {
	return post[report.Automatic](ctx, c, "automatic", r, func(struct{}) {})
}

// Queue has paths published later.
func (c *Client) Queue(ctx context.Context, r QueueRequest) (report.Queued, error) {
	return post[report.Queued](ctx, c, "queue", r, func(struct{}) {})
}

// Writers asks who may publish.
func (c *Client) Writers(ctx context.Context, r NamespaceRequest) (report.Writers, error) {
	return get[report.Writers](ctx, c, "writers/"+segment(r.Namespace), nil)
}

// Expired asks what of a namespace goes first.
func (c *Client) Expired(ctx context.Context, r NamespaceRequest) (report.Expired, error) {
	return get[report.Expired](ctx, c, "expired/"+segment(r.Namespace), nil)
}

// Pins asks for the pins of a namespace.
func (c *Client) Pins(ctx context.Context, r NamespaceRequest) (report.Pins, error) {
	return get[report.Pins](ctx, c, "pins/"+segment(r.Namespace), nil)
}

// AddWriter lets a key publish.
func (c *Client) AddWriter(ctx context.Context, r AddWriterRequest) (report.WriterChange, error) {
	return post[report.WriterChange](ctx, c, "add-writer", r, func(struct{}) {})
}

// WriterKey makes a key.
func (c *Client) WriterKey(ctx context.Context, r WriterKeyRequest) (report.WriterKey, error) {
	return post[report.WriterKey](ctx, c, "writer-key", r, func(struct{}) {})
}

// PlanRevocation says what a revocation would do.
func (c *Client) PlanRevocation(ctx context.Context, r PlanRevocationRequest) (report.Revocation, error) {
	return post[report.Revocation](ctx, c, "plan-revocation", r, func(struct{}) {})
}

// Revoke revokes a writer.
func (c *Client) Revoke(ctx context.Context, r RevokeRequest) (report.WriterChange, error) {
	return post[report.WriterChange](ctx, c, "revoke", r, func(struct{}) {})
}

// Retract takes something back.
func (c *Client) Retract(ctx context.Context, r RetractRequest) (report.Retraction, error) {
	return post[report.Retraction](ctx, c, "retract", r, func(struct{}) {})
}

// Edit changes a document.
func (c *Client) Edit(ctx context.Context, r EditRequest) (report.Edited, error) {
	return post[report.Edited](ctx, c, "edit", r, func(struct{}) {})
}

// Pin names paths.
func (c *Client) Pin(ctx context.Context, r PinRequest) (report.Pinned, error) {
	return post[report.Pinned](ctx, c, "pin", r, func(struct{}) {})
}

// Copies has publications copied by others.
func (c *Client) Copies(ctx context.Context, r CopiesRequest, progress func(report.OfferProgress)) (report.Copies, error) {
	return post[report.Copies](ctx, c, "copies", r, progress)
}

// Seeds asks what is mirrored.
func (c *Client) Seeds(ctx context.Context) (report.Seeds, error) {
	return get[report.Seeds](ctx, c, "seeds", nil)
}

// Seed has a namespace mirrored.
func (c *Client) Seed(ctx context.Context, r SeedRequest, progress func(report.SeedProgress)) (report.Seeded, error) {
	return post[report.Seeded](ctx, c, "seed", r, progress)
}

// StopSeed ends that.
func (c *Client) StopSeed(ctx context.Context, r StopSeedRequest) (report.SeedStop, error) {
	return post[report.SeedStop](ctx, c, "stop-seed", r, func(struct{}) {})
}

// Wait waits for paths.
func (c *Client) Wait(ctx context.Context, r WaitRequest, progress func(report.WaitProgress)) (report.Wait, error) {
	return post[report.Wait](ctx, c, "wait", r, progress)
}

// Collect has given up what is not to be kept.
func (c *Client) Collect(ctx context.Context, r CollectRequest, progress func(report.CollectProgress)) (report.Collected, error) {
	return post[report.Collected](ctx, c, "collect", r, progress)
}

// Check has the store read.
func (c *Client) Check(ctx context.Context, r CheckRequest, progress func(report.CheckProgress)) (report.Check, error) {
	return post[report.Check](ctx, c, "check", r, progress)
}

// Health asks whether all is well.
func (c *Client) Health(ctx context.Context) (report.Health, error) {
	return get[report.Health](ctx, c, "health", nil)
}

// segment is s as one segment of a URL's path, whatever it is: dots alone would be taken for directories.
func segment(s string) string {
	if strings.Trim(s, ".") == "" {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return url.PathEscape(s)
}

// params are a GET's parameters: strings and bools. What has its zero value is left out.
type params map[string]any

func (p params) encode() string {
	values := url.Values{}
	for name, v := range p {
		if v != "" && v != false {
			values.Set(name, fmt.Sprint(v))
		}
	}
	return values.Encode()
}

func get[A any](ctx context.Context, c *Client, path string, p params) (A, error) {
	return ask[A](ctx, c, http.MethodGet, path+"?"+p.encode(), nil, func(struct{}) {})
}

func post[A, P any](ctx context.Context, c *Client, path string, q any, progress func(P)) (a A, err error) {
	text, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	return ask[A](ctx, c, http.MethodPost, path, bytes.NewReader(text), progress)
}

// ask sends a request, hands out progress as it comes, and returns the answer.
func ask[A, P any](ctx context.Context, c *Client, method, path string, body io.Reader, progress func(P)) (a A, err error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://flurry/v1/"+path, body)
	if err != nil {
		return a, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return a, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/x-ndjson") {
		return a, badRequest(fmt.Sprintf("%s /v1/%s (%s)", method, strings.TrimSuffix(path, "?"), resp.Status))
	}
	lines := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
	for {
		var line json.RawMessage
		if err := lines.Decode(&line); err != nil {
			return a, c.brokeOff(ctx, err)
		}
		var kind struct {
			Event string          `json:"event"`
			Error *report.Problem `json:"error"`
		}
		switch err := json.Unmarshal(line, &kind); {
		case err != nil:
			return a, c.brokeOff(ctx, err)
		case kind.Error != nil:
			return a, kind.Error
		case kind.Event != "progress":
			return a, json.Unmarshal(line, &a)
		}
		var p P
		if err := json.Unmarshal(line, &p); err != nil {
			return a, c.brokeOff(ctx, err)
		}
		if progress != nil {
			progress(p)
		}
	}
}

// brokeOff says that the answer ended before its end.
func (c *Client) brokeOff(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &report.Problem{ID: "broke-off", Exit: report.ExitFailed, Message: fmt.Sprintf("the daemon at %s broke off its answer (%v)", c.socket, err),
		Try: []string{"flurry status        and if it runs, the same again"}}
}

// unreachable makes a Problem of a failed connection.
func (c *Client) unreachable(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTSOCK), errors.Is(err, syscall.ENOTDIR):
		return &report.Problem{ID: "no-daemon", Exit: report.ExitNoDaemon, Message: "no daemon at " + c.socket}
	case errors.Is(err, fs.ErrPermission):
		return &report.Problem{ID: "may-not", Exit: report.ExitNoDaemon, Message: "this user may not use " + c.socket, Try: []string{"sudo flurry …"}}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return c.brokeOff(ctx, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("asking the daemon at %s: %w", c.socket, err)
}
