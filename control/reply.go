package control

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/flurry-nix/flurry/report"
)

// reply writes the lines of one answer and sends each at once.
type reply struct {
	w    http.ResponseWriter
	conn *http.ResponseController
	last time.Time // when the last progress was sent
	sent bool      // whether the status code is on its way
}

func newReply(w http.ResponseWriter) *reply {
	w.Header().Set("Content-Type", "application/x-ndjson")
	return &reply{w: w, conn: http.NewResponseController(w)}
}

// failure is how an error stands on a line.
type failure struct {
	Error *report.Problem `json:"error"`
}

// progress sends p, unless something was sent just before.
func (o *reply) progress(p any) {
	now := time.Now()
	if now.Sub(o.last) < progressEvery {
		return
	}
	o.last = now
	o.line(p, http.StatusOK)
}

// end sends the answer, or the error.
func (o *reply) end(a any, err error) {
	if err == nil {
		o.line(a, http.StatusOK)
		return
	}
	p := problemOf(err)
	o.line(failure{p}, statusOf(p))
}

func (o *reply) line(v any, status int) {
	text, err := json.Marshal(v)
	if err != nil {
		p := problemOf(err)
		status = statusOf(p)
		text = p.JSON()
	}
	_ = o.conn.SetWriteDeadline(time.Now().Add(lineTimeout)) // a writer without deadlines is a test's
	if !o.sent {
		o.sent = true
		o.w.WriteHeader(status)
	}
	// When a client is gone or reads no more, the server ends the request's context.
	if _, err := o.w.Write(append(text, '\n')); err == nil {
		_ = o.conn.Flush()
	}
}

// problemOf makes a Problem of any error.
func problemOf(err error) *report.Problem {
	var p *report.Problem
	if errors.As(err, &p) {
		return p
	}
	return &report.Problem{ID: "failed", Message: err.Error(), Exit: report.ExitFailed}
}

// statusOf is the HTTP status that goes with an exit code, for those who ask with curl.
func statusOf(p *report.Problem) int {
	switch p.Exit {
	case report.ExitUsage:
		return http.StatusBadRequest
	case report.ExitNoDaemon, report.ExitRefused:
		return http.StatusForbidden
	case report.ExitUnavailable:
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}
