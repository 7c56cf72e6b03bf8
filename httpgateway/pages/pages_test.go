package pages_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/flurry-nix/flurry/httpgateway/pages"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is what the pages are asked to show.
type node struct {
	status   report.Status
	why      report.Why
	show     report.Show
	pins     []report.Pin
	health   report.Health
	requests pages.Requests
	err      error
}

func (n *node) Status(_ context.Context, peers bool) (report.Status, error) {
	s := n.status
	if !peers {
		s.Peers = nil
	}
	return s, n.err
}

func (n *node) Why(context.Context, nix.PathHash) (report.Why, error) { return n.why, n.err }

func (n *node) Namespace(_ context.Context, alias string, most int) (report.Show, report.Pins, error) {
	if alias != n.show.Alias {
		return report.Show{}, report.Pins{}, pages.ErrUnknown
	}
	s := n.show
	s.Acts = s.Acts[:min(most, len(s.Acts))]
	return s, report.Pins{Pins: n.pins}, n.err
}

func (n *node) Health(context.Context) (report.Health, error) { return n.health, n.err }

func (n *node) Requests() pages.Requests { return n.requests }

func at(t time.Time) *time.Time { return &t }

const widget = "/nix/store/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz-widget-1.4.2"

// busy is a node with everything that there is to show.
func busy() *node {
	now := time.Now()
	s := report.Status{Version: "0.1.0", Node: report.NodeState{State: "running", Uptime: 275_000, Peer: "12D3KooWQ1fR7ySkz9ZxQ3pX6oJ7a1Pq8fT4s2W5v9u3kD6mXyZa"},
		Gateway: report.Gateway{URL: "http://127.0.0.1:7669", Signer: "flurry-local-1:vJ4VzY9rB0bWq2nK7sT1uXcE5fG8hJ3kL6mN9pQ2rSs=", Connected: true, LastAsked: at(now.Add(-14 * time.Second)),
			Questions: report.Questions{Asked: 48_211, Given: 41_903, NotHere: 6308, Late: 3, Median: 0.0004, Max: 0.212}},
		Traffic: report.Traffic{Moved: report.Moved{NarBytes: 31_400_000_000, Received: 6_100_000_000, ReceivedLAN: 4_800_000_000, Sent: 9_200_000_000, SentWAN: 310_000_000}},
		Sharing: report.Sharing{Mode: "lan"}, Network: report.Network{Online: true, Peers: 9, LAN: 2, DHT: "on", Announced: 1204, Addresses: []string{"/ip4/192.168.1.20/tcp/7670", "/ip6/2001:db8:85a3::8a2e:370:7334/udp/7670/quic-v1"}},
		Store: report.Store{Bytes: 6_549_825_126, Quota: 21_474_836_480, Chunks: 91_230, Packs: 13, DiskFree: 120_259_084_288, Reserve: 2 << 30, InPlacePaths: 1840, InPlace: 33_285_996_544},
		Queue: &report.Queue{Waiting: 2, Oldest: at(now.Add(-4 * time.Minute)), Left: []report.Left{{Path: "/nix/store/2fz0dkpqz6k3w1cvmv0bq3cgs0qk5n6a-widget-secrets", Why: `acme-1: excluded by "*-secrets"`}}},
		Namespaces: []report.Namespace{
			{Alias: "acme-1", Key: "acme-1:A7fU…", Trusted: true, Hold: "all", Share: "all", Paths: 5310, Publications: 212, Synced: at(now.Add(-8 * time.Second)), Serial: 3, Expires: at(now.Add(300 * 24 * time.Hour)), Serving: 3, Queued: 2, Note: "you publish here, every build, 2 queued", Problems: []string{}},
			{Alias: "cache.nixos.org", Key: "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=", Trusted: true, Hold: "used", Share: "lan", Paths: 48_120, Serving: 2, Note: "origin https://cache.nixos.org", Problems: []string{}},
			{Alias: "zeta-2", Trusted: false, Hold: "used", Share: "none", Paths: 12, Publications: 1, Synced: at(now.Add(-9 * 24 * time.Hour)), Problems: []string{"document expired 2026-11-20"}},
		},
		Peers: []report.Peer{{Peer: "12D3KooWLRPJ4hC2cBRwAGXYJ8yFRxRjY3dGmTB7pB4ufYNyxRzF", LAN: true, Namespaces: []string{"acme-1", "cache.nixos.org"}, Received: 4_800_000_000, Sent: 120_000_000, Speed: 104_000_000, State: "direct"},
			{Peer: "12D3KooWGRUVh7ysW5Wm9dQ7qVWpnJ5TCP2m8Xk1JbJkgc2pFhZs", Namespaces: []string{"acme-1"}, Received: 12_000, State: "banned", Until: at(now.Add(time.Hour)), Why: "sent other bytes than it named"}},
		Problems: []report.Problem{{ID: "late", Message: "3 answers took longer than 300ms and were cut off: Nix was told \"not here\"", Try: []string{"flurry status --peers"}},
			{ID: "document-expired", Message: "zeta-2's document expired 2026-11-20 (serial 7)", Found: []string{"what it published before then is still served; newer publications by writers are not taken"}, Try: []string{"its publisher: flurry show zeta-2 --edit", "everyone else: nothing, it heals when they do"}}},
	}
	y := report.Why{Schema: "flurry/why/1", Path: widget, Verdict: report.Available, Source: "acme-1", Providers: []report.Provider{{Peer: "12D3KooWLRPJ4hC2cBRwAGXYJ8yFRxRjY3dGmTB7pB4ufYNyxRzF"}},
		Bytes: &report.WhyBytes{Nar: 61_300_000, ToFetch: 8_100_000}, Try: []string{"nix build --refresh …"},
		Steps: []report.WhyStep{{Asked: "this machine", Answer: "not valid in /nix/store"}, {Asked: "acme-1", Answer: "published by ci-main-1, publication 7f3a91c2"}, {Asked: "cache.nixos.org", Answer: "not asked: https://cache.nixos.org was not asked for it in the last minute"}}}
	show := report.Show{Alias: "acme-1", Address: "acme-1:A7fUvJ4VzY9rB0bWq2nK7sT1uXcE5fG8hJ3kL6mN9pQ=", About: "Widgets of the Acme company", Trusted: true, Publisher: true, Serial: 3, Expires: at(now.Add(300 * 24 * time.Hour)), Paths: 5310, Publications: 212, NarBytes: 88_000_000_000,
		Writers: []report.Writer{{Name: "(root)", Key: "acme-1:A7fUvJ4VzY9rB0bWq2nK7sT1uXcE5fG8hJ3kL6mN9pQ="}, {Name: "ci-main-1", Key: "ci-main-1:Q2rSsvJ4VzY9rB0bWq2nK7sT1uXcE5fG8hJ3kL6mN9p=", Until: at(now.Add(90 * 24 * time.Hour))}},
		Serving: []string{"a", "b", "c"}, Seeds: []string{"/dns4/seed.acme.example/tcp/7670"}}
	for i := range 60 {
		show.Acts = append(show.Acts, report.Publication{ID: fmt.Sprintf("7f3a91c2%056d", i), Signer: "ci-main-1", Time: now.Add(-time.Duration(i) * time.Hour), Expires: now.Add(90 * 24 * time.Hour), Roots: []string{widget}, Entries: 31 + i, Standing: "live"})
	}
	return &node{status: s, why: y, show: show, pins: []report.Pin{{Name: "v1.4.2", Roots: []string{widget}, Versions: 5, Last: 5, NarBytes: 61_300_000, Copies: 2, Until: at(now.Add(60 * 24 * time.Hour))}},
		health:   report.Health{Status: "ok", Reasons: []string{}},
		requests: pages.Requests{NarInfos: map[string]uint64{"given": 41_903, "not-here": 6305, "late": 3}, Nars: map[string]uint64{"given": 9120}, Refused: 1}}
}

// fresh is a node right after its first start.
func fresh() *node {
	return &node{status: report.Status{Version: "0.1.0", Node: report.NodeState{State: "running", Uptime: 3}, Gateway: report.Gateway{URL: "http://127.0.0.1:7669", Signer: "flurry-local-1:vJ4VzY9rB0bWq2nK7sT1uXcE5fG8hJ3kL6mN9pQ2rSs="},
		Sharing: report.Sharing{Mode: "lan"}, Store: report.Store{Quota: 21_474_836_480, DiskFree: 120_259_084_288}}, health: report.Health{Status: "ok", Reasons: []string{}},
		why: report.Why{Path: "lsvsfxv3rkwdn7ipyir4mizrk7wh49wz", Verdict: report.Unknown, Exit: 5, Reason: "no namespace in use has published it"}}
}

func serve(t *testing.T, n *node) string {
	t.Helper()
	p, err := pages.New(pages.Options{Node: n, Version: "0.1.0", Now: time.Now, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return s.URL
}

// scene is a page to look at.
type scene struct {
	name, url, says string
	status          int
}

func scenes(t *testing.T) []scene {
	full, empty := serve(t, busy()), serve(t, fresh())
	return []scene{
		{"home", full + "/", "2 problems", 200},
		{"peers", full + "/peers", "sent other bytes than it named", 200},
		{"why", full + "/why/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz", "8.10 MB to fetch of 61.3 MB", 200},
		{"namespace", full + "/ns/acme-1/", "Widgets of the Acme company", 200},
		{"fresh", empty + "/", "Nix has not asked this gateway yet", 200},
		{"fresh-peers", empty + "/peers", "Nothing goes on the wire", 200},
		{"unknown", empty + "/why/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz", "no namespace in use has published it", 200},
		{"absent", empty + "/ns/nowhere-1/", `no namespace called "nowhere-1"`, 404},
	}
}

// get asks for a page, following nothing.
func get(t *testing.T, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// TestPages: each page is there, says what it is for, and lets nothing in from elsewhere.
func TestPages(t *testing.T) {
	outside := regexp.MustCompile(`(src|href|action)="[a-z]*:?//|<script|style="|onclick`)
	for _, s := range scenes(t) {
		resp, body := get(t, s.url, "Accept", "text/html,*/*")
		text := strings.ReplaceAll(strings.ReplaceAll(body, "&#34;", `"`), "&#39;", "'")
		if resp.StatusCode != s.status || !strings.Contains(text, s.says) || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d %s\n%s", s.name, resp.StatusCode, resp.Header.Get("Content-Type"), body)
		}
		if found := outside.FindString(body); found != "" {
			t.Errorf("%s: %q in it", s.name, found)
		}
		h := resp.Header
		if !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Access-Control-Allow-Origin") != "" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", s.name, h)
		}
	}
}

// TestHostileWords: what peers and publishers call things is shown, and does nothing.
func TestHostileWords(t *testing.T) {
	const bad = `"><script>alert(1)</script><img src=x onerror=alert(2)>'{{.}}`
	n := busy()
	n.status.Problems[0].Message, n.status.Problems[0].Found, n.status.Problems[0].Try = bad, []string{bad}, []string{bad}
	n.status.Namespaces[0].Alias, n.status.Namespaces[0].Note = bad, bad
	n.status.Peers[1].Why, n.status.Peers[0].Peer, n.status.Peers[0].Namespaces = bad, bad, []string{bad}
	n.status.Queue.Left[0].Path, n.status.Queue.Left[0].Why = bad, bad
	n.why.Path, n.why.Reason, n.why.Source, n.why.Steps[0].Answer = bad, bad, bad, bad
	n.why.Closure = &report.WhyClosure{Missing: []string{bad}}
	n.show.About, n.show.Acts[0].Roots, n.show.Acts[0].Signer, n.show.Seeds, n.pins[0].Name = bad, []string{bad}, bad, []string{bad}, bad
	url := serve(t, n)
	for _, page := range []string{"/", "/peers", "/why/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz", "/ns/acme-1/", "/ns/" + "%22%3E%3Cscript%3E" + "/", "/why?path=%3Cscript%3E", "/%3Cscript%3E"} {
		_, body := get(t, url+page)
		if strings.Contains(body, "<script") || strings.Contains(body, "<img src=x") || strings.Contains(body, "javascript:") {
			t.Errorf("%s: it is not escaped:\n%s", page, body)
		}
	}
}

// FuzzWords: whatever somebody is called, the pages have the tags and attributes that they have when he is called x, or x x:
// commands have a tag a word, so that they break between words.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"x", `"><script>alert(1)</script>`, "'onload='x", "`{{.}}", "javascript:alert(1)", "\xff\xfe<b>", "\u202egpj.exe", "]]><!--", "&lt;script&gt;", "</title>", "x/y\x00z", " ", "x y"} {
		f.Add(s)
	}
	render := func(t *testing.T, word string) (all string) {
		n := busy()
		n.status.Problems[0] = report.Problem{ID: "late", Message: word, Found: []string{word}, Try: []string{word, word}}
		n.status.Namespaces[0].Alias, n.status.Namespaces[0].Note, n.status.Namespaces[0].Hold, n.status.Namespaces[0].Problems = word, word, word, []string{word}
		n.status.Peers[0].Peer, n.status.Peers[0].Namespaces, n.status.Peers[0].State, n.status.Peers[1].Why = word, []string{word, word}, word, word
		n.status.Queue.Left[0], n.status.Gateway.Signer, n.status.Sharing.Paused = report.Left{Path: word, Why: word}, word, word
		n.why.Path, n.why.Source, n.why.Steps[0] = word, word, report.WhyStep{Asked: word, Answer: word}
		n.why.Providers[0].Peer, n.why.Try, n.why.Closure = word, []string{word}, &report.WhyClosure{Missing: []string{word}}
		n.show.About, n.show.Address, n.show.Seeds, n.show.Writers[1] = word+"x", word, []string{word}, report.Writer{Name: word, Key: word}
		n.show.Acts[0].Roots, n.show.Acts[0].Signer, n.show.Acts[0].Standing, n.show.Acts[0].ID, n.pins[0].Name, n.pins[0].Roots = []string{word}, word, word, word, word, []string{word}
		p, err := pages.New(pages.Options{Node: n, Version: "0.1.0", Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range []string{"/", "/peers", "/why/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz", "/ns/acme-1/"} {
			w := httptest.NewRecorder()
			p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, page, nil))
			if w.Code != http.StatusOK {
				t.Fatalf("%s: %d %s", page, w.Code, w.Body)
			}
			all += w.Body.String()
		}
		return all
	}
	f.Fuzz(func(t *testing.T, word string) {
		if word == "" || strings.HasPrefix(word, "/nix/store/") || len(word) >= 32 {
			return // what is empty is left out; what is a path is a link
		}
		plain := strings.Map(func(c rune) rune {
			if c == ' ' {
				return c
			}
			return 'x'
		}, word)
		got, want := render(t, word), render(t, plain)
		for _, sign := range []string{"<", ">", `"`} {
			if g, w := strings.Count(got, sign), strings.Count(want, sign); g != w {
				t.Errorf("%q: there are %d of %s, and %d when it is called %q", word, g, sign, w, plain)
			}
		}
		if links := regexp.MustCompile(`href="[^"]*`); slices.ContainsFunc(links.FindAllString(got, -1), func(s string) bool { return !strings.HasPrefix(s, `href="/`) || strings.HasPrefix(s, `href="//`) }) {
			t.Errorf("%q: a link leads elsewhere", word)
		}
	})
}

// TestAilingNamespace: all is not well when something is wrong with a namespace alone.
func TestAilingNamespace(t *testing.T) {
	n := busy()
	n.status.Problems = nil
	url := serve(t, n)
	if _, body := get(t, url+"/"); strings.Contains(body, "All is well") || !strings.Contains(body, "1 namespace needs a look") {
		t.Errorf("with an expired document:\n%s", body)
	}
	n.status.Namespaces[2].Problems = nil
	if _, body := get(t, url+"/"); !strings.Contains(body, "All is well") {
		t.Errorf("with nothing wrong:\n%s", body)
	}
}

// TestOffersWhatWorks: nobody is told to connect a Nix that is connected, nor to use a cache that answers nothing.
func TestOffersWhatWorks(t *testing.T) {
	n := fresh()
	n.status.Gateway.Named = true
	if _, body := get(t, serve(t, n)+"/"); strings.Contains(body, "extra-substituters") || !strings.Contains(body, "the next build will ask") {
		t.Errorf("with a nix.conf that names the gateway:\n%s", body)
	}
	n = busy()
	url := serve(t, n) + "/ns/acme-1/"
	const own = "a binary cache of its own"
	if _, body := get(t, url); !strings.Contains(body, own) {
		t.Errorf("in use:\n%s", body)
	}
	n.show.Trusted = false
	if _, body := get(t, url); strings.Contains(body, own) {
		t.Errorf("not in use:\n%s", body)
	}
}

// TestMonitorsAreNotKeptWaiting: /health comes while pages wait for a node that does not answer, and so does the stylesheet.
func TestMonitorsAreNotKeptWaiting(t *testing.T) {
	n := &stuckNode{node: busy(), stuck: make(chan struct{})}
	p, err := pages.New(pages.Options{Node: n, Version: "0.1.0", Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var waiting sync.WaitGroup
	for range 10 {
		waiting.Go(func() { p.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)) })
	}
	for _, page := range []string{"/health", "/style.css"} {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, page, nil))
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d", page, w.Code)
		}
	}
	close(n.stuck)
	waiting.Wait()
	if most := n.most.Load(); most > 2 {
		t.Errorf("%d pages asked the node at a time", most)
	}
}

// TestOneScrapeAtATime: who asks for metrics again and again, and does not wait for an answer, keeps one question busy.
func TestOneScrapeAtATime(t *testing.T) {
	n := &stuckNode{node: busy(), stuck: make(chan struct{})}
	p, err := pages.New(pages.Options{Node: n, Version: "0.1.0", Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var scrapes sync.WaitGroup
	for range 5 {
		scrapes.Go(func() {
			w := httptest.NewRecorder()
			p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "\nflurry_up 1\n") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	time.Sleep(20 * time.Millisecond) // so that they could meet
	close(n.stuck)
	scrapes.Wait()
	if most := n.most.Load(); most != 1 {
		t.Errorf("%d scrapes asked the node at a time", most)
	}
}

// stuckNode says how it is when it is let go.
type stuckNode struct {
	*node
	stuck     chan struct{}
	now, most atomic.Int32
}

func (n *stuckNode) Status(ctx context.Context, peers bool) (report.Status, error) {
	if at := n.now.Add(1); at > n.most.Load() {
		n.most.Store(at)
	}
	defer n.now.Add(-1)
	<-n.stuck
	return n.node.Status(ctx, peers)
}

// TestJSON: programs get the objects that commands print.
func TestJSON(t *testing.T) {
	n := busy()
	url := serve(t, n)
	for page, want := range map[string]any{"/": &n.status, "/peers": &n.status, "/why/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz": &n.why, "/ns/acme-1/": nil} {
		resp, body := get(t, url+page, "Accept", "application/json")
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", page, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
		switch want := want.(type) {
		case *report.Status:
			var got report.Status
			if err := json.Unmarshal([]byte(body), &got); err != nil || got.Version != want.Version || (page == "/peers") != (len(got.Peers) == 2) {
				t.Errorf("%s: %s, %v", page, body, err)
			}
		case *report.Why:
			var got report.Why
			if err := json.Unmarshal([]byte(body), &got); err != nil || got.Verdict != want.Verdict || got.Path != want.Path {
				t.Errorf("%s: %s, %v", page, body, err)
			}
		default:
			var got report.Show
			if err := json.Unmarshal([]byte(body), &got); err != nil || len(got.Acts) != 50 {
				t.Errorf("%s: %d publications, %v", page, len(got.Acts), err)
			}
		}
	}
}

// TestFind: what somebody has at hand leads to the page about it.
func TestFind(t *testing.T) {
	url := serve(t, fresh())
	for word, want := range map[string]string{
		widget:                      "/why/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz",
		widget + "/bin/widget":      "/why/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz",
		" " + widget[11:] + " ":     "/why/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz",
		widget[11:43]:               "/why/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz",
		"":                          "",
		"widget":                    "",
		"/nix/store/":               "",
		strings.Repeat("x", 10_000): "",
	} {
		resp, _ := get(t, url+"/why?path="+strings.NewReplacer("/", "%2F", " ", "+").Replace(word))
		if want == "" && resp.StatusCode != http.StatusBadRequest || want != "" && (resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != want) {
			t.Errorf("%.60q: %d %s", word, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
	if resp, _ := get(t, url+"/ns/acme-1"); resp.StatusCode != http.StatusMovedPermanently || resp.Header.Get("Location") != "/ns/acme-1/" {
		t.Errorf("%d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
}

// TestNothingElse: what is no page is 404, and nothing is changed by asking.
func TestNothingElse(t *testing.T) {
	url := serve(t, busy())
	for _, page := range []string{"/favicon.ico", "/path/x", "/why/", "/why/x", "/ns/", "/ns/a/b", "/ns/zeta-9/", "/style.css/x", "/health/", "/debug/pprof/"} {
		if resp, body := get(t, url+page); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d %s", page, resp.StatusCode, body)
		}
	}
	for _, page := range []string{"/", "/why/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz", "/metrics", "/health"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+page, strings.NewReader("x=1"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode < 400 {
			t.Errorf("POST %s: %d", page, resp.StatusCode)
		}
	}
}

// TestHealth: 200 when all is well, 503 when not, also when it cannot be told.
func TestHealth(t *testing.T) {
	for _, test := range []struct {
		health report.Health
		err    error
		status int
		body   string
	}{
		{report.Health{Status: "ok", Reasons: []string{}}, nil, 200, `{"status":"ok","reasons":[]}`},
		{report.Health{Status: "degraded", Reasons: []string{"the disk is full"}}, nil, 503, `{"status":"degraded","reasons":["the disk is full"]}`},
		{report.Health{}, errors.New("the store is gone"), 503, `{"status":"degraded","reasons":["the store is gone"]}`},
	} {
		n := busy()
		n.health, n.err = test.health, test.err
		resp, body := get(t, serve(t, n)+"/health")
		if resp.StatusCode != test.status || strings.TrimSpace(body) != test.body {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	}
}

// TestTrouble: when the node cannot say how it is, pages say that, and metrics have up 0.
func TestTrouble(t *testing.T) {
	n := busy()
	n.err = errors.New("the catalog is <gone>")
	url := serve(t, n)
	for _, page := range []string{"/", "/peers", "/why/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz", "/ns/acme-1/"} {
		if resp, body := get(t, url+page); resp.StatusCode != 500 || !strings.Contains(body, "the catalog is &lt;gone&gt;") {
			t.Errorf("%s: %d %s", page, resp.StatusCode, body)
		}
	}
	if resp, body := get(t, url+"/metrics"); resp.StatusCode != 200 || !strings.Contains(body, "\nflurry_up 0\n") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// TestMetrics: each name is documented, each documented name is there, and two nodes in a process do not meet.
func TestMetrics(t *testing.T) {
	resp, body := get(t, serve(t, busy())+"/metrics")
	if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	for _, want := range []string{`flurry_gateway_requests_total{kind="narinfo",outcome="late"} 3`, `flurry_build_info{version="0.1.0"} 1`, `flurry_peers{where="lan"} 2`,
		`flurry_peer_received_bytes_total{where="wan"} 1.3e+09`, `flurry_namespace_paths{namespace="acme-1"} 5310`, `flurry_problems{id="late"} 1`, `flurry_up 1`, "go_goroutines "} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
	documented, err := os.ReadFile("../../docs/METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	names := func(text, pattern string) (all []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			all = append(all, m[1])
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	there, said := names(body, `(?m)^# TYPE (flurry_\w+)`), names(string(documented), "`(flurry_\\w+)`")
	if !slices.Equal(there, said) {
		t.Errorf("there are\n%s\ndocumented are\n%s", there, said)
	}
	if _, other := get(t, serve(t, fresh())+"/metrics"); strings.Contains(other, "acme-1") {
		t.Error("another node's namespaces")
	}
}
