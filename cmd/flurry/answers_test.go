package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/httpgateway"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/trust"
)

// TestLastNo: Nix remembers the last word on a narinfo, if that was no, and nothing of NARs.
func TestLastNo(t *testing.T) {
	about := func(nar bool, o httpgateway.Outcome) httpgateway.Answer {
		return httpgateway.Answer{Nar: nar, Outcome: o}
	}
	for _, test := range []struct {
		name    string
		answers []httpgateway.Answer // the newest first
		want    int                  // which of them it is; -1: none
	}{
		{"never asked", nil, -1},
		{"given", []httpgateway.Answer{about(false, httpgateway.Given), about(false, httpgateway.NotHere)}, -1},
		{"not here", []httpgateway.Answer{about(false, httpgateway.NotHere), about(false, httpgateway.Given)}, 0},
		{"late", []httpgateway.Answer{about(false, httpgateway.Late)}, 0},
		{"failed", []httpgateway.Answer{about(false, httpgateway.Failed)}, 0},
		{"its NAR broke off", []httpgateway.Answer{about(true, httpgateway.Aborted), about(false, httpgateway.Given)}, -1},
		{"its NAR was gone", []httpgateway.Answer{about(true, httpgateway.NotHere), about(false, httpgateway.Given)}, -1},
		{"Nix did not wait", []httpgateway.Answer{about(false, httpgateway.Left), about(false, httpgateway.NotHere)}, 1},
	} {
		got, ok := lastNo(test.answers)
		if ok != (test.want >= 0) || ok && got != test.answers[test.want] {
			t.Errorf("%s: %+v, %v", test.name, got, ok)
		}
	}
}

// hanging is a cache that answers nothing in time.
type hanging struct{ endless }

func (hanging) Info(ctx context.Context, _ string, _ nix.PathHash) (trust.Verified, error) {
	<-ctx.Done()
	return trust.Verified{}, ctx.Err()
}

// TestLateIsShown: answers that the budget cut off are counted, and status says that there were some.
func TestLateIsShown(t *testing.T) {
	i, _ := publishing(t, filepath.Join(t.TempDir(), "state"))
	i.gateway = httpgateway.New(hanging{}, httpgateway.Options{Budget: 10 * time.Millisecond})
	for k := range 3 {
		w := httptest.NewRecorder()
		i.gateway.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/"+nix.PathHash{byte(k)}.String()+".narinfo", nil))
		if w.Code != http.StatusNotFound {
			t.Errorf("late is %d", w.Code)
		}
	}
	s, err := i.verbs().Status(t.Context(), control.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Gateway.Late != 3 || s.Gateway.NotHere != 3 || !slices.ContainsFunc(s.Problems, func(p report.Problem) bool {
		return p.ID == "late" && strings.HasPrefix(p.Message, "3 answers took longer")
	}) {
		t.Errorf("%+v, %+v", s.Gateway, s.Problems)
	}
}
