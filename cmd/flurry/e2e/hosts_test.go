package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/internal/netlab"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// needHosts makes a lab, skips a test where there can be none, and fails it where Nix is required.
func needHosts(t *testing.T) *netlab.Lab {
	t.Helper()
	needNix(t)
	if err := netlab.Missing(); err != nil {
		if os.Getenv("FLURRY_REQUIRE_NIX") == "1" {
			t.Fatalf("FLURRY_REQUIRE_NIX=1, and %v", err)
		}
		t.Skip(err)
	}
	l, err := netlab.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// hostPort is the port of peers on hosts of a lab, where nobody else has any.
const hostPort = "7670"

// labBudget is how long a daemon in a lab may look for a path: so long that an answer that did not wait for it can be told
// from one that did, on the busiest machine.
const labBudget = 10 * time.Second

// daemonOn starts a daemon on a host of its own, whose line to the middle is as make makes it.
func daemonOn(t *testing.T, make func(context.Context, netlab.Rate) (*netlab.Host, error), rate netlab.Rate, name string, args ...string) *process {
	t.Helper()
	h, err := make(t.Context(), rate)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "flurry.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "[share]\nupload = \"0\"\n[gateway]\nbudget_wan = %q\nbudget_lan = %q\n", labBudget, labBudget), 0o644); err != nil { // the line is the limit
		t.Fatal(err)
	}
	p := &process{t: t, name: name, state: filepath.Join(filepath.Dir(config), name), config: config, args: append(args, "--port", hostPort), host: h}
	p.start()
	t.Cleanup(p.kill)
	return p
}

// peer is how others name the node on a host.
func (p *process) peer() string { return net.JoinHostPort(p.host.Addr(), hostPort) }

// get asks the gateway from the machine that it runs on.
func (p *process) get(path string) (status int, took time.Duration) {
	p.t.Helper()
	transport := &http.Transport{DialContext: p.host.Dial, DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.gateway+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	start := time.Now()
	response, err := transport.RoundTrip(request)
	if err != nil {
		p.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode, time.Since(start)
}

// TestPublisherBehindNAT: a seed pulls what it is offered over the publisher's own connection, since nobody can dial the
// publisher. With the publisher off, a third has it from the seed.
func TestPublisherBehindNAT(t *testing.T) {
	lab := needHosts(t)
	paths := small(t, "nat")
	root := paths[len(paths)-1]
	seed := daemonOn(t, lab.Host, 0, "seed")
	publisher := daemonOn(t, lab.Behind, 0, "publisher")
	var made report.New
	publisher.must(&made, "new", "acme-1")
	seed.must(nil, "seed", made.Address, "--quota", "1GiB", "--promise", "30d")

	var published report.Publish
	publisher.must(&published, "publish", "acme-1", root.String(), "--copies", "1", "--peer", seed.peer())
	if published.Exit != 0 || len(published.Copies) != 1 {
		t.Fatalf("published with exit code %d and copies %+v", published.Exit, published.Copies)
	}
	kept := published.Copies[0]
	if kept.Until == nil || kept.Until.Before(time.Now().AddDate(0, 0, 29)) {
		t.Errorf("the receipt promises to keep it until %v, the seed was told 30 days", kept.Until)
	}
	if c, err := seed.host.Dial(t.Context(), "tcp4", publisher.peer()); err == nil {
		c.Close()
		t.Error("the publisher can be dialled: this is no NAT")
	}
	publisher.stop()

	third := daemonOn(t, lab.Host, 0, "third", "--peer", seed.peer())
	third.uses(made.Address, len(paths))
	if err := realise(t, third, third.gateway, third.key, paths); err != nil {
		t.Fatalf("%v\n%s", err, third.stderr)
	}
}

// workload is the closure that FLURRY_CLOSURE lists, a file with all its store paths, one a line. Without that it is made, in the
// proportions of a real one, a hundredth of its paths having most of its bytes: 30 paths, 50 MB of NARs, some 17 MB of which
// neither compress nor are in it twice.
func workload(t *testing.T, tag string) (paths []nix.StorePath) {
	t.Helper()
	if file := os.Getenv("FLURRY_CLOSURE"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Fields(string(text)) {
			p, err := nix.ParseStorePath(line)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			paths = append(paths, p)
		}
		return paths
	}
	var pkgs []pkg
	for i := range 30 {
		p := pkg{name: fmt.Sprintf("workload-%d", i), seed: 5000 + i, size: 60_000 << (i % 5)}
		switch i {
		case 7:
			p.size = 12_000_000
		case 29:
			p.size = 24_000_000
		}
		if i > 0 {
			p.deps = []int{i / 2}
		}
		pkgs = append(pkgs, p)
	}
	for i := range pkgs[:29] {
		pkgs[29].deps = append(pkgs[29].deps, i)
	}
	return build(t, tag, pkgs...)
}

// received is what the node has received from peers so far, in bytes of payload.
func (p *process) received() uint64 {
	p.t.Helper()
	var s report.Status
	p.must(&s, "status")
	return s.Traffic.Received
}

// inFlight bounds what is lost of a peer's answers when it disappears: what was asked of it and had not come, which is half a
// second of what it brings. Here that is 2.5 MB as sent, and the receiver goes by raw bytes.
const inFlight = 4 << 20

// TestSeedKilledMidCopy: the publisher is off, and one of two seeds disappears while Nix copies a closure. The copy ends
// well, and nothing is fetched twice but what was in flight.
func TestSeedKilledMidCopy(t *testing.T) {
	lab := needHosts(t)
	paths := workload(t, "killed")
	publisher := daemonOn(t, lab.Host, 0, "publisher")
	var made report.New
	publisher.must(&made, "new", "acme-1")
	publisher.must(nil, append([]string{"publish", "acme-1"}, words(paths)...)...)
	var seeds []*process
	for _, name := range []string{"first", "second"} {
		s := daemonOn(t, lab.Host, 0, name, "--peer", publisher.peer())
		var seeded report.Seeded
		s.must(&seeded, "seed", made.Address, "--quota", "1GiB")
		if seeded.Paths != len(paths) || seeded.Pending != 0 || len(seeded.Warnings) > 0 {
			t.Fatalf("%s has not all of it: %+v", name, seeded)
		}
		seeds = append(seeds, s)
	}
	publisher.stop()
	for _, s := range seeds {
		if err := s.host.SetRate(t.Context(), 40*netlab.Mbit); err != nil {
			t.Fatal(err)
		}
	}
	receiver := func(name string) *process {
		r := daemonOn(t, lab.Host, 0, name, "--peer", seeds[0].peer(), "--peer", seeds[1].peer())
		r.uses(made.Address, len(paths))
		r.await("to find both seeds", func() bool {
			var s report.Status
			r.must(&s, "status")
			return len(s.Namespaces) == 1 && s.Namespaces[0].Serving == 2
		})
		return r
	}

	// How much it is when nobody disappears.
	calm := receiver("calm")
	if err := copyFrom(t, calm, calm.gateway, calm.key, paths); err != nil {
		t.Fatalf("%v\n%s", err, calm.stderr)
	}
	want := calm.received()
	calm.stop()

	r := receiver("receiver")
	ended := make(chan error, 1)
	go func() { ended <- copyFrom(t, r, r.gateway, r.key, paths) }()
	r.await("to have a third of it", func() bool { return r.received() > want/3 })
	seeds[1].kill()
	select {
	case err := <-ended:
		t.Fatalf("the copy had ended before a seed was killed: %v", err)
	default:
	}
	if err := <-ended; err != nil {
		t.Fatalf("one of two seeds disappeared: %v\n%s", err, r.stderr)
	}
	if got := r.received(); got > want+inFlight {
		t.Errorf("%d bytes were received, %d when nobody disappears: more than %d were fetched twice", got, want, inFlight)
	} else {
		t.Logf("%d bytes were received, %d when nobody disappears", got, want)
	}

	// With everybody gone, what is not known is said not to be there at once, and what is here is given.
	seeds[0].kill()
	r.await("to notice", func() bool {
		var s report.Status
		r.must(&s, "status")
		return len(s.Peers) == 0
	})
	for k := range 20 {
		status, took := r.get(fmt.Sprintf("/%032d.narinfo", k))
		if status != http.StatusNotFound {
			t.Errorf("an unknown path: HTTP %d", status)
		}
		if took > labBudget/2 {
			t.Errorf("an unknown path took %v, with nobody to ask", took)
		}
	}
	if err := copyFrom(t, r, r.gateway, r.key, paths); err != nil {
		t.Errorf("with everybody gone: %v", err)
	}
}
