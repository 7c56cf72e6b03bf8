package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// rounds is how often the crash tests kill: ten times, a hundred in a long campaign.
func rounds() int {
	if os.Getenv("FLURRY_LONG") == "1" {
		return 100
	}
	return 10
}

// batches are packages to publish one after the other, with noise that differs between batches.
func batches(t *testing.T, tag string, n int) [][]nix.StorePath {
	t.Helper()
	const each = 4
	var pkgs []pkg
	for i := range n * each {
		p := pkg{name: fmt.Sprintf("batch-%d-%d", i/each, i%each), seed: 1000 + i, size: 400_000}
		if i%each > 0 {
			p.deps = []int{i - 1}
		}
		pkgs = append(pkgs, p)
	}
	paths := build(t, tag, pkgs...)
	var out [][]nix.StorePath
	for i := range n {
		out = append(out, paths[i*each:(i+1)*each])
	}
	return out
}

// TestKillWhilePublishing kills the publisher at random moments. What it had acknowledged is all there after each
// restart, and right; what it had not is there whole or not at all.
func TestKillWhilePublishing(t *testing.T) {
	const n = 4
	work := batches(t, "kill-publish", n)
	p := daemon(t, "publisher")
	p.must(nil, "new", "acme-1")
	p.must(nil, "use", "acme-1")
	random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	acknowledged := make(map[int]bool)
	for round := range rounds() {
		k := round % n
		root := work[k][len(work[k])-1]
		fate := time.Duration(random.IntN(400)) * time.Millisecond
		kill := time.AfterFunc(fate, func() { p.strike(round) })
		err := p.ask(nil, "publish", "acme-1", root.String())
		if err == nil {
			acknowledged[k] = true
		}
		kill.Stop()
		p.crash(round)
		for done := range acknowledged {
			if err := copyFrom(t, p, p.gateway, p.key, work[done]); err != nil {
				t.Fatalf("round %d, killed after %v: batch %d was acknowledged: %v\n%s", round, fate, done, err, p.stderr)
			}
		}
		for k, batch := range work {
			if acknowledged[k] {
				continue
			}
			listed := 0
			for _, path := range batch {
				if p.has(path) {
					listed++
				}
			}
			if listed != 0 && listed != len(batch) {
				t.Fatalf("round %d: %d of %d paths of a publication that was not acknowledged are listed", round, listed, len(batch))
			}
		}
	}
	if len(acknowledged) == 0 {
		t.Fatal("no publication was ever acknowledged: the kills came too early to test anything")
	}
	p.checksOut()
}

// has reports whether the gateway gives a narinfo for path.
func (p *process) has(path nix.StorePath) bool {
	p.t.Helper()
	resp, err := http.Get(p.gateway + "/" + path.Hash().String() + ".narinfo")
	if err != nil {
		p.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// checksOut has the store read everything and compare it with its name.
func (p *process) checksOut() {
	p.t.Helper()
	var c report.Check
	p.must(&c, "store", "check")
	if len(c.Damaged) > 0 {
		p.t.Fatalf("%d contents are damaged: %v", len(c.Damaged), c.Damaged)
	}
}

// TestKillWhileFetching kills the receiver at random moments while Nix copies from it. After the restart what arrived is
// right, and the copy ends well.
func TestKillWhileFetching(t *testing.T) {
	work := batches(t, "kill-fetch", 5)
	port := peerPort(t)
	p := daemon(t, "publisher", "--port", port)
	var made report.New
	p.must(&made, "new", "acme-1")
	var all []nix.StorePath
	for _, batch := range work {
		p.must(nil, "publish", "acme-1", batch[len(batch)-1].String())
		all = append(all, batch...)
	}
	c := daemon(t, "consumer", "--peer", "127.0.0.1:"+port)
	c.uses(made.Address, len(all))
	random := rand.New(rand.NewPCG(2, uint64(time.Now().UnixNano())))
	cut := 0
	for round := range rounds() {
		fate := time.Duration(20+random.IntN(300)) * time.Millisecond
		kill := time.AfterFunc(fate, func() { c.strike(round) })
		dir := t.TempDir()
		home := filepath.Join(dir, "home")
		args := []string{"nix", "--extra-experimental-features", "nix-command", "copy", "--from", c.gateway, "--to", "local?root=" + filepath.Join(dir, "root"),
			"--option", "trusted-public-keys", c.key, "--option", "substituters", "", "--option", "download-attempts", "1"}
		_, err := nixRun(t, home, append(args, words(all)...)...)
		exec.Command("chmod", "-R", "u+w", dir).Run()
		kill.Stop()
		if err != nil {
			cut++
		}
		c.kill()
		if round == rounds()/2 { // the last half starts from an empty disk again
			if err := os.RemoveAll(filepath.Join(c.state, "packs")); err != nil {
				t.Fatal(err)
			}
			os.RemoveAll(filepath.Join(c.state, "index"))
		}
		c.start()
	}
	if cut == 0 {
		t.Error("no copy was ever cut off: the kills came too late to test anything")
	}
	c.checksOut()
	c.await("to list the namespace's paths", func() bool {
		var s report.Status
		c.must(&s, "status")
		return len(s.Namespaces) == 1 && s.Namespaces[0].Paths == len(all) && s.Namespaces[0].Serving > 0
	})
	if err := copyFrom(t, c, c.gateway, c.key, all); err != nil {
		t.Fatalf("the copy after all crashes: %v\n%s", err, c.stderr)
	}
}

// TestFlippedBits: bits flip in the receiver's packs while it does not run. Readers never see them: what is damaged is
// found when it is read, put out of use and fetched again.
func TestFlippedBits(t *testing.T) {
	paths := small(t, "flipped")
	port := peerPort(t)
	p := daemon(t, "publisher", "--port", port)
	var made report.New
	p.must(&made, "new", "acme-1")
	p.must(nil, "publish", "acme-1", paths[len(paths)-1].String())
	c := daemon(t, "consumer", "--peer", "127.0.0.1:"+port)
	c.stop()
	c.config = filepath.Join(t.TempDir(), "flurry.toml") // this machine's Nix has the paths, undamaged
	if err := os.WriteFile(c.config, []byte("[share]\nin_place = false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.start()
	c.uses(made.Address, len(paths))
	if err := copyFrom(t, c, c.gateway, c.key, paths); err != nil {
		t.Fatal(err)
	}
	c.stop()
	flips := flip(t, c.state, 40)
	c.start()
	c.await("to hear from the publisher", func() bool {
		var s report.Status
		c.must(&s, "status")
		return len(s.Namespaces) == 1 && s.Namespaces[0].Serving > 0
	})
	var before report.Status
	c.must(&before, "status")
	if err := copyFrom(t, c, c.gateway, c.key, paths); err != nil {
		t.Fatalf("with %d flipped bits: %v\n%s", flips, err, c.stderr)
	}
	var after report.Status
	c.must(&after, "status")
	if after.Traffic.Received == before.Traffic.Received {
		t.Errorf("%d bits were flipped, and nothing was fetched again", flips)
	}
	p.stop()
	if err := copyFrom(t, c, c.gateway, c.key, paths); err != nil {
		t.Fatalf("what was healed does not stand alone: %v\n%s", err, c.stderr)
	}
}

// flip flips n bits spread over the packs below state.
func flip(t *testing.T, state string, n int) int {
	t.Helper()
	packs, err := filepath.Glob(filepath.Join(state, "packs", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("no packs below %s: %v", state, err)
	}
	flips := 0
	for _, name := range packs {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		for k := range n {
			at := info.Size() * int64(k+1) / int64(n+1)
			if at < 4096 {
				continue // the file's own header
			}
			b := make([]byte, 1)
			if _, err := f.ReadAt(b, at); err != nil {
				t.Fatal(err)
			}
			b[0] ^= 1 << (k % 8)
			if _, err := f.WriteAt(b, at); err != nil {
				t.Fatal(err)
			}
			flips++
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return flips
}

// TestIndexThrownAway: the index can be deleted at any time; it is made anew from the packs.
func TestIndexThrownAway(t *testing.T) {
	paths := small(t, "reindex")
	p := daemon(t, "publisher")
	p.must(nil, "new", "acme-1")
	p.must(nil, "use", "acme-1")
	p.must(nil, "publish", "acme-1", paths[len(paths)-1].String())
	if code := p.exitCode("store", "check", "--state", p.state, "--rebuild-index"); code != report.ExitFailed {
		t.Errorf("rebuilding the index under a running daemon: exit code %d", code)
	}
	p.stop()
	var c report.Check
	p.must(&c, "store", "check", "--state", p.state, "--rebuild-index")
	if !c.Rebuilt || len(c.Damaged) > 0 || c.Chunks == 0 {
		t.Errorf("the rebuilt store: %+v", c)
	}
	p.start()
	if err := copyFrom(t, p, p.gateway, p.key, paths); err != nil {
		t.Fatal(err)
	}
	p.stop()
	for _, dir := range []string{"index", "db"} { // without being asked
		if err := os.RemoveAll(filepath.Join(p.state, dir)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	p.start()
	if err := copyFrom(t, p, p.gateway, p.key, paths); err != nil {
		t.Fatal(err)
	}
}
