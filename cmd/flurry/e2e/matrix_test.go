package e2e

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// TestMatrix runs the same builds with every Nix there is, against a gateway to which everything happens that may happen. Each
// of them has to succeed. What it took is logged beside what it takes without flurry.
func TestMatrix(t *testing.T) {
	all := clients(t)
	m := newMatrix(t)
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			for _, s := range withFallback(append(slices.Clone(scenarios), nodeScenarios...)) {
				t.Run(s.name, func(t *testing.T) { m.run(t, c, s) })
			}
		})
	}
}

// withFallback is each scenario, and those that build once more with Nix's setting that changes what it does with substituters that fail.
func withFallback(all []scenario) (both []scenario) {
	for _, s := range all {
		both = append(both, s)
		if s.script == nil {
			s.name, s.settings = s.name+", fallback", []string{"fallback = true"}
			both = append(both, s)
		}
	}
	return both
}

// matrix is what all scenarios have in common: some packages that are published, and one more that needs them and is built.
type matrix struct {
	pkgs    []pkg // the last is not published
	paths   []nix.StorePath
	noise   []string // SHA-256 of what is random in each: which build it is
	address string
	origin  *process // publishes
	cache   string   // another substituter, with all of it
	dir     string   // where that is
	key     string   // that it is signed by

	plain map[string]time.Duration // what was measured without flurry
}

const matrixTag = "matrix"

func newMatrix(t *testing.T) *matrix {
	t.Helper()
	m := &matrix{plain: make(map[string]time.Duration)}
	for i := range 8 {
		p := pkg{name: fmt.Sprintf("matrix-%d", i), seed: 7000 + i, size: 100_000 << (i % 3)}
		if i > 0 {
			p.deps = []int{i / 2, i - 1}
		}
		m.pkgs = append(m.pkgs, p)
	}
	m.pkgs[5].size = 9_000_000
	m.paths = build(t, matrixTag, m.pkgs...)
	for _, p := range m.paths {
		b, err := os.ReadFile(filepath.Join(p.String(), "lib", "noise"))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		m.noise = append(m.noise, hex.EncodeToString(sum[:]))
	}
	m.pkgs = append(m.pkgs, pkg{name: "matrix-top", seed: 7999, size: 3000, deps: []int{0, 1, 2, 3, 4, 5, 6, 7}})

	m.origin, m.address = m.publisher(t)
	dir := t.TempDir()
	secret, err := nix.NewSecretKey("cache.matrix-1", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m.key = secret.Public().String()
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte(secret.Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	to := "file://" + dir + "?compression=zstd&secret-key=" + keyFile
	if _, err := nixRun(t, t.TempDir(), append([]string{"nix", "--extra-experimental-features", "nix-command", "copy", "--to", to}, words(m.paths)...)...); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(s.Close)
	m.cache, m.dir = s.URL+"?trusted=1", dir
	return m
}

// publisher is a node that has published the packages to a namespace of its own.
func (m *matrix) publisher(t *testing.T) (*process, string) {
	t.Helper()
	dir := stateDir(t)
	p := &process{t: t, name: "publisher", state: filepath.Join(dir, "publisher"), config: os.DevNull, args: []string{"--port", peerPort(t)}}
	p.start()
	t.Cleanup(p.kill)
	var made report.New
	p.must(&made, "new", "acme-1")
	p.must(nil, append([]string{"publish", "acme-1"}, words(m.paths)...)...)
	return p, made.Address
}

// gateway is a node that uses the namespace of a publisher, its only peer, and has nothing of it yet.
func (m *matrix) gateway(t *testing.T, publisher *process, address string) *process {
	t.Helper()
	return m.gatewayOver(t, "127.0.0.1:"+publisher.args[1], address)
}

// slowly is gateway with a line to the publisher on which a large NAR takes a moment.
func (m *matrix) slowly(t *testing.T, publisher *process, address string) *process {
	t.Helper()
	l := newLine(t, "127.0.0.1:"+publisher.args[1])
	l.is(slow)
	return m.gatewayOver(t, l.addr, address)
}

func (m *matrix) gatewayOver(t *testing.T, line, address string) *process {
	t.Helper()
	g := daemon(t, "gateway", "--peer", line)
	g.uses(address, len(m.paths))
	return g
}

// scenario is one thing that may happen, and what is to come of it all the same.
type scenario struct {
	name string
	// happens prepares it, and returns the substituters, in their order, the gateway first, the key that Nix is to trust, and what happens while Nix works;
	// nil: nothing.
	happens func(t *testing.T, m *matrix) (substituters []string, key string, meanwhile during)
	// gated: Nix's questions for NARs wait until the tap's gate is opened.
	gated bool
	// proof looks at what Nix was told: whether what the scenario is named after did happen. nil: nothing went wrong.
	proof func(t *testing.T, p *tap)
	// direct: there is no gateway.
	direct bool
	// settings are further lines of nix.conf.
	settings []string
	// copied: the packages have to come from the publisher; otherwise they may be built, too.
	copied bool
	// script is what Nix does; nil: it builds the last package.
	script func(m *matrix, substituters []string) string
}

// during is what happens while Nix works, until done is closed. What Nix asks the gateway goes through p.
type during func(done <-chan struct{}, p *tap)

func (s scenario) does(m *matrix, substituters []string) string {
	if s.script == nil {
		return builds(m, substituters)
	}
	return s.script(m, substituters)
}

// builds builds the last package.
func builds(m *matrix, _ []string) string {
	return "nix-build --no-out-link -E '(" + strings.ReplaceAll(expression(matrixTag, m.pkgs...), "'", `'\''`) + ")' >/dev/null"
}

func realises(m *matrix, _ []string) string {
	return "nix-store --realise --option require-sigs true " + strings.Join(words(m.paths), " ") + " >/dev/null"
}

func copies(m *matrix, substituters []string) string {
	return "nix copy --from " + substituters[0] + " " + strings.Join(words(m.paths), " ")
}

var scenarios = []scenario{
	{name: "copy", script: copies, copied: true, happens: allIsWell},
	{name: "realise with signatures", script: realises, copied: true, happens: allIsWell},
	{name: "build with the gateway alone", copied: true, happens: allIsWell},
	{name: "build with the gateway and a second substituter", proof: nothingThere, copied: true, happens: func(t *testing.T, m *matrix) ([]string, string, during) {
		g := daemon(t, "gateway") // it uses nothing
		return []string{g.gateway, m.cache}, g.key, nil
	}},
	{name: "copy from an origin", script: copies, copied: true, happens: behind},
	{name: "realise with signatures from an origin", script: realises, copied: true, happens: behind},
	{name: "build with an origin behind the gateway", copied: true, happens: behind},
	{name: "build with an origin that refuses behind the gateway", proof: nothingThere, happens: func(t *testing.T, m *matrix) ([]string, string, during) {
		return m.downstream(t, "http://127.0.0.1:1")
	}},
	{name: "build with an origin that hangs behind the gateway", proof: nothingThere, happens: func(t *testing.T, m *matrix) ([]string, string, during) {
		l, err := net.Listen("tcp", "127.0.0.1:0") // it takes connections, and says nothing
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return m.downstream(t, "http://"+l.Addr().String())
	}},
	{name: "build with an origin that breaks off every NAR behind the gateway", proof: noneGiven, happens: func(t *testing.T, m *matrix) ([]string, string, during) {
		return m.downstream(t, m.breaksOff(t, 0))
	}},
	{name: "build with an origin that breaks off a large NAR behind the gateway", proof: cutOff, happens: func(t *testing.T, m *matrix) ([]string, string, during) {
		return m.downstream(t, m.breaksOff(t, 1_000_000))
	}},
	{name: "everything offline", happens: offline, proof: nothingThere},
	{name: "everything offline but the second substituter", proof: nothingThere, copied: true, happens: func(t *testing.T, m *matrix) ([]string, string, during) {
		substituters, key, _ := offline(t, m)
		return append(substituters, m.cache), key, nil
	}},
	{name: "the only peer lies in the last chunk", happens: liesAtTheEnd, proof: cutOff},
	{name: "one of two peers lies in the last chunk", copied: true, happens: liesBesideAnother},
	{name: "the only peer disappears in the middle of a NAR", happens: peerDies, proof: cutOff},
}

func allIsWell(t *testing.T, m *matrix) ([]string, string, during) {
	g := m.gateway(t, m.origin, m.address)
	return []string{g.gateway}, g.key, nil
}

// behind: an HTTP cache that exists is a namespace of the gateway.
func behind(t *testing.T, m *matrix) ([]string, string, during) {
	return m.downstream(t, strings.TrimSuffix(m.cache, "?trusted=1"))
}

func (m *matrix) downstream(t *testing.T, origin string) ([]string, string, during) {
	t.Helper()
	g := daemon(t, "gateway")
	g.must(nil, "use", m.key, "--origin", origin)
	return []string{g.gateway}, g.key, nil
}

// breaksOff is the URL of an HTTP cache which breaks off, with a part of it sent, every NAR whose file has so many bytes, and does not go on with it.
func (m *matrix) breaksOff(t *testing.T, least int) string {
	t.Helper()
	good := http.FileServer(http.Dir(m.dir))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := os.ReadFile(filepath.Join(m.dir, filepath.FromSlash(path.Clean(r.URL.Path))))
		if err != nil || !strings.HasPrefix(r.URL.Path, "/nar/") || len(raw) < least {
			good.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
		w.Write(raw[:len(raw)*2/3])
		w.(http.Flusher).Flush()
		if len(raw) > 1_000_000 {
			time.Sleep(time.Second / 2) // so that Nix reads it by then
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// offline: the gateway knows of the paths, and nobody can be reached who has them.
func offline(t *testing.T, m *matrix) ([]string, string, during) {
	peer, address := m.publisher(t)
	g := m.gateway(t, peer, address)
	peer.kill()
	g.await("to notice that nobody is there", func() bool {
		var s report.Status
		g.must(&s, "status", "--peers")
		return len(s.Peers) == 0
	})
	return []string{g.gateway}, g.key, nil
}

// peerDies: the gateway's only peer disappears with SIGKILL when a large NAR is under way; what was begun cannot be ended, and the
// gateway says that it is not there.
func peerDies(t *testing.T, m *matrix) ([]string, string, during) {
	peer, address := m.publisher(t)
	g := m.slowly(t, peer, address)
	return []string{g.gateway}, g.key, func(done <-chan struct{}, p *tap) {
		if !p.midNar(done) {
			t.Error("the build was over before the peer disappeared")
			return
		}
		peer.kill()
	}
}

// run runs a scenario with a client: once or, where FLURRY_MATRIX_ROUNDS says how often, so many times, and then the median may
// be at most slower than what it takes without flurry.
func (m *matrix) run(t *testing.T, c client, s scenario) {
	rounds, err := strconv.Atoi(os.Getenv("FLURRY_MATRIX_ROUNDS"))
	if err != nil || rounds < 1 {
		t.Logf("it took %v", m.once(t, c, s).Round(10*time.Millisecond))
		return
	}
	with := median(rounds, func() time.Duration { return m.once(t, c, s) })
	without := m.without(t, c, s, rounds)
	t.Logf("%v, and %v without flurry", with.Round(10*time.Millisecond), without.Round(10*time.Millisecond))
	if with > without+slower {
		t.Errorf("it takes %v, more than %v longer than without flurry (%v)", with, slower, without)
	}
}

// slower is how much longer a build may take with flurry than without, whatever happens to it.
const slower = 2 * time.Second

func median(rounds int, once func() time.Duration) time.Duration {
	all := make([]time.Duration, rounds)
	for i := range all {
		all[i] = once()
	}
	slices.Sort(all)
	return all[rounds/2]
}

// without is what a scenario takes without flurry: what is copied comes from the second substituter, and what flurry may fail to
// give is built.
func (m *matrix) without(t *testing.T, c client, s scenario, rounds int) time.Duration {
	t.Helper()
	substituter := ""
	if s.copied {
		substituter = m.cache
	}
	key := c.name + " " + s.does(m, []string{substituter}) + " " + substituter
	if took, ok := m.plain[key]; ok {
		return took
	}
	plain := s
	plain.direct, plain.gated, plain.proof = true, false, nil
	plain.happens = func(*testing.T, *matrix) ([]string, string, during) {
		return []string{substituter}, m.key, nil
	}
	took := median(rounds, func() time.Duration { return m.once(t, c, plain) })
	m.plain[key] = took
	return took
}

// once runs a scenario with a client, and returns how long Nix took.
func (m *matrix) once(t *testing.T, c client, s scenario) time.Duration {
	t.Helper()
	substituters, key, meanwhile := s.happens(t, m)
	var p *tap
	if !s.direct {
		p = newTap(t, substituters[0], s.gated)
		substituters[0] = p.url()
	}
	settings := append([]string{"substituters = " + strings.Join(substituters, " "), "trusted-public-keys = " + key}, s.settings...)
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		if meanwhile != nil {
			meanwhile(done, p)
		}
	}()
	began := time.Now()
	out, err := c.sh(t, settings, s.does(m, substituters)+"\nsha256sum "+strings.Join(words(m.paths), "/lib/noise ")+"/lib/noise")
	took := time.Since(began)
	close(done)
	<-watched
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		got = append(got, strings.Fields(line)[0])
	}
	if s.copied && !slices.Equal(got, m.noise) {
		t.Errorf("not all was substituted: the files are %v, not %v", got, m.noise)
	}
	switch {
	case s.proof != nil:
		s.proof(t, p)
	case p != nil:
		allWent(t, p)
	}
	return took
}
