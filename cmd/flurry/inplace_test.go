package main

import (
	"context"
	"io/fs"
	"log/slog"
	"syscall"
	"testing"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/nix/nixtest"
)

// TestHoldOutlivesTheReader: a peer that hangs up while Nix is asked takes from others neither what is kept for them nor the
// next question.
func TestHoldOutlivesTheReader(t *testing.T) {
	nixtest.Require(t, "nix-daemon")
	p := newNixPaths(daemon.Options{Remote: "local?root=" + t.TempDir()}, slog.New(slog.DiscardHandler))
	defer func() { p.close(p.store) }()
	path := func(name string) nix.StorePath {
		one, err := nix.ParseStorePath("/nix/store/0000000000000000000000000000000" + name)
		if err != nil {
			t.Fatal(err)
		}
		return one
	}
	first, second, third := path("1-a"), path("2-b"), path("3-c")
	p.Hold(t.Context(), first)
	if p.held[first].IsZero() {
		t.Fatal("Nix does not keep a path")
	}
	kept := p.store
	left, leave := context.WithCancel(t.Context())
	leave()
	for range 20 { // where both may go on, either does
		p.Hold(left, second)
	}
	if p.store != kept || p.held[first].IsZero() || !p.silent.IsZero() {
		t.Error("who hung up took along what is kept for others")
	}
	if p.Hold(t.Context(), third); p.held[third].IsZero() {
		t.Error("afterwards Nix is not asked any more")
	}
}

// TestHoldOutlivesNix: when nix-daemon was restarted, and keeps nothing any more, what is still read is soon kept again.
func TestHoldOutlivesNix(t *testing.T) {
	nixtest.Require(t, "nix-daemon")
	p := newNixPaths(daemon.Options{Remote: "local?root=" + t.TempDir()}, slog.New(slog.DiscardHandler))
	defer func() { p.close(p.store) }()
	one, err := nix.ParseStorePath("/nix/store/00000000000000000000000000000001-a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := nix.ParseStorePath("/nix/store/00000000000000000000000000000002-b")
	if err != nil {
		t.Fatal(err)
	}
	p.Hold(t.Context(), one)
	p.Hold(t.Context(), other)
	before := p.store
	p.close(before) // as far as can be seen here
	if p.Hold(t.Context(), one); p.store != before {
		t.Fatal("Nix is asked at each reading")
	}
	p.held[one] = p.held[one].Add(-rootsFresh)
	if p.Hold(t.Context(), one); p.store == before || p.store == nil || p.held[one].IsZero() || !p.silent.IsZero() {
		t.Fatal("what Nix kept before it was restarted is not asked for again")
	}
	if !p.held[other].IsZero() {
		t.Error("what was kept over a connection that is gone counts as kept")
	}
	if p.Hold(t.Context(), other); p.held[other].IsZero() {
		t.Error("another path is not asked for again")
	}
}

// TestShort: what a machine lacks for a moment is told from what is wrong with a path for good.
func TestShort(t *testing.T) {
	p := newNixPaths(daemon.Options{}, slog.New(slog.DiscardHandler))
	for errno, want := range map[syscall.Errno]bool{syscall.EMFILE: true, syscall.ENFILE: true, syscall.ENOMEM: true, syscall.EACCES: false, syscall.EIO: false, syscall.ENOENT: false} {
		if got := p.Short(&fs.PathError{Op: "open", Err: errno}); got != want {
			t.Errorf("%v: %v", errno, got)
		}
	}
}
