package control

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"github.com/flurry-nix/flurry/report"
)

// fake is a Daemon that remembers what it was asked last, and answers with something that only that question has.
type fake struct {
	asked   any
	err     error
	publish func(ctx context.Context, progress func(report.PublishProgress)) error
	check   func(progress func(report.CheckProgress))
}

func (f *fake) Status(_ context.Context, r StatusRequest) (report.Status, error) {
	f.asked = r
	return report.Status{Schema: "flurry/status/1", Version: "v"}, f.err
}

func (f *fake) Why(_ context.Context, r WhyRequest) (report.Why, error) {
	f.asked = r
	return report.Why{Schema: "flurry/why/1", Path: r.Path, Verdict: report.Here}, f.err
}

func (f *fake) Show(_ context.Context, r ShowRequest) (report.Show, error) {
	f.asked = r
	return report.Show{Schema: "flurry/show/1", Alias: r.Namespace}, f.err
}

func (f *fake) Use(_ context.Context, r UseRequest) (report.Use, error) {
	f.asked = r
	return report.Use{Schema: "flurry/use/1", Alias: r.Alias}, f.err
}

func (f *fake) Leave(_ context.Context, r LeaveRequest) (report.Leave, error) {
	f.asked = r
	return report.Leave{Schema: "flurry/leave/1", Alias: r.Namespace}, f.err
}

func (f *fake) New(_ context.Context, r NewRequest) (report.New, error) {
	f.asked = r
	return report.New{Schema: "flurry/new/1", Alias: r.Name}, f.err
}

func (f *fake) Automatic(_ context.Context, r AutomaticRequest) (report.Automatic, error) {
	f.asked = r
	return report.Automatic{Schema: "flurry/automatic/1", Namespace: r.Namespace}, f.err
}

func (f *fake) Queue(_ context.Context, r QueueRequest) (report.Queued, error) {
	f.asked = r
	return report.Queued{Schema: "flurry/queued/1", Paths: len(r.Paths)}, f.err
}

func (f *fake) Writers(_ context.Context, r NamespaceRequest) (report.Writers, error) {
	f.asked = r
	return report.Writers{Schema: "flurry/writers/1", Alias: r.Namespace, Writers: []report.Writer{}}, f.err
}

func (f *fake) Pins(_ context.Context, r NamespaceRequest) (report.Pins, error) {
	f.asked = r
	return report.Pins{Schema: "flurry/pins/1", Alias: r.Namespace, Pins: []report.Pin{}}, f.err
}

func (f *fake) Expired(_ context.Context, r NamespaceRequest) (report.Expired, error) {
	f.asked = r
	return report.Expired{Schema: "flurry/expired/1", Alias: r.Namespace, Publications: []report.ExpiredPublication{}}, f.err
}

func (f *fake) AddWriter(_ context.Context, r AddWriterRequest) (report.WriterChange, error) {
	f.asked = r
	return report.WriterChange{Schema: "add-writer"}, f.err
}

func (f *fake) WriterKey(_ context.Context, r WriterKeyRequest) (report.WriterKey, error) {
	f.asked = r
	return report.WriterKey{Schema: "writer-key"}, f.err
}

func (f *fake) PlanRevocation(_ context.Context, r PlanRevocationRequest) (report.Revocation, error) {
	f.asked = r
	return report.Revocation{Schema: "plan-revocation"}, f.err
}

func (f *fake) Revoke(_ context.Context, r RevokeRequest) (report.WriterChange, error) {
	f.asked = r
	return report.WriterChange{Schema: "revoke"}, f.err
}

func (f *fake) Retract(_ context.Context, r RetractRequest) (report.Retraction, error) {
	f.asked = r
	return report.Retraction{Schema: "retract"}, f.err
}

func (f *fake) Edit(_ context.Context, r EditRequest) (report.Edited, error) {
	f.asked = r
	return report.Edited{Schema: "edit"}, f.err
}

func (f *fake) Pin(_ context.Context, r PinRequest) (report.Pinned, error) {
	f.asked = r
	return report.Pinned{Schema: "pin"}, f.err
}

func (f *fake) Copies(_ context.Context, r CopiesRequest, _ func(report.OfferProgress)) (report.Copies, error) {
	f.asked = r
	return report.Copies{Wanted: r.Copies, Copies: []report.Copy{}, Refused: []report.OfferRefused{}}, f.err
}

func (f *fake) Seeds(context.Context) (report.Seeds, error) {
	f.asked = "seeds"
	return report.Seeds{Schema: "flurry/seed/1", Seeds: []report.Seed{{Alias: "n", Refused: []string{}}}}, f.err
}

func (f *fake) Seed(_ context.Context, r SeedRequest, _ func(report.SeedProgress)) (report.Seeded, error) {
	f.asked = r
	return report.Seeded{Schema: "flurry/seed/1", Event: "done", Alias: r.Alias, Refused: []string{}, Warnings: []report.Problem{}}, f.err
}

func (f *fake) StopSeed(_ context.Context, r StopSeedRequest) (report.SeedStop, error) {
	f.asked = r
	return report.SeedStop{Schema: "flurry/seed/1", Alias: r.Namespace}, f.err
}

func (f *fake) Wait(_ context.Context, r WaitRequest, _ func(report.WaitProgress)) (report.Wait, error) {
	f.asked = r
	return report.Wait{Schema: "flurry/wait/1", Wanted: r.Copies, Paths: []report.WaitPath{}, Missing: []string{}}, f.err
}

func (f *fake) Publish(ctx context.Context, r PublishRequest, progress func(report.PublishProgress)) (report.Publish, error) {
	f.asked = r
	if f.publish != nil {
		if err := f.publish(ctx, progress); err != nil {
			return report.Publish{}, err
		}
	}
	p := report.Publish{Namespace: r.Namespace}
	p.Complete()
	return p, f.err
}

func (f *fake) Check(_ context.Context, r CheckRequest, progress func(report.CheckProgress)) (report.Check, error) {
	f.asked = r
	if f.check != nil {
		f.check(progress)
	}
	c := report.Check{Chunks: 7}
	c.Complete()
	return c, f.err
}

func (f *fake) Collect(_ context.Context, r CollectRequest, progress func(report.CollectProgress)) (report.Collected, error) {
	f.asked = r
	progress(report.CollectProgress{Done: 1, Of: 2})
	c := report.Collected{DryRun: r.DryRun, Contents: 7}
	c.Complete()
	return c, f.err
}

func (f *fake) Health(context.Context) (report.Health, error) {
	f.asked = "health"
	return report.Health{Status: "ok", Reasons: []string{}}, f.err
}

// serve runs d behind a socket until the test ends, and returns the socket's name.
func serve(t *testing.T, d Daemon, roles Roles) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, d, roles)
	return name
}

// serveOn runs d on l until the test ends.
func serveOn(t *testing.T, l net.Listener, d Daemon, roles Roles) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- Serve(ctx, l, d, roles, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}
