package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"

	"github.com/flurry-nix/flurry/report"
)

// Serve answers on l until ctx ends, then lets running requests end for a few seconds. It closes l.
func Serve(ctx context.Context, l net.Listener, d Daemon, roles Roles, log *slog.Logger) error {
	srv := &http.Server{
		Handler:           newHandler(d, roles),
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			g, ok := c.(*guest)
			if !ok {
				return ctx
			}
			return context.WithValue(ctx, callerKey{}, g.who)
		},
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(newLobby(l)) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		err = errors.Join(err, srv.Close())
		log.Debug("control: requests were cut off", "err", err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

type callerKey struct{}

func newHandler(d Daemon, roles Roles) http.Handler {
	mux := http.NewServeMux()
	s := &server{roles: roles}
	route(mux, s, "/v1/status", Anyone, d.Status)
	route(mux, s, "/v1/why", Anyone, d.Why)
	route(mux, s, "/v1/show", Anyone, d.Show)
	route(mux, s, "/v1/use", Admin, d.Use)
	route(mux, s, "/v1/leave", Admin, d.Leave)
	route(mux, s, "/v1/new", Admin, d.New)
	route(mux, s, "/v1/health", Anyone, func(ctx context.Context, _ struct{}) (report.Health, error) { return d.Health(ctx) })
	stream(mux, s, "/v1/publish", Publisher, d.Publish)
	stream(mux, s, "/v1/check", Admin, d.Check)
	return mux
}

type server struct{ roles Roles }

// line is one line of an answer: exactly one field is set. A plain answer is one line with a result or an error.
type line struct {
	Progress json.RawMessage `json:"progress,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Error    *report.Problem `json:"error,omitempty"`
}

// route serves a question with one answer.
func route[Q, A any](mux *http.ServeMux, s *server, path string, need Role, ask func(context.Context, Q) (A, error)) {
	stream(mux, s, path, need, func(ctx context.Context, q Q, _ func(struct{})) (A, error) { return ask(ctx, q) })
}

// stream serves a question whose answer is preceded by progress, one JSON object a line.
func stream[Q, P, A any](mux *http.ServeMux, s *server, path string, need Role, ask func(context.Context, Q, func(P)) (A, error)) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		out := &lineWriter{w: w}
		if who, _ := r.Context().Value(callerKey{}).(caller); s.roles.of(who) < need {
			out.fail(s.roles.mayNot(need, who))
			return
		}
		var q Q
		body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
		body.DisallowUnknownFields()
		if err := body.Decode(&q); err != nil && !errors.Is(err, io.EOF) {
			out.fail(&report.Problem{ID: "bad-request", Exit: report.ExitUsage, Message: "the daemon does not understand this request: " + err.Error(),
				Try: []string{"the same version of flurry on both ends"}})
			return
		}
		a, err := ask(r.Context(), q, func(p P) { out.put(line{Progress: raw(p)}) })
		if err != nil {
			out.fail(err)
			return
		}
		out.put(line{Result: raw(a)})
	})
}

func raw(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		text, _ = json.Marshal("cannot be said: " + err.Error())
	}
	return text
}

// lineWriter writes lines and sends each at once. A client that went away ends the request's context.
type lineWriter struct{ w http.ResponseWriter }

func (o *lineWriter) put(l line) {
	if err := json.NewEncoder(o.w).Encode(l); err != nil {
		return
	}
	if f, ok := o.w.(http.Flusher); ok {
		f.Flush()
	}
}

func (o *lineWriter) fail(err error) {
	var p *report.Problem
	if !errors.As(err, &p) {
		p = &report.Problem{ID: "failed", Message: err.Error(), Exit: report.ExitFailed}
	}
	o.put(line{Error: p})
}
