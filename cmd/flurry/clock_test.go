package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
)

// TestClockSkew: who publishes with a clock that is wrong is told by how much, and what to do; whose clock is behind is not
// told that others hold anything back.
func TestClockSkew(t *testing.T) {
	err := publishProblem("acme-1", "state", fmt.Errorf("publish: %w", &node.ClockError{Clock: node.Clock{Ahead: 14 * time.Minute, Peers: 9}}))
	var p *report.Problem
	if !errors.As(err, &p) || p.ID != "clock-skew" || p.Exit != report.ExitFailed || len(p.Try) == 0 {
		t.Fatalf("%+v", err)
	}
	if want := "this machine's clock is 14 min ahead of 9 peers; a publication dated in the future is held back by others until then"; p.Message != want {
		t.Errorf("%q, want %q", p.Message, want)
	}
	if p := report.ClockSkew(-time.Hour, 1); !strings.Contains(p.Message, "1 h 0 min behind 1 peer;") || strings.Contains(p.Message, "held back") {
		t.Errorf("%q", p.Message)
	}
}
