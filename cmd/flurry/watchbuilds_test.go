package main

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/report"
)

// watches is a watch whose daemon answers as answer says, and what it publishes.
func watches(answer func(paths []string) error) (w *watcher, published *[][]string, said *bytes.Buffer) {
	published, said = new([][]string), new(bytes.Buffer)
	to := &player{publish: func(_ context.Context, r control.PublishRequest, _ func(report.PublishProgress)) (report.Publish, error) {
		if err := answer(r.Paths); err != nil {
			return report.Publish{}, err
		}
		*published = append(*published, r.Paths)
		return report.Publish{Paths: len(r.Paths)}, nil
	}}
	sh := &shell{environment: environment{out: new(bytes.Buffer), err: said, getenv: func(string) string { return "" }}}
	return &watcher{sh: sh, to: to, request: control.PublishRequest{Namespace: "acme-1", Unnamed: true}, delay: time.Hour, fresh: make(chan struct{}, 1)}, published, said
}

// builds has Nix build paths of those numbers.
func (w *watcher) builds(t *testing.T, from, to int) {
	t.Helper()
	var infos []daemon.PathInfo
	for i := from; i < to; i++ {
		infos = append(infos, daemon.PathInfo{Path: spath(t, i)})
	}
	if err := w.Built(t.Context(), infos); err != nil {
		t.Fatal(err)
	}
}

// TestWatchBatches: a batch is 200 paths, each once; what is bad itself is said and left, and costs the others a few publications.
func TestWatchBatches(t *testing.T) {
	bad := spath(t, 77).String()
	w, published, said := watches(func(paths []string) error {
		if slices.Contains(paths, bad) {
			return &report.Problem{ID: "not-valid", Message: "it is not valid"}
		}
		return nil
	})
	w.builds(t, 0, 250)
	w.builds(t, 100, 250) // Nix tells of them again
	for range 2 {
		if again, err := w.publish(t.Context()); again != 0 || err != nil {
			t.Fatal(again, err)
		}
	}
	few := len(*published)
	w.builds(t, 250, 500)
	for range 2 {
		if again, err := w.publish(t.Context()); again != 0 || err != nil {
			t.Fatal(again, err)
		}
	}
	if all := (*published)[few:]; len(all) != 2 || len(all[0]) != batchPaths || len(all[1]) != 50 {
		t.Errorf("250 good paths are %d publications, the first of %d", len(all), len(all[0]))
	}
	got := make(map[string]int)
	for _, paths := range *published {
		for _, p := range paths {
			got[p]++
		}
	}
	for i := range 500 {
		if p, want := spath(t, i).String(), 1; got[p] != want && p != bad {
			t.Errorf("%s was published %d times", p, got[p])
		}
	}
	if few > 10 || w.dropped != 1 || w.published != 499 || len(w.waiting) != 0 || strings.Count(said.String(), "\n") != 1 || !strings.Contains(said.String(), bad+" is not published: ") {
		t.Errorf("%d publications, %d dropped, %d published, %d wait: %s", few, w.dropped, w.published, len(w.waiting), said)
	}
}

// TestWatchFails: what fails for a while is tried again, and nothing is lost; what nobody but a person can mend ends the watch.
func TestWatchFails(t *testing.T) {
	var fails error
	w, published, said := watches(func([]string) error { return fails })
	w.builds(t, 0, 3)
	fails = &report.Problem{ID: "disk-full", Exit: report.ExitFailed, Message: "the disk is full"}
	if again, err := w.publish(t.Context()); again != watchRetry || err != nil || len(w.waiting) != 3 || !strings.Contains(said.String(), "the disk is full; tried again in 10s") {
		t.Errorf("%s, %v, %d wait: %s", again, err, len(w.waiting), said)
	}
	fails = nil
	if again, err := w.publish(t.Context()); again != 0 || err != nil || len(w.waiting) != 0 || len(*published) != 1 || len((*published)[0]) != 3 {
		t.Errorf("%s, %v, %d wait, %q", again, err, len(w.waiting), *published)
	}
	w.builds(t, 3, 4)
	for _, id := range []string{"may-not", "no-document", "no-nix"} {
		fails = &report.Problem{ID: id, Message: "no"}
		if _, err := w.publish(t.Context()); !isProblem(err, id) || len(w.waiting) != 1 {
			t.Errorf("%s: %v, %d wait", id, err, len(w.waiting))
		}
	}
}

// TestWatchBound: what is too much for a watch is refused, so that it is told again later.
func TestWatchBound(t *testing.T) {
	w, _, _ := watches(func([]string) error { return nil })
	for i := range maxWatched {
		w.waiting = append(w.waiting, spath(t, i))
	}
	if err := w.Built(t.Context(), []daemon.PathInfo{{Path: spath(t, maxWatched)}}); err == nil || len(w.waiting) != maxWatched {
		t.Errorf("%v, %d wait", err, len(w.waiting))
	}
}
