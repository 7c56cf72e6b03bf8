package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/internal/spool"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
)

// press is a place to publish at that remembers what was.
type press struct {
	mu      sync.Mutex
	printed []int                            // how many paths each publication had
	has     map[string]int                   // "ALIAS PATH": how often it was published
	held    map[nix.StorePath]bool           // while it is open
	opened  int                              // how many are open
	fails   func([]nix.StorePath) error      // nil: nothing does
	leaves  func(nix.StorePath) (why string) // "": it is taken
	down    error                            // why it does not open
}

func newPress() *press { return &press{has: make(map[string]int), held: make(map[nix.StorePath]bool)} }

func (p *press) begin(context.Context) (giver, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down != nil {
		return nil, p.down
	}
	p.opened++
	return p, nil
}

func (p *press) Hold(_ context.Context, paths []nix.StorePath) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, path := range paths {
		p.held[path] = true
	}
}

func (p *press) Publish(_ context.Context, sp node.Space, paths []nix.StorePath) (report.Publish, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fails != nil {
		if err := p.fails(paths); err != nil {
			return report.Publish{}, err
		}
	}
	var r report.Publish
	n := 0
	for _, path := range paths {
		if p.leaves != nil {
			if why := p.leaves(path); why != "" {
				r.Excluded = append(r.Excluded, report.Left{Path: path.String(), Why: why})
				continue
			}
		}
		p.has[sp.Alias+" "+path.Name()]++
		n++
	}
	p.printed = append(p.printed, n)
	return r, nil
}

func (p *press) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened--
	clear(p.held)
	return nil
}

// desk is a drainer over a queue of the test's own.
type desk struct {
	*drainer
	*press
	t      *testing.T
	state  string
	spaces []node.Space
	end    func()
	added  int
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, state: t.TempDir(), press: newPress()}
	for _, name := range []string{"acme-1", "home-1"} {
		d.spaces = append(d.spaces, node.Space{Alias: name, Address: address(t, name), Automatic: node.Automatic{When: node.WhenAlways}})
	}
	d.spaces = append(d.spaces, node.Space{Alias: "other-1", Address: address(t, "other-1")})
	return d
}

// run drains until stop.
func (d *desk) run() {
	d.drainer = newDrainer(d.state, d.known, d.press.begin, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := d.drainer.run(ctx); err != nil {
			d.t.Error(err)
		}
	}()
	d.end = func() {
		d.change(func() {})
		cancel()
		<-done
		if d.opened != 0 {
			d.t.Errorf("%d are open at the end", d.opened)
		}
	}
}

func spath(t *testing.T, n int) nix.StorePath {
	t.Helper()
	p, err := nix.ParseBaseName(fmt.Sprintf("%032d-p%d", n, n))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// add queues the paths of numbers.
func (d *desk) add(why string, namespaces []string, numbers ...int) {
	d.t.Helper()
	d.added++ // entries of one moment have no order
	e := spool.Entry{Time: time.Now().Add(time.Duration(d.added)), Why: why, Namespaces: namespaces}
	for _, n := range numbers {
		e.Paths = append(e.Paths, spath(d.t, n))
	}
	if err := addTo(d.state, e); err != nil {
		d.t.Fatal(err)
	}
}

// known are the namespaces as the drainer is told of them.
func (d *desk) known() []node.Space {
	d.press.mu.Lock()
	defer d.press.mu.Unlock()
	return d.spaces
}

// change changes what the drainer meets while it runs.
func (d *desk) change(how func()) {
	d.press.mu.Lock()
	defer d.press.mu.Unlock()
	how()
}

// after lets time pass, in which everything is done that is due.
func (d *desk) after(pass time.Duration) {
	d.change(func() {}) // what was looked at was looked at before
	time.Sleep(pass)
	synctest.Wait()
}

// files are those of the queue's entries.
func (d *desk) files() int {
	d.t.Helper()
	names, err := filepath.Glob(filepath.Join(d.state, spool.Dir, "*.queued"))
	if err != nil {
		d.t.Fatal(err)
	}
	return len(names)
}

// shown is what status says of the queue.
func (d *desk) shown() report.Status {
	var s report.Status
	for _, sp := range d.spaces {
		s.Namespaces = append(s.Namespaces, report.Namespace{Alias: sp.Alias, Key: sp.Address.String()})
	}
	d.drainer.status(&s, func(_ string, err error) *report.Problem { return &report.Problem{Message: err.Error()} })
	return s
}

func (d *desk) published(want ...int) {
	d.t.Helper()
	if !slices.Equal(d.printed, want) {
		d.t.Errorf("publications of %v paths, not %v", d.printed, want)
	}
}

func numbers(from, to int) (all []int) {
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

// TestDrainBatches: one publication for what comes within ten seconds, or for 200 paths; each path once.
func TestDrainBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.run()
		defer func() { d.end() }()
		for i := range 8 {
			d.add("hook", []string{"acme-1"}, i)
			d.after(time.Second)
		}
		if s := d.shown(); s.Queue == nil || s.Queue.Waiting != 8 || s.Namespaces[0].Queued != 8 || s.Queue.Oldest == nil || time.Since(*s.Queue.Oldest) < 7*time.Second || len(d.held) != 8 {
			t.Errorf("%+v; %d held", s.Queue, len(d.held))
		}
		d.published()
		d.after(3 * time.Second)
		d.published(8)
		if s := d.shown(); s.Queue != nil || d.files() != 0 {
			t.Errorf("%+v, %d files are left", s.Queue, d.files())
		}
		d.after(2 * time.Second)
		if d.opened != 0 {
			t.Error("the Nix store is open, and what it holds held, though nothing waits")
		}
		d.add("hook", []string{"acme-1"}, numbers(100, 550)...)
		d.after(2 * time.Second)
		d.published(8, batchPaths, batchPaths)
		d.after(10 * time.Second)
		d.published(8, batchPaths, batchPaths, 50)
		for what, n := range d.has {
			if n != 1 {
				t.Errorf("%s was published %d times", what, n)
			}
		}
	})
}

// TestDrainNotRemoved: an entry that is done and cannot be removed is removed later, and is not published a second time.
func TestDrainNotRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.run()
		defer func() { d.end() }()
		d.add("hook", []string{"acme-1"}, 1)
		d.after(2 * time.Second)
		entries, err := filepath.Glob(filepath.Join(d.state, spool.Dir, "*.queued"))
		if err != nil || len(entries) != 1 {
			t.Fatal(entries, err)
		}
		inTheWay := filepath.Join(entries[0], "x") // a directory in its place cannot be removed while there is something in it
		if err := errors.Join(os.Remove(entries[0]), os.Mkdir(entries[0], 0o755), os.WriteFile(inTheWay, nil, 0o644)); err != nil {
			t.Fatal(err)
		}
		d.after(12 * time.Second)
		d.published(1)
		if d.files() != 1 {
			t.Fatal("it could be removed")
		}
		if err := os.Remove(inTheWay); err != nil {
			t.Fatal(err)
		}
		d.after(2 * time.Second)
		d.published(1)
		if d.files() != 0 {
			t.Error("it is still there")
		}
	})
}

// TestDrainTargets: what a hook gives goes to all that take it, what was built to whom it is for, each path once though
// both say it.
func TestDrainTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.run()
		defer func() { d.end() }()
		d.add("hook", nil, 1)
		d.add("always", []string{d.spaces[0].Address.String()}, 1, 2)
		d.add("hook", []string{"other-1"}, 3)
		d.add("always", []string{"other-1"}, 4) // was switched off meanwhile
		d.add("hook", []string{"nowhere-1"}, 5)
		d.after(12 * time.Second)
		want := map[string]int{"acme-1 p1": 1, "home-1 p1": 1, "acme-1 p2": 1, "other-1 p3": 1}
		if fmt.Sprint(d.has) != fmt.Sprint(want) {
			t.Errorf("%v, not %v", d.has, want)
		}
		if s := d.shown(); s.Queue == nil || len(s.Queue.Left) != 2 || !strings.Contains(s.Queue.Left[0].Why, "not published to other-1 any more") || !strings.Contains(s.Queue.Left[1].Why, `"nowhere-1"`) {
			t.Errorf("%+v", s.Queue)
		}
		d.change(func() { d.spaces = d.spaces[2:] })
		d.add("hook", nil, 6)
		d.after(12 * time.Second)
		if s := d.shown(); len(s.Queue.Left) != 3 || !strings.Contains(s.Queue.Left[2].Why, "no namespace takes") || d.files() != 0 {
			t.Errorf("%+v, %d files", s.Queue, d.files())
		}
	})
}

// TestDrainBadPaths: what cannot be published leaves the queue, and it is told why; the others are published together.
func TestDrainBadPaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		gone, corrupt, excluded, needs := spath(t, 1), spath(t, 2), spath(t, 3), spath(t, 4)
		fails := func(paths []nix.StorePath) error {
			switch {
			case slices.Contains(paths, gone):
				return fmt.Errorf("publish: %w", &daemon.NotValidError{Paths: []nix.StorePath{gone}})
			case slices.Contains(paths, corrupt):
				return &node.CorruptPathError{Path: corrupt}
			case slices.Contains(paths, needs):
				return &node.CorruptPathError{Path: spath(t, 99)}
			}
			return nil
		}
		d.change(func() { d.fails = fails })
		d.leaves = func(p nix.StorePath) string {
			if p == excluded {
				return `excluded by "p3"`
			}
			return ""
		}
		d.run()
		defer func() { d.end() }()
		d.add("hook", []string{"acme-1"}, 0, 1, 2, 3, 5)
		d.after(11 * time.Second)
		d.published(2)
		d.add("hook", []string{"acme-1"}, 4, 6)
		d.after(11 * time.Second)
		d.published(2, 1)
		var left []string
		for _, l := range d.shown().Queue.Left {
			left = append(left, l.Path[len(l.Path)-2:]+" "+l.Why)
		}
		for i, want := range []string{"p1 acme-1: Nix does not know it", "p2 acme-1: its bytes", `p3 acme-1: excluded by "p3"`, "p4 acme-1: needs "} {
			if len(left) != 4 || !strings.HasPrefix(left[i], want) {
				t.Fatalf("%q", left)
			}
		}
		if d.files() != 0 {
			t.Errorf("%d files are left", d.files())
		}
	})
}

// TestDrainFailures: what fails stays, on the disk too, and is tried again; one path or one namespace that fails does not
// keep others back.
func TestDrainFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		odd := spath(t, 1)
		fails := func(paths []nix.StorePath) error {
			if slices.Contains(paths, odd) {
				return io.ErrUnexpectedEOF
			}
			return nil
		}
		d.change(func() { d.fails = fails })
		d.run()
		defer func() { d.end() }()
		d.add("hook", []string{"acme-1"}, 0, 1)
		d.add("hook", []string{"acme-1"}, 2)
		d.after(11 * time.Second)
		d.published(1, 1)
		d.add("hook", []string{"acme-1"}, 3, 4)
		d.after(11 * time.Second)
		s := d.shown()
		if d.files() != 1 || s.Namespaces[0].Queued != 1 || len(s.Problems) != 1 || s.Problems[0].ID != "queue-stuck" || s.Problems[0].Found[0] != io.ErrUnexpectedEOF.Error() {
			t.Errorf("%d files, %+v", d.files(), s)
		}
		if d.has["acme-1 p3"] != 1 || d.has["acme-1 p4"] != 1 {
			t.Errorf("%v", d.has)
		}
		full := &report.Problem{ID: "disk-full", Message: "full"}
		d.change(func() { d.fails = func([]nix.StorePath) error { return full } })
		d.add("hook", nil, 5, 6)
		d.after(11 * time.Second)
		if s := d.shown(); len(s.Problems) != 2 || s.Queue.Waiting != 5 || d.files() != 2 {
			t.Errorf("%+v, %d files", s, d.files())
		}
		d.end()

		// Another process finds it.
		d.change(func() { d.fails = nil })
		d.run()
		d.after(time.Second)
		if s := d.shown(); s.Queue != nil || d.files() != 0 {
			t.Errorf("%+v, %d files", s.Queue, d.files())
		}
		for _, what := range []string{"acme-1 p1", "acme-1 p5", "home-1 p6"} {
			if d.has[what] != 1 {
				t.Errorf("%s was published %d times", what, d.has[what])
			}
		}
		if d.has["acme-1 p2"] != 1 {
			t.Error("what was published before was published again")
		}
	})
}

// TestDrainRetries: the longer it fails the more seldom it is tried, but within five minutes it is.
func TestDrainRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		tried := 0
		d.change(func() { d.fails = func([]nix.StorePath) error { tried++; return errors.Join(daemon.ErrNoNix) } })
		d.run()
		defer func() { d.end() }()
		d.add("hook", []string{"acme-1"}, 1)
		d.after(time.Hour)
		if tried < 12 || tried > 20 {
			t.Errorf("tried %d times in an hour", tried)
		}
		d.change(func() { d.fails = nil })
		d.after(5*time.Minute + time.Second)
		d.published(1)
		if len(d.shown().Problems) != 0 {
			t.Error("it is still a problem")
		}
	})
}

// TestDrainNoNix: without a Nix nothing is lost, and it is said.
func TestDrainNoNix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.change(func() { d.down = daemon.ErrNoNix })
		d.run()
		defer func() { d.end() }()
		d.add("hook", []string{"acme-1"}, 1)
		d.after(time.Minute)
		if s := d.shown(); len(s.Problems) != 1 || s.Problems[0].Found[0] != daemon.ErrNoNix.Error() {
			t.Errorf("%+v", s.Problems)
		}
		d.change(func() { d.down = nil })
		d.after(5*time.Minute + time.Second)
		d.published(1)
	})
}

// TestDrainDamaged: what is no entry is set aside and told of; a queue that cannot be read is a problem until it can.
func TestDrainDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.add("hook", []string{"acme-1"}, 1)
		dir := filepath.Join(d.state, spool.Dir)
		if err := os.WriteFile(filepath.Join(dir, "0.queued"), []byte("{"), 0o644); err != nil {
			t.Fatal(err)
		}
		d.run()
		defer func() { d.end() }()
		d.after(11 * time.Second)
		d.published(1)
		if s := d.shown(); len(s.Queue.Left) != 1 || !strings.Contains(s.Queue.Left[0].Why, "no entry") || d.files() != 0 {
			t.Errorf("%+v", s.Queue)
		}
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		d.after(2 * time.Second)
		if s := d.shown(); len(s.Problems) != 1 || s.Problems[0].ID != "queue-unreadable" {
			t.Errorf("%+v", s.Problems)
		}
		if err := errors.Join(os.Remove(dir), os.Rename(dir+".away", dir)); err != nil {
			t.Fatal(err)
		}
		d.add("hook", []string{"acme-1"}, 2)
		d.after(11 * time.Second)
		d.published(1, 1)
		if s := d.shown(); len(s.Problems) != 0 {
			t.Errorf("%+v", s.Problems)
		}
	})
}

// TestDrainForgotten: what waits for a namespace that is not known any more leaves the queue.
func TestDrainForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.run()
		defer func() { d.end() }()
		d.add("hook", []string{"acme-1", "home-1"}, 1)
		d.after(2 * time.Second)
		d.change(func() { d.spaces = d.spaces[1:] })
		d.after(11 * time.Second)
		if s := d.shown(); len(s.Queue.Left) != 1 || d.files() != 0 || d.has["home-1 p1"] != 1 {
			t.Errorf("%+v, %v", s.Queue, d.has)
		}
	})
}

// TestDrainBound: no more is in memory than there may be; the rest is counted, and follows.
func TestDrainBound(t *testing.T) {
	d := newDesk(t)
	d.drainer = newDrainer(d.state, d.known, d.press.begin, slog.New(slog.DiscardHandler))
	l := &lane{waiting: make(map[nix.StorePath]*pending)}
	for i := range maxLoaded {
		p := spath(t, 1000+i)
		l.waiting[p] = &pending{path: p, since: time.Now().Add(time.Hour), entries: []string{"x"}}
	}
	d.lanes = map[namespace.Address]*lane{d.spaces[0].Address: l}
	d.add("hook", []string{"acme-1"}, 1)
	if !d.scan(t.Context()) || d.loaded() != maxLoaded || d.more != 1 {
		t.Errorf("%d are loaded, %d wait on the disk", d.loaded(), d.more)
	}
	d.rest()
}
