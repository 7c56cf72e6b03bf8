package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/report"
)

// self makes the user who runs the tests an admin.
func self() Roles { return Roles{Owner: os.Getuid()} }

// TestRoundTrip asks everything over the socket: the daemon sees the request that was made, the client the answer that
// was given.
func TestRoundTrip(t *testing.T) {
	quota, promise := uint64(7), time.Hour
	f := &fake{}
	c := Dial(serve(t, f, self()))
	const key = "acme-1:gUPS5WA15etHss+qS88T+5lXfwyC3r3IZt7EWO7FeRE="
	path := "/nix/store/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz-widget-1.4.2"
	then := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name string
		ask  func(context.Context) (any, error)
		want any // the request
		get  any // the answer
	}{
		{"status", func(ctx context.Context) (any, error) { return c.Status(ctx, StatusRequest{}) }, StatusRequest{}, report.Status{Schema: "flurry/status/1", Version: "v"}},
		{"status with peers", func(ctx context.Context) (any, error) { return c.Status(ctx, StatusRequest{Peers: true}) }, StatusRequest{Peers: true}, report.Status{Schema: "flurry/status/1", Version: "v"}},
		{"why", func(ctx context.Context) (any, error) { return c.Why(ctx, WhyRequest{Path: path, Closure: true}) },
			WhyRequest{Path: path, Closure: true}, report.Why{Schema: "flurry/why/1", Path: path, Verdict: report.Here}},
		{"show", func(ctx context.Context) (any, error) {
			return c.Show(ctx, ShowRequest{key, "wid%et-*?&=", true, true, true, true})
		}, ShowRequest{key, "wid%et-*?&=", true, true, true, true}, report.Show{Schema: "flurry/show/1", Alias: key}},
		{"show something odd", func(ctx context.Context) (any, error) { return c.Show(ctx, ShowRequest{Namespace: ".."}) },
			ShowRequest{Namespace: ".."}, report.Show{Schema: "flurry/show/1", Alias: ".."}},
		{"show a slash", func(ctx context.Context) (any, error) { return c.Show(ctx, ShowRequest{Namespace: "/../a b"}) },
			ShowRequest{Namespace: "/../a b"}, report.Show{Schema: "flurry/show/1", Alias: "/../a b"}},
		{"use", func(ctx context.Context) (any, error) {
			return c.Use(ctx, UseRequest{Namespace: key, Alias: "x", Peers: []string{"host:1"}, Only: []string{"a-*"}, Wait: time.Second})
		}, UseRequest{Namespace: key, Alias: "x", Peers: []string{"host:1"}, Only: []string{"a-*"}, Wait: time.Second}, report.Use{Schema: "flurry/use/1", Alias: "x"}},
		{"leave", func(ctx context.Context) (any, error) { return c.Leave(ctx, LeaveRequest{"x", true}) }, LeaveRequest{"x", true}, report.Leave{Schema: "flurry/leave/1", Alias: "x"}},
		{"new", func(ctx context.Context) (any, error) {
			return c.New(ctx, NewRequest{"n", "k", "f", true, "a", time.Hour, "lan"})
		}, NewRequest{"n", "k", "f", true, "a", time.Hour, "lan"}, report.New{Schema: "flurry/new/1", Alias: "n"}},
		{"writers", func(ctx context.Context) (any, error) { return c.Writers(ctx, NamespaceRequest{"n"}) }, NamespaceRequest{"n"},
			report.Writers{Schema: "flurry/writers/1", Alias: "n", Writers: []report.Writer{}}},
		{"expired", func(ctx context.Context) (any, error) { return c.Expired(ctx, NamespaceRequest{"n"}) }, NamespaceRequest{"n"},
			report.Expired{Schema: "flurry/expired/1", Alias: "n", Publications: []report.ExpiredPublication{}}},
		{"pins", func(ctx context.Context) (any, error) { return c.Pins(ctx, NamespaceRequest{"n"}) }, NamespaceRequest{"n"},
			report.Pins{Schema: "flurry/pins/1", Alias: "n", Pins: []report.Pin{}}},
		{"add-writer", func(ctx context.Context) (any, error) {
			return c.AddWriter(ctx, AddWriterRequest{"n", "w", "g", time.Hour, "r"})
		}, AddWriterRequest{"n", "w", "g", time.Hour, "r"}, report.WriterChange{Schema: "add-writer"}},
		{"writer-key", func(ctx context.Context) (any, error) { return c.WriterKey(ctx, WriterKeyRequest{"n"}) }, WriterKeyRequest{"n"}, report.WriterKey{Schema: "writer-key"}},
		{"plan-revocation", func(ctx context.Context) (any, error) {
			return c.PlanRevocation(ctx, PlanRevocationRequest{"n", "w", &then, true, []string{"h"}})
		}, PlanRevocationRequest{"n", "w", &then, true, []string{"h"}}, report.Revocation{Schema: "plan-revocation"}},
		{"revoke", func(ctx context.Context) (any, error) {
			return c.Revoke(ctx, RevokeRequest{report.Revocation{Key: "k", Keep: []namespace.ID{{1}}}, "r"})
		}, RevokeRequest{report.Revocation{Key: "k", Keep: []namespace.ID{{1}}}, "r"}, report.WriterChange{Schema: "revoke"}},
		{"retract", func(ctx context.Context) (any, error) {
			return c.Retract(ctx, RetractRequest{"n", path, "why", "r"})
		}, RetractRequest{"n", path, "why", "r"}, report.Retraction{Schema: "retract"}},
		{"edit", func(ctx context.Context) (any, error) {
			return c.Edit(ctx, EditRequest{Namespace: "n", About: &path, Seeds: &[]string{"/x"}})
		}, EditRequest{Namespace: "n", About: &path, Seeds: &[]string{"/x"}}, report.Edited{Schema: "edit"}},
		{"pin", func(ctx context.Context) (any, error) {
			return c.Pin(ctx, PinRequest{"n", "p", []string{path}, 3, time.Hour, true, "k"})
		}, PinRequest{"n", "p", []string{path}, 3, time.Hour, true, "k"}, report.Pinned{Schema: "pin"}},
		{"copies", func(ctx context.Context) (any, error) {
			return c.Copies(ctx, CopiesRequest{"n", []namespace.ID{{1}}, 2, true, []string{"h"}}, nil)
		}, CopiesRequest{"n", []namespace.ID{{1}}, 2, true, []string{"h"}}, report.Copies{Wanted: 2, Copies: []report.Copy{}, Refused: []report.OfferRefused{}}},
		{"seeds", func(ctx context.Context) (any, error) { return c.Seeds(ctx) }, "seeds",
			report.Seeds{Schema: "flurry/seed/1", Seeds: []report.Seed{{Alias: "n", Refused: []string{}}}}},
		{"seed", func(ctx context.Context) (any, error) {
			return c.Seed(ctx, SeedRequest{"n", "a", []string{"h"}, &quota, &promise, time.Minute}, nil)
		}, SeedRequest{"n", "a", []string{"h"}, &quota, &promise, time.Minute}, report.Seeded{Schema: "flurry/seed/1", Event: "done", Alias: "a", Refused: []string{}, Warnings: []report.Problem{}}},
		{"stop-seed", func(ctx context.Context) (any, error) { return c.StopSeed(ctx, StopSeedRequest{"n", 2}) }, StopSeedRequest{"n", 2},
			report.SeedStop{Schema: "flurry/seed/1", Alias: "n"}},
		{"wait", func(ctx context.Context) (any, error) {
			return c.Wait(ctx, WaitRequest{[]string{path}, "n", 2, time.Minute, []string{"h"}}, nil)
		}, WaitRequest{[]string{path}, "n", 2, time.Minute, []string{"h"}}, report.Wait{Schema: "flurry/wait/1", Wanted: 2, Paths: []report.WaitPath{}, Missing: []string{}}},
		{"publish", func(ctx context.Context) (any, error) {
			return c.Publish(ctx, PublishRequest{"n", []string{path}, "k", true, true, []string{"a*"}, []string{"b*"}, 9, time.Hour, "p", 3, time.Minute, true}, nil)
		}, PublishRequest{"n", []string{path}, "k", true, true, []string{"a*"}, []string{"b*"}, 9, time.Hour, "p", 3, time.Minute, true}, done("n")},
		{"automatic", func(ctx context.Context) (any, error) {
			return c.Automatic(ctx, AutomaticRequest{"n", "always", true, []string{"a*"}, []string{"b*"}, 9})
		}, AutomaticRequest{"n", "always", true, []string{"a*"}, []string{"b*"}, 9}, report.Automatic{Schema: "flurry/automatic/1", Namespace: "n"}},
		{"queue", func(ctx context.Context) (any, error) {
			return c.Queue(ctx, QueueRequest{[]string{"n"}, []string{path}})
		},
			QueueRequest{[]string{"n"}, []string{path}}, report.Queued{Schema: "flurry/queued/1", Paths: 1}},
		{"check", func(ctx context.Context) (any, error) { return c.Check(ctx, CheckRequest{}, nil) }, CheckRequest{},
			report.Check{Schema: "flurry/check/1", Event: "done", Chunks: 7, Damaged: []string{}}},
		{"collect", func(ctx context.Context) (any, error) { return c.Collect(ctx, CollectRequest{true}, nil) }, CollectRequest{true},
			report.Collected{Schema: "flurry/collect/1", Event: "done", DryRun: true, Contents: 7, Why: []report.CollectedWhy{}}},
		{"health", func(ctx context.Context) (any, error) { return c.Health(ctx) }, "health", report.Health{Status: "ok", Reasons: []string{}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.ask(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(f.asked, test.want) {
				t.Errorf("the daemon was asked %#v, not %#v", f.asked, test.want)
			}
			if !reflect.DeepEqual(got, test.get) {
				t.Errorf("the answer is %#v, not %#v", got, test.get)
			}
		})
	}
}

func done(namespace string) report.Publish {
	p := report.Publish{Namespace: namespace}
	p.Complete()
	return p
}

// TestProblems: what a person can act on arrives whole, other errors with their words.
func TestProblems(t *testing.T) {
	f := &fake{err: &report.Problem{ID: "excluded-root", Message: "m", Found: []string{"a", "b"}, Try: []string{"c"}, Exit: 4}}
	c := Dial(serve(t, f, self()))
	_, err := c.Why(t.Context(), WhyRequest{Path: "x"})
	if !reflect.DeepEqual(err, f.err) {
		t.Errorf("%#v", err)
	}
	f.err = errors.New("the disk: is gone")
	_, err = c.Publish(t.Context(), PublishRequest{}, nil)
	if want := (&report.Problem{ID: "failed", Message: "the disk: is gone", Exit: 1}); !reflect.DeepEqual(err, want) {
		t.Errorf("%#v", err)
	}
}

// TestPlainHTTP: what curl sees is what --json prints, with a status that fits.
func TestPlainHTTP(t *testing.T) {
	f := &fake{}
	socket := serve(t, f, self())
	for exit, want := range map[int]int{report.ExitFailed: 500, report.ExitUsage: 400, report.ExitNoDaemon: 403, report.ExitRefused: 403, report.ExitUnavailable: 404} {
		f.err = &report.Problem{ID: "x", Message: "m", Exit: exit}
		status, body := raw(t, socket, "GET", "/v1/status", "")
		wantBody := append(f.err.(*report.Problem).JSON(), '\n')
		if status != want || body != string(wantBody) {
			t.Errorf("exit %d: %d %s", exit, status, body)
		}
	}
	f.err = nil
	status, body := raw(t, socket, "GET", "/v1/status", "")
	text, err := json.Marshal(report.Status{Schema: "flurry/status/1", Version: "v"})
	if err != nil || status != 200 || body != string(text)+"\n" {
		t.Errorf("%d %s", status, body)
	}
	f.publish = func(_ context.Context, progress func(report.PublishProgress)) error {
		progress(report.PublishProgress{Paths: 3, PathsDone: 1})
		return nil
	}
	status, body = raw(t, socket, "POST", "/v1/publish", `{"namespace":"n"}`)
	lines := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	if status != 200 || len(lines) != 2 || !strings.HasPrefix(lines[0], `{"schema":"flurry/publish/1","event":"progress","paths":3,`) ||
		!strings.HasPrefix(lines[1], `{"schema":"flurry/publish/1","event":"done","namespace":"n",`) {
		t.Errorf("%d %s", status, body)
	}
}

// raw makes one HTTP request at a socket.
func raw(t *testing.T, socket, method, path, body string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
