package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/trust"
)

// asks has the node answer commands, and returns what `flurry why` says of a path there.
func (n *benchNode) asks(t *testing.T) func(nix.StorePath) (said string, code int) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "control.sock")
	l, err := listenControl(t.Context(), socket, true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- control.Serve(ctx, l, n.verbs(), control.Roles{Owner: os.Getuid()}, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return func(p nix.StorePath) (string, int) {
		code, s := runHere(t.Context(), "", nil, "why", p.String(), "--socket", socket)
		return s.out.String() + s.err.String(), code
	}
}

// signed adds a publication to what the node has, by whose key it is.
func (n *benchNode) signed(t *testing.T, a namespace.Address, raw []byte) {
	t.Helper()
	policy, ok := n.catalog.Policy(a)
	if !ok {
		t.Fatal("there is no document")
	}
	pub, err := policy.VerifyPublication(raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.catalog.Add(t.Context(), pub); err != nil {
		t.Fatal(err)
	}
}

// TestWhyTimes: of what came to a follower and counts no more because of the time, `flurry why` says so: it was published until a day that
// is over, or after the end of the document that the namespace has now.
func TestWhyTimes(t *testing.T) {
	p := newBenchPublisher(t)
	writer := p.Key("ci-main")
	now := time.Now().Truncate(time.Second)
	over, ends := now.Add(3*time.Second), now.Add(time.Minute)
	seed := newBenchNode(t, node.ShareAll)
	if err := seed.catalog.Adopt(t.Context(), p.Document(1, catalogtest.Writers(writer)), nil); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*namespace.Publication){
		"short-1": func(v *namespace.Publication) { v.Expires = over },
		"late-1":  func(v *namespace.Publication) { v.Time = ends.Add(time.Minute) }, // by a clock that is a little ahead
	} {
		seed.signed(t, p.Address, p.Publication(writer, func(v *namespace.Publication) {
			v.Entries = []namespace.Entry{catalogtest.Entry(name, "")}
			change(v)
		}))
	}
	seed.uses(t, p)
	follower := newBenchNode(t, node.ShareNone, seed)
	follower.uses(t, p)
	follower.waits(t, p.Address, 2)
	second := p.Document(2, func(d *namespace.Document) {
		catalogtest.Writers(writer)(d)
		d.Issued, d.Expires = now, ends
	})
	if err := seed.catalog.Adopt(t.Context(), second, nil); err != nil {
		t.Fatal(err)
	}
	why := follower.asks(t)
	for name, want := range map[string]string{
		"late-1":  "\nNOT GIVEN: published after acme-1's document expired (" + ends.UTC().Format(time.DateOnly) + ")\n",
		"short-1": "\nNOT GIVEN: acme-1 published it until " + over.UTC().Format(time.DateOnly) + ", and nobody renewed it\n",
	} {
		said, code := "", 0
		err := eventually(t.Context(), name, func() (bool, error) {
			said, code = why(catalogtest.Path(name))
			return strings.Contains(said, want), nil
		})
		if err != nil || code != report.ExitUnavailable {
			t.Errorf("%v: %d, %s", err, code, said)
		}
	}
}

// TestWhyWrong: what was published with a NarHash that its content does not have, and was found out when Nix asked for it, is told by
// `flurry why` as what it is.
func TestWhyWrong(t *testing.T) {
	ctx := t.Context()
	publisher := newBenchNode(t, node.ShareAll)
	made, err := publisher.verbs().New(ctx, control.NewRequest{Name: "acme-1", Keep: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	a, _, err := addressOf(made.Address)
	if err != nil {
		t.Fatal(err)
	}
	source := madeUp(true)
	if _, err := publisher.node.Publish(ctx, source, node.PublishRequest{Alias: "acme-1", Roots: []nix.StorePath{source.infos[0].Path}}); err != nil {
		t.Fatal(err)
	}
	entries, err := publisher.catalog.Lookup(ctx, a, source.infos[0].Path.Hash())
	if err != nil {
		t.Fatal(err)
	}
	key, err := readSecret(filepath.Join(publisher.cfg.State, "keys", "acme-1.sec"))
	if err != nil {
		t.Fatal(err)
	}
	wrong := *entries[0].Entry()
	wrong.Path, wrong.NarHash, wrong.Sigs = catalogtest.Path("wrong-1"), nix.NarHash{1}, nil
	trust.SignEntry(&wrong, key)
	now := time.Now().UTC().Truncate(time.Second)
	raw, err := trust.SignPublication(&namespace.Publication{Namespace: a, Time: now, Expires: now.Add(time.Hour), Entries: []namespace.Entry{wrong}}, key)
	if err != nil {
		t.Fatal(err)
	}
	publisher.signed(t, a, raw)

	user := newBenchNode(t, node.ShareNone, publisher)
	if err := user.node.Put(node.Space{Alias: "acme-1", Address: a, Use: true}); err != nil {
		t.Fatal(err)
	}
	user.waits(t, a, 2)
	why := user.asks(t)
	gateway := httptest.NewServer(user.gateway)
	defer gateway.Close()
	info := fetched(t, gateway.URL+"/"+wrong.Path.Hash().String()+".narinfo")
	_, at, ok := strings.Cut(info, "URL: ")
	if !ok {
		t.Fatalf("Nix is told %q", info)
	}
	at, _, _ = strings.Cut(at, "\n")
	if got := fetched(t, gateway.URL+"/"+at); uint64(len(got)) == wrong.NarSize {
		t.Fatal("Nix was given all of it")
	}
	said, code := why(wrong.Path)
	if code != report.ExitUnavailable || !strings.Contains(said, "\nNOT GIVEN: what acme-1 published of acme-1 does not match its NarHash, whoever sends it (") {
		t.Errorf("%d, %s", code, said)
	}
	if said, code := why(source.infos[0].Path); code != report.ExitOK {
		t.Errorf("of another with the same content it says %d, %s", code, said)
	}
}

// fetched is as much of what a gateway gives as comes.
func fetched(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body) // it may end short
	return string(body)
}

// TestWhyRemembered: Nix was told "not here" before it was published: `flurry why` says so for as long as Nix remembers it, and no longer.
func TestWhyRemembered(t *testing.T) {
	ctx := t.Context()
	n := newBenchNode(t, node.ShareNone)
	n.cfg.NixConf = t.TempDir()
	if err := os.WriteFile(filepath.Join(n.cfg.NixConf, "nix.conf"), []byte("narinfo-cache-negative-ttl = 4\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	why := n.asks(t)
	gateway := httptest.NewServer(n.gateway)
	defer gateway.Close()
	source := madeUp(true)
	path := source.infos[0].Path
	if said := fetched(t, gateway.URL+"/"+path.Hash().String()+".narinfo"); !strings.HasPrefix(said, "not here") {
		t.Fatalf("Nix is told %q", said)
	}
	asked := time.Now()
	time.Sleep(1100 * time.Millisecond) // publications are dated in whole seconds
	if _, err := n.verbs().New(ctx, control.NewRequest{Name: "acme-1", Keep: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.verbs().Use(ctx, control.UseRequest{Namespace: "acme-1", Wait: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.node.Publish(ctx, source, node.PublishRequest{Alias: "acme-1", Roots: []nix.StorePath{path}}); err != nil {
		t.Fatal(err)
	}
	said, code := why(path)
	if time.Since(asked) < 3*time.Second && (code != report.ExitOK || !strings.Contains(said, "\nAVAILABLE, BUT NIX WILL NOT ASK before ") || !strings.Contains(said, " before it was published\n") || strings.Contains(said, "negative-ttl")) {
		t.Errorf("%d, %s", code, said)
	}
	time.Sleep(time.Until(asked.Add(4100 * time.Millisecond)))
	if said, code := why(path); code != report.ExitOK || !strings.Contains(said, "\nAVAILABLE from acme-1: ") {
		t.Errorf("when Nix has forgotten it: %d, %s", code, said)
	}
}
