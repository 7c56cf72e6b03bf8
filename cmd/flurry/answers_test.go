package main

import (
	"testing"

	"github.com/flurry-nix/flurry/httpgateway"
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
