package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/flurry-nix/flurry/report"
)

// newHandler says who may ask what.
func newHandler(d Daemon, roles Roles) http.Handler {
	mux := http.NewServeMux()
	look(mux, "GET /v1/status", func(ctx context.Context, q *query) (report.Status, error) {
		r := StatusRequest{Peers: q.flag("peers")}
		return answer(ctx, q, r, d.Status)
	})
	look(mux, "GET /v1/why/{path}", func(ctx context.Context, q *query) (report.Why, error) {
		r := WhyRequest{Path: q.path("path"), Closure: q.flag("closure")}
		return answer(ctx, q, r, d.Why)
	})
	look(mux, "GET /v1/namespaces/{namespace}", func(ctx context.Context, q *query) (report.Show, error) {
		r := ShowRequest{Namespace: q.path("namespace"), Glob: q.text("glob"), Publications: q.flag("publications"),
			Writers: q.flag("writers"), Document: q.flag("document"), Revoked: q.flag("revoked")}
		return answer(ctx, q, r, d.Show)
	})
	look(mux, "GET /v1/health", func(ctx context.Context, q *query) (report.Health, error) {
		return answer(ctx, q, struct{}{}, func(ctx context.Context, _ struct{}) (report.Health, error) { return d.Health(ctx) })
	})
	look(mux, "GET /v1/seeds", func(ctx context.Context, q *query) (report.Seeds, error) {
		return answer(ctx, q, struct{}{}, func(ctx context.Context, _ struct{}) (report.Seeds, error) { return d.Seeds(ctx) })
	})
	look(mux, "GET /v1/writers/{namespace}", func(ctx context.Context, q *query) (report.Writers, error) {
		return answer(ctx, q, NamespaceRequest{Namespace: q.path("namespace")}, d.Writers)
	})
	look(mux, "GET /v1/expired/{namespace}", func(ctx context.Context, q *query) (report.Expired, error) {
		return answer(ctx, q, NamespaceRequest{Namespace: q.path("namespace")}, d.Expired)
	})
	look(mux, "GET /v1/pins/{namespace}", func(ctx context.Context, q *query) (report.Pins, error) {
		return answer(ctx, q, NamespaceRequest{Namespace: q.path("namespace")}, d.Pins)
	})
	document := guard{roles, Admin, "sign documents on this machine"}
	act(mux, "POST /v1/add-writer", document, d.AddWriter)
	act(mux, "POST /v1/writer-key", guard{roles, Admin, "make keys on this machine"}, d.WriterKey)
	act(mux, "POST /v1/plan-revocation", document, d.PlanRevocation)
	act(mux, "POST /v1/revoke", document, d.Revoke)
	act(mux, "POST /v1/retract", document, d.Retract)
	act(mux, "POST /v1/edit", document, d.Edit)
	act(mux, "POST /v1/pin", guard{roles, Publisher, "publish on this machine"}, d.Pin)
	act(mux, "POST /v1/use", guard{roles, Admin, "change what this machine's Nix accepts"}, d.Use)
	act(mux, "POST /v1/leave", guard{roles, Admin, "change what this machine's Nix accepts"}, d.Leave)
	act(mux, "POST /v1/new", guard{roles, Admin, "make namespaces on this machine"}, d.New)
	stream(mux, "POST /v1/publish", guard{roles, Publisher, "publish on this machine"}, d.Publish)
	act(mux, "POST /v1/automatic", guard{roles, Admin, "have what all users build published"}, d.Automatic)
	act(mux, "POST /v1/queue", guard{roles, Publisher, "publish on this machine"}, d.Queue)
	stream(mux, "POST /v1/copies", guard{roles, Publisher, "publish on this machine"}, d.Copies)
	stream(mux, "POST /v1/seed", guard{roles, Admin, "change what this machine mirrors"}, d.Seed)
	act(mux, "POST /v1/stop-seed", guard{roles, Admin, "change what this machine mirrors"}, d.StopSeed)
	stream(mux, "POST /v1/wait", guard{roles, Anyone, "wait"}, func(ctx context.Context, q WaitRequest, progress func(report.WaitProgress)) (report.Wait, error) {
		if len(q.Peers) > 0 { // who may only look has this machine dial nobody
			if p := (guard{roles, Publisher, "have this machine look for peers"}).refuses(ctx); p != nil {
				return report.Wait{}, p
			}
		}
		return d.Wait(ctx, q, progress)
	})
	stream(mux, "POST /v1/check", guard{roles, Admin, "have the whole store read"}, d.Check)
	stream(mux, "POST /v1/collect", guard{roles, Admin, "give up what is stored"}, d.Collect)
	return mux
}

// guard lets those pass who have a role.
type guard struct {
	roles Roles
	need  Role
	act   string // what it takes the role for
}

// refuses returns why whoever made the request of ctx may not pass, nil if it may.
func (g guard) refuses(ctx context.Context) *report.Problem {
	who, role := whose(ctx)
	if role >= g.need {
		return nil
	}
	return g.roles.mayNot(g.need, g.act, who)
}

// answer asks, unless the query was not understood.
func answer[Q, A any](ctx context.Context, q *query, r Q, ask func(context.Context, Q) (A, error)) (A, error) {
	if err := q.err(); err != nil {
		var none A
		return none, err
	}
	return ask(ctx, r)
}

// look serves a question that anybody may ask.
func look[A any](mux *http.ServeMux, route string, ask func(context.Context, *query) (A, error)) {
	mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
		out := newReply(w)
		a, err := ask(r.Context(), newQuery(r))
		out.end(a, err)
	})
}

// act serves a request with one answer.
func act[Q, A any](mux *http.ServeMux, route string, g guard, do func(context.Context, Q) (A, error)) {
	stream(mux, route, g, func(ctx context.Context, q Q, _ func(struct{})) (A, error) { return do(ctx, q) })
}

// stream serves a request whose answer is preceded by progress.
func stream[Q, P, A any](mux *http.ServeMux, route string, g guard, do func(context.Context, Q, func(P)) (A, error)) {
	mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
		out := newReply(w)
		if p := g.refuses(r.Context()); p != nil {
			out.end(nil, p)
			return
		}
		var q Q
		if err := decode(w, r, &q); err != nil {
			out.end(nil, err)
			return
		}
		a, err := do(r.Context(), q, func(p P) { out.progress(p) })
		out.end(a, err)
	})
}

// decode reads the one JSON object that the body is to be.
func decode(w http.ResponseWriter, r *http.Request, q any) error {
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(bodyTimeout)) // a writer without deadlines is a test's
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	body.DisallowUnknownFields()
	if err := body.Decode(q); err != nil {
		return badRequest(err.Error())
	}
	if _, err := body.Token(); !errors.Is(err, io.EOF) {
		return badRequest("more follows the request")
	}
	_ = conn.SetReadDeadline(time.Time{})
	return nil
}

func badRequest(what string) *report.Problem {
	return &report.Problem{ID: "bad-request", Exit: report.ExitUsage, Message: "the daemon does not understand this request: " + what,
		Try: []string{"the same version of flurry on both ends"}}
}
