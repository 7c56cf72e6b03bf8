package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/internal/spool"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/report"
)

// patient is a machine on which setup was run and a gateway answers.
type patient struct {
	*bench
	*examined
	health string
	host   int // the status for another's name

	priority int // of the other cache
	other    *httptest.Server
}

func newPatient(t *testing.T) *patient {
	t.Helper()
	p := &patient{bench: newBench(t), health: `{"status":"ok","reasons":[]}`, host: http.StatusForbidden}
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "rebound.example" {
			w.WriteHeader(p.host)
			return
		}
		if r.URL.Path == "/nix-cache-info" {
			t.Error("doctor asks what Nix asks: status says that Nix is connected")
		}
		fmt.Fprint(w, p.health)
	}))
	t.Cleanup(gateway.Close)
	p.other = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if p.priority != 0 {
			fmt.Fprintf(w, "StoreDir: /nix/store\nPriority: %d\n", p.priority)
		}
	}))
	t.Cleanup(p.other.Close)
	p.put("/etc/flurry/flurry.toml", fmt.Sprintf("[gateway]\nlisten = [%q]\n", strings.TrimPrefix(gateway.URL, "http://")))
	p.put("/etc/nix/nix.conf", "substituters = "+p.other.URL+"\n")
	p.put("/proc/77/comm", "nix-daemon\n")
	p.put("/proc/77/environ", "PATH=/bin\x00")
	p.put("/proc/stat", fmt.Sprintf("cpu  1 2 3\nbtime %d\n", time.Now().Add(-2*time.Hour).Unix()))
	p.starts(2*time.Hour + time.Minute)
	p.put("/proc/sys/net/core/rmem_max", "7500000\n")
	p.put("/proc/sys/net/core/wmem_max", "7500000\n")
	p.must("setup", "--yes")
	p.look(gateway.URL)
	return p
}

// look examines the machine, with a daemon that says that all is well.
func (p *patient) look(url string) {
	p.t.Helper()
	sh := &shell{environment: environment{in: strings.NewReader(""), out: &bytes.Buffer{}, err: &bytes.Buffer{}, machine: p.bench, program: p.bench.program, getenv: func(name string) string {
		return map[string]string{"HOME": "/root"}[name]
	}}, socket: "/nowhere/control.sock"}
	e, err := sh.examine(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	now := time.Now()
	e.diskKind = func(string) (uint32, error) { return 0xef53, nil }
	e.interfaces = func() ([]net.Interface, error) {
		return []net.Interface{{Name: "lo", Flags: net.FlagUp | net.FlagMulticast | net.FlagLoopback}, {Name: "eth0", Flags: net.FlagUp | net.FlagMulticast}}, nil
	}
	e.nixAnswers = func(context.Context) error { return nil }
	year := now.Add(365 * 24 * time.Hour)
	key, _ := e.site.localKey()
	e.down, e.status = nil, report.Status{Node: report.NodeState{Standby: true, Files: 65536}, Gateway: report.Gateway{URL: url, Signer: key.String()}, Sharing: report.Sharing{Mode: "lan"},
		Network:    report.Network{Online: true, Peers: 3, LAN: 1, Addresses: []string{"/ip4/192.168.1.2/tcp/7670"}},
		Store:      report.Store{Bytes: 6e9, Quota: 20e9, DiskFree: 100e9, Reserve: 1e9},
		Namespaces: []report.Namespace{{Alias: "acme-1", Serial: 3, Expires: &year, Synced: &now, Serving: 2, Share: "lan", Trusted: true}}}
	p.examined = e
}

// TestDoctorWell: on a machine on which setup was run, nothing is to be said.
func TestDoctorWell(t *testing.T) {
	p := newPatient(t)
	d := p.checkAll(t.Context())
	seen := make(map[string]bool)
	for _, c := range d.Checks {
		seen[c.ID] = true
		if c.Status != report.CheckOK {
			t.Errorf("%s: %s: %s %q", c.ID, c.Status, c.Text, c.Try)
		}
	}
	for _, id := range []string{"nix.version", "nix.substituter", "nix.order", "nix.key", "nix.daemon-age", "nix.ttl", "gateway.url", "gateway.host", "gateway.standby", "keys.mode", "ns.document", "net.reach", "net.clock", "store.quota"} {
		if !seen[id] {
			t.Errorf("%s was not looked at", id)
		}
	}
	if !d.OK || d.Exit() != report.ExitOK || len(p.fixes) > 0 {
		t.Errorf("%+v, %d fixes", d, len(p.fixes))
	}
}

// TestDoctorFinds: each thing that is wrong is found, with what to do, and nothing else is.
func TestDoctorFinds(t *testing.T) {
	soon, past := time.Now().Add(3*24*time.Hour), time.Now().Add(-3*24*time.Hour)
	for _, test := range []struct {
		id     string
		change func(p *patient)
		status report.CheckStatus
		says   string
		try    string
	}{
		{"nix.version", func(p *patient) { p.found, p.examined.nix.fallback = "2.8.0", true }, report.CheckFail, "crashes with `fallback = true`", "take `fallback = true` out"},
		{"nix.version", func(p *patient) { p.found, p.examined.nix.maxJobs = "2.13.1", "1" }, report.CheckWarn, "one path at a time", "max-jobs = auto"},
		{"nix.substituter", func(p *patient) { p.examined.nix.extraSubstituters = nil }, report.CheckFail, "does not name the gateway", "sudo flurry setup"},
		{"nix.substituter", func(p *patient) { p.put("/root/.config/nix/nix.conf", "substituters = https://x.example\n") }, report.CheckWarn, "takes the gateway away again", "extra-substituters"},
		{"nix.substituter", func(p *patient) {
			p.nixConf("extra-substituters = "+p.status.Gateway.URL, "substituters = "+p.other.URL)
		}, report.CheckFail, "a later `substituters =` takes it away again", "extra-substituters in the place of"},
		{"nix.daemon", func(p *patient) { p.nixAnswers = func(context.Context) error { return errors.New("it is stuck") } }, report.CheckFail, "does not answer: it is stuck", "restart nix-daemon"},
		{"nix.daemon", func(p *patient) {
			p.nixAnswers = func(context.Context) error {
				return fmt.Errorf("open the Nix store: %w", &daemon.DownError{Socket: "/s", Err: syscall.ECONNREFUSED})
			}
		}, report.CheckFail, "the Nix daemon does not answer at /s: connection refused", "restart nix-daemon.socket"},
		{"nix.leak", func(p *patient) {
			p.examined.nix.substituters = []string{"http://localhost:7669"}
		}, report.CheckFail, "nix.conf names a gateway at http://localhost:7669, and none is there", "take it out"},
		{"nix.leak", func(p *patient) {
			p.put("/home/u/flake.nix", `{ nixConfig.extra-substituters = [ "`+p.status.Gateway.URL+`" ]; }`)
			p.here = p.Root + "/home/u"
		}, report.CheckWarn, "flake.nix names this machine's gateway", "take it out of nixConfig"},
		{"nix.order", func(p *patient) {
			p.other.Close()
			p.examined.nix.substituters = []string{strings.Replace(p.other.URL, "http://", "http://u:secret@", 1)}
		}, report.CheckWarn, "http://u:xxxxx@127.0.0.1:", "http://u:xxxxx@"},
		{"nix.many", func(p *patient) {
			p.examined.nix.substituters = []string{p.other.URL, p.other.URL, p.other.URL, p.other.URL}
		}, report.CheckWarn, "4 HTTP caches besides the gateway", "flurry use --from-nix-conf"},
		{"nix.order", func(p *patient) { p.other.Close() }, report.CheckWarn, "does not answer: Nix waits for it (it refuses connections)", "flurry use KEY --origin"},
		{"nix.order", func(p *patient) { p.offline("https://cache.nixos.org/?priority=40") }, report.CheckWarn, "https://cache.nixos.org/?priority=40 does not answer: Nix waits for it", "put it behind the gateway: flurry use cache.nixos.org\nor take it out of nix.conf"},
		{"nix.order", func(p *patient) {
			p.offline(defaultNixCache)
			p.examined.nix.dropped = nil // no line names it
		}, report.CheckWarn, "https://cache.nixos.org/ does not answer: Nix waits for it", "put it behind the gateway: flurry use cache.nixos.org\nor have Nix not ask it, which it does unasked: `substituters =`"},
		{"nix.order", func(p *patient) {
			p.offline(defaultNixCache)
			p.examined.nix.dropped = []string{defaultNixCache} // somebody has written it again
		}, report.CheckWarn, "https://cache.nixos.org/ does not answer", "or take it out of nix.conf"},
		{"nix.order", func(p *patient) {
			p.offline("https://cache.nixos.org")
			p.status.Namespaces[0].Key = defaultNixKey
		}, report.CheckWarn, "https://cache.nixos.org does not answer: Nix waits for it", "the gateway asks it already"},
		{"nix.key", func(p *patient) { p.examined.nix.extra = nil }, report.CheckFail, "does not trust this machine's key", "sudo flurry setup"},
		{"nix.key", func(p *patient) { p.examined.nix.extra = append(p.examined.nix.extra, "acme-1:AAAA") }, report.CheckFail, `"acme-1:AAAA" is no key`, "Nix stops with it"},
		{"nix.key", func(p *patient) {
			p.examined.nix.extra = append(p.examined.nix.extra, p.another("acme-1"), p.another("acme-1"))
		}, report.CheckWarn, "two different keys are called acme-1", "take out"},
		{"nix.key", func(p *patient) {
			p.examined.nix.extra = append([]string{p.another(localKeyName)}, p.examined.nix.extra...)
		}, report.CheckFail, "another key called flurry-local-1 comes before this machine's", "take the older flurry-local-1 out"},
		{"nix.daemon-age", func(p *patient) { p.starts(time.Hour) }, report.CheckFail, "was started before nix.conf changed", "restart nix-daemon"},
		{"nix.proxy", func(p *patient) { p.put("/proc/77/environ", "http_proxy=http://proxy:3128\x00") }, report.CheckFail, "uses a proxy (http://proxy:3128)", "no_proxy=127.0.0.1"},
		{"nix.proxy", func(p *patient) {
			p.put("/proc/77/environ", "all_proxy=socks5://me:p@ss@proxy:3128\x00no_proxy=10.0.0.0/8\x00")
		}, report.CheckFail, "uses a proxy (…@proxy:3128)", "no_proxy=127.0.0.1"},
		{"ns.writer", func(p *patient) { p.publishes(func(w *report.Writer) { w.Closed = true }) }, report.CheckFail, "writer key ci-main-1 was revoked", "flurry writer key NAME"},
		{"ns.writer", func(p *patient) { p.publishes(func(w *report.Writer) { w.Until = &past }) }, report.CheckFail, "ci-main-1 counted until", "flurry writer add acme-1 KEY"},
		{"ns.writer", func(p *patient) { p.publishes(func(w *report.Writer) { w.Until = &soon }) }, report.CheckWarn, "ci-main-1 counts until", "flurry writer add acme-1 KEY"},
		{"nix.ttl", func(p *patient) { p.examined.nix.negativeTTL, p.examined.nix.shorterTTL = time.Hour, false }, report.CheckWarn, "narinfo-cache-negative-ttl is 3600", "sudo flurry setup"},
		{"nix.ttl", func(p *patient) {
			p.appendConf("narinfo-cache-negative-ttl = 3600")
		}, report.CheckWarn, "narinfo-cache-negative-ttl is 3600, by a line after setup's", "take the last narinfo-cache-negative-ttl out"},
		{"nix.key", func(p *patient) {
			p.appendConf("trusted-public-keys = " + defaultNixKey)
		}, report.CheckFail, "a later `trusted-public-keys =` takes it away again", "extra-trusted-public-keys in the place of"},
		{"nix.hook", func(p *patient) { p.examined.nix.hook = "/etc/nix/gone" }, report.CheckFail, "every build fails", "flurry hook --script"},
		{"nix.hook", func(p *patient) { p.hooked(spool.HookRun{Began: past, Took: 1300 * time.Millisecond, Ended: true}) }, report.CheckWarn, "/etc/nix/flurry-hook took 1.3 s at " + past.Local().Format(time.DateTime), "the disk that has the state"},
		{"nix.hook", func(p *patient) { p.hooked(spool.HookRun{Began: past}) }, report.CheckWarn, "/etc/nix/flurry-hook was stopped at", "the disk that has the state"},
		{"nix.hook", func(p *patient) {
			p.appendConf("post-build-hook = /etc/nix/theirs\npost-build-hook = /etc/nix/flurry-hook")
		}, report.CheckWarn, "names /etc/nix/flurry-hook as post-build-hook, and before it /etc/nix/theirs", "a script that runs both"},
		{"gateway.url", func(p *patient) { p.health = "<html>it works</html>" }, report.CheckFail, fmt.Sprintf(" (pid %d) has the port", os.Getpid()), "stop it"},
		{"gateway.url", func(p *patient) { p.health = `{"status":"standby","reasons":["it crashed"]}` }, report.CheckFail, "from the standby", "flurry status"},
		{"gateway.url", func(p *patient) { p.health = `{"status":"degraded","reasons":["the disk is full"]}` }, report.CheckWarn, `not all is well: "the disk is full"`, "flurry status"},
		{"gateway.url", func(p *patient) { p.status.Gateway.URL = "http://127.0.0.1:1" }, report.CheckFail, "nothing answers at http://127.0.0.1:1", "is it running?"},
		{"gateway.host", func(p *patient) { p.host = http.StatusOK }, report.CheckFail, "by another's name", "proxy"},
		{"gateway.standby", func(p *patient) { p.status.Node.Standby = false }, report.CheckWarn, "there is no standby", "without --no-supervisor"},
		{"gateway.daemon", func(p *patient) {
			p.down = &report.Problem{ID: "no-daemon", Message: "no daemon answers", Try: []string{"start it"}}
		}, report.CheckFail, "no daemon answers", "start it"},
		{"keys.mode", func(p *patient) { p.chmod("/var/lib/flurry/keys/flurry-local-1.sec", 0o644) }, report.CheckFail, "is readable by others (0644)", "chmod 600 /var/lib/flurry/keys/flurry-local-1.sec"},
		{"keys.backup", func(p *patient) { p.rooted(false) }, report.CheckWarn, "the root key of acme-1 is in /var/lib/flurry/keys/acme-1.sec, and no second copy was ever seen", "flurry new --key /media/stick/acme-1.sec"},
		{"keys.backup", func(p *patient) { // another key had that name
			p.rooted(true)
			p.rooted(false)
		}, report.CheckWarn, "no second copy was ever seen", "flurry new --key /media/stick/acme-1.sec"},
		{"keys.backup", func(p *patient) {
			p.rooted(true)
			p.put("/var/lib/flurry/keys/acme-1.copied", "{")
		}, report.CheckSkip, "whether there is a second copy of the root key of acme-1 cannot be read", ""},
		{"ns.use", func(p *patient) { p.status.Namespaces = nil }, report.CheckWarn, "no namespace is in use", "flurry use NAMESPACE"},
		{"ns.document", func(p *patient) { p.status.Namespaces[0].Expires = &soon }, report.CheckWarn, "its document is valid until", "ask its publisher"},
		{"ns.document", func(p *patient) { p.status.Namespaces[0].Serial = 0 }, report.CheckWarn, "nobody who has its document", "--peer HOST"},
		{"ns.document", func(p *patient) {
			p.status.Namespaces[0].Expires = &past
			p.status.Problems = []report.Problem{{ID: "document-expired", Message: "acme-1's document expired", Found: []string{"what it published before is served"}, Try: []string{"renew it"}}}
		}, report.CheckWarn, "acme-1's document expired; what it published before is served", "renew it"},
		{"ns.seeds", func(p *patient) { p.status.Namespaces[0].Serving = 0 }, report.CheckWarn, "nobody who holds it is connected", "--peer HOST"},
		{"ns.sync", func(p *patient) { p.status.Namespaces[0].Synced = &past }, report.CheckWarn, "its catalog was synced", "flurry status --peers"},
		{"ns.writer", func(p *patient) {
			p.shown = map[string]report.Show{"acme-1": {PublishesAs: "ci-1", Writers: []report.Writer{{Name: "(root)"}, {Name: "ci-1", Key: "ci-1:AAAA", Until: &soon}}}}
		}, report.CheckWarn, "this machine publishes as ci-1 until", "flurry writer add acme-1 ci-1:AAAA"},
		{"ns.upstream", func(p *patient) {
			p.shown = map[string]report.Show{"acme-1": {LeavesOut: []string{defaultNixKey, "cuda-1:BBBB"}}}
		}, report.CheckWarn, "acme-1 leaves out what cuda-1 has", "flurry use cuda-1:BBBB --origin URL"},
		{"net.reach", func(p *patient) { p.status.Sharing.Mode = "all" }, report.CheckWarn, "no public address", "open port 7670"},
		{"net.clock", func(p *patient) {
			p.status.Problems = []report.Problem{{ID: "clock-skew", Message: "this machine's clock is 5 min ahead"}}
		}, report.CheckWarn, "5 min ahead", ""},
		{"net.udp", func(p *patient) { p.put("/proc/sys/net/core/rmem_max", "212992\n") }, report.CheckWarn, "UDP buffers are small (rmem_max is 212 kB)", "sysctl -w net.core.rmem_max=7500000"},
		{"net.fd", func(p *patient) { p.status.Node.Files = 1024 }, report.CheckWarn, "may open 1024 files", "LimitNOFILE"},
		{"store.quota", func(p *patient) { p.status.Store.Bytes = 19e9 }, report.CheckWarn, "95 % of its quota", "flurry store gc"},
		{"store.reserve", func(p *patient) { p.status.Store.DiskFree = 1e6 }, report.CheckFail, "nothing new is stored", "make room"},
		{"store.check", func(p *patient) {
			p.status.Problems = []report.Problem{{ID: "store-damaged", Message: "3 contents are damaged"}}
		}, report.CheckWarn, "3 contents are damaged", ""},
		{"node.something-new", func(p *patient) {
			p.status.Problems = []report.Problem{{ID: "something-new", Message: "it is odd"}}
		}, report.CheckWarn, "it is odd", ""},
	} {
		t.Run(test.id, func(t *testing.T) {
			p := newPatient(t)
			test.change(p)
			found := false
			for _, c := range p.checkAll(t.Context()).Checks {
				if c.Status == report.CheckOK {
					continue
				}
				if c.ID == test.id && c.Status == test.status && strings.Contains(c.Text, test.says) && strings.Contains(strings.Join(c.Try, "\n"), test.try) {
					found = true
				} else if test.id != "gateway.daemon" {
					t.Errorf("%s: %s: %s %q", c.ID, c.Status, c.Text, c.Try)
				}
			}
			if !found {
				t.Errorf("it is not found; %+v", p.checks)
			}
		})
	}
}

// offline has Nix ask a cache that cannot be reached.
func (p *patient) offline(cache string) {
	p.examined.nix.substituters = []string{cache}
	reach := p.http.Transport
	p.http.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Hostname() != "127.0.0.1" {
			return nil, errors.New("no route to host")
		}
		return reach.RoundTrip(r)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// starts has nix-daemon started some time after the kernel.
func (p *patient) starts(after time.Duration) {
	p.put("/proc/77/stat", fmt.Sprintf("77 (nix daemon) of) S 1 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %d 123 456\n", after/(10*time.Millisecond)))
}

// another is a key of that name.
func (p *patient) another(name string) string {
	p.t.Helper()
	key, err := nix.NewSecretKey(name, rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	return key.Public().String()
}

// publishes has this machine publish to a namespace with a writer's key of its own.
func (p *patient) publishes(change func(*report.Writer)) {
	p.t.Helper()
	key, err := nix.NewSecretKey("ci-main-1", rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	p.put("/var/lib/flurry/keys/ci-main-1.sec", key.Text()+"\n")
	p.chmod("/var/lib/flurry/keys/ci-main-1.sec", 0o600)
	p.status.Namespaces[0].Note = "you publish here"
	w := report.Writer{Name: "ci-main-1", Key: key.Public().String()}
	change(&w)
	p.examined.writers = func(context.Context, string) (report.Writers, error) {
		return report.Writers{Writers: []report.Writer{{Name: "(root)", Key: p.another("acme-1")}, w}}, nil
	}
}

func (p *patient) chmod(name string, mode os.FileMode) {
	p.t.Helper()
	if err := os.Chmod(p.Root+name, mode); err != nil {
		p.t.Fatal(err)
	}
}

// nixConf is what Nix reads.
func (p *patient) nixConf(lines ...string) {
	key := p.examined.nix.extra
	p.examined.nix = nixConf{trusted: []string{defaultNixKey}, extra: key, negativeTTL: time.Minute}
	p.examined.nix.parse([]byte(strings.Join(lines, "\n")), "/nowhere", 0)
}

// rooted has this machine keep a root key, of which a second copy was seen or not.
func (p *patient) rooted(copied bool) {
	p.t.Helper()
	key, err := nix.NewSecretKey("acme-1", rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	p.put("/var/lib/flurry/keys/acme-1.sec", key.Text()+"\n")
	p.chmod("/var/lib/flurry/keys/acme-1.sec", 0o600)
	p.status.Namespaces[0].Key = key.Public().String()
	if !copied {
		return
	}
	k := &keyring{dir: p.Root + "/var/lib/flurry/keys"}
	if noted, err := k.noteCopy(key.Public(), "/media/stick/acme-1.sec", time.Now()); !noted || err != nil {
		p.t.Fatal(noted, err)
	}
	for _, no := range []string{p.Root + "/var/lib/flurry/more.sec", p.Root + "/var/lib/flurry/x/../keys/acme-1.sec", "acme-1.sec", ""} {
		if noted, err := k.noteCopy(key.Public(), no, time.Now()); noted || err != nil {
			p.t.Errorf("%q is noted as a second copy, %v", no, err)
		}
	}
}

// hooked has Nix run flurry's hook, which ran so the last time.
func (p *patient) hooked(last spool.HookRun) {
	p.t.Helper()
	p.examined.nix.hook = "/etc/nix/flurry-hook"
	q, err := spool.Open(p.Root + "/var/lib/flurry")
	if err != nil {
		p.t.Fatal(err)
	}
	if err := errors.Join(q.NoteHook(last), q.Close()); err != nil {
		p.t.Fatal(err)
	}
}

// appendConf adds a line to nix.conf after those of setup, which nix-daemon has read.
func (p *patient) appendConf(line string) {
	p.t.Helper()
	p.put("/etc/nix/nix.conf", p.bench.read("/etc/nix/nix.conf")+line+"\n")
	p.look(p.status.Gateway.URL)
}

// TestDoctorWords: what is well is told with what it was found by.
func TestDoctorWords(t *testing.T) {
	p := newPatient(t)
	p.priority = 40
	p.publishes(func(*report.Writer) {})
	p.rooted(true)
	p.status.Namespaces = append(p.status.Namespaces, report.Namespace{Alias: "other-1", Key: p.status.Namespaces[0].Key, Note: "origin x"})
	p.status.Namespaces[0].Key = ""
	p.put("/proc/77/environ", "HTTP_PROXY=http://proxy:3128\x00") // which curl does not read
	p.status.Namespaces[0].Expires = nil
	var said strings.Builder
	p.checkAll(t.Context()).PrintText(&said)
	for _, want := range []string{" and is asked after the gateway (40 > 35)\n", "ok    Nix answers\n", "ok    a second copy of the root key of other-1 was seen " + time.Now().Format(time.DateOnly) + ", in /media/stick/acme-1.sec\n", "ok    acme-1: this machine's writer key ci-main-1 counts\n", "ok    acme-1: serial 3, 2 peers hold it\n", "\nall is well.\n"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is not in\n%s", want, &said)
		}
	}
}

// TestSilence: why a cache does not answer is said without the names of calls.
func TestSilence(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for want, err := range map[string]error{
		"it refuses connections":                 dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)),
		"no way leads there":                     dial(os.NewSyscallError("connect", syscall.ENETUNREACH)),
		"the name c.example cannot be looked up": dial(&net.DNSError{Err: "no such host", Name: "c.example", IsNotFound: true}),
		"nothing came for 3s":                    dial(os.ErrDeadlineExceeded),
		"something new":                          errors.New("something new"),
	} {
		if got := silence(err); got != want {
			t.Errorf("%v: %q, not %q", err, got, want)
		}
	}
}

// TestDoctorHook: a hook that is as it should be is told with how long it took, if that is known.
func TestDoctorHook(t *testing.T) {
	now := time.Now()
	p := newPatient(t)
	p.examined.nix.hook = "/etc/nix/flurry-hook"
	for _, test := range []struct {
		last *spool.HookRun
		says string
	}{
		{nil, "tells flurry what is built; it has not been run yet"},
		{&spool.HookRun{Began: now, Took: 7 * time.Millisecond, Ended: true}, "tells flurry what is built, in 7 ms at "},
		{&spool.HookRun{Began: now}, "tells flurry what is built, at this moment"},
	} {
		if test.last != nil {
			p.hooked(*test.last)
		}
		p.checks = nil
		p.nixHook(t.Context())
		if len(p.checks) != 1 || p.checks[0].Status != report.CheckOK || !strings.Contains(p.checks[0].Text, test.says) {
			t.Errorf("%+v, and not %q", p.checks, test.says)
		}
	}
	for found, says := range map[string]bool{"2.8.0": true, "2.8.1": false} {
		p.checks, p.found = nil, found
		p.nixVersion(t.Context())
		if len(p.checks) != 1 || p.checks[0].Status != report.CheckOK || strings.Contains(p.checks[0].Text, "no OUT_PATHS") != says {
			t.Errorf("Nix %s with a hook: %+v", found, p.checks)
		}
	}
}

// TestDoctorFollowsNoLink: root mends what the service's directory holds, not what a link in it names.
func TestDoctorFollowsNoLink(t *testing.T) {
	p := newPatient(t)
	p.put("/etc/hosts", "127.0.0.1 localhost\n")
	link := p.Root + "/var/lib/flurry/keys/x.sec"
	if err := os.Symlink(p.Root+"/etc/hosts", link); err != nil {
		t.Fatal(err)
	}
	p.chmod("/etc/hosts", 0o644)
	p.checkAll(t.Context())
	if len(p.fixes) > 0 {
		t.Errorf("%s is to be mended", p.fixes[0].what)
	}
	if err := closeFile(link); err == nil { // it took the place of a key since
		t.Error("it followed the link")
	}
	if info, err := os.Stat(p.Root + "/etc/hosts"); err != nil || info.Mode().Perm() != 0o644 {
		t.Error(info, err)
	}
}

// TestDoctorJSON: with --json there is one object, whatever was mended.
func TestDoctorJSON(t *testing.T) {
	b := newBench(t)
	for _, want := range []int{2, 1} { // keys of what is there to mend: setup's, and then nothing
		out, errs, _ := b.flurry(0, "doctor", "--fix", "--json", "--yes", "--socket", "/nowhere/control.sock")
		if !strings.HasPrefix(out, `{"schema":"flurry/doctor/1"`) || strings.Count(out, "\n") != 1 || want == 2 && !strings.Contains(errs, "setup") {
			t.Errorf("%q\n%s", out, errs)
		}
	}
}

// TestDoctorFixes: what can be mended is, by the commands that it names, and what it looks at again is well.
func TestDoctorFixes(t *testing.T) {
	b := newBench(t)
	b.must("setup", "--yes", "--no-nix")
	if err := os.Chmod(b.Root+"/var/lib/flurry/keys/flurry-local-1.sec", 0o640); err != nil {
		t.Fatal(err)
	}
	out, _, code := b.flurry(0, "doctor", "--socket", "/nowhere/control.sock")
	if code != report.ExitFailed || !strings.Contains(out, "FAIL  /etc/nix/nix.conf does not name the gateway") || !strings.Contains(out, "is readable by others (0640)") {
		t.Fatalf("%d\n%s", code, out)
	}
	if _, errs, code := b.flurry(0, "doctor", "--fix", "--socket", "/nowhere/control.sock"); code != report.ExitUsage || !strings.Contains(errs, "Mend it: chmod 600 /var/lib/flurry/keys/flurry-local-1.sec? Nobody is here to answer") {
		t.Errorf("without an answer: %d %s", code, errs)
	}
	out, errs, _ := b.flurry(0, "doctor", "--fix", "--yes", "--socket", "/nowhere/control.sock")
	_, after, _ := strings.Cut(out, "done. Everything above")
	if !strings.Contains(after, "ok    /etc/nix/nix.conf names the gateway") || !strings.Contains(after, "ok    Nix trusts this machine's key") || strings.Contains(after, "readable by others") {
		t.Errorf("%s%s", out, errs)
	}
	if info, err := os.Stat(b.Root + "/var/lib/flurry/keys/flurry-local-1.sec"); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	if out, _, _ := b.flurry(0, "doctor", "--json", "--socket", "/nowhere/control.sock"); !strings.HasPrefix(out, `{"schema":"flurry/doctor/1","ok":false,"checks":[{"id":"nix.version","status":"ok"`) || strings.Count(out, "\n") != 1 {
		t.Error(out)
	}
}

// TestDoctorBadConfig: a configuration that the daemon would refuse keeps doctor from nothing.
func TestDoctorBadConfig(t *testing.T) {
	b := newBench(t)
	for text, want := range map[string]string{
		"[gateway\n": "/etc/flurry/flurry.toml:",
		"state = \"/srv/flurry\"\n[store]\nquotta = \"1GiB\"\n": "/etc/flurry/flurry.toml:3: unknown key \"quotta\" in [store]; did you mean \"quota\"?",
	} {
		b.put("/etc/flurry/flurry.toml", text)
		out, errs, code := b.flurry(0, "doctor", "--socket", "/nowhere/control.sock")
		if code != report.ExitFailed || !strings.Contains(out, want) || !strings.Contains(out, "try: correct it, then: sudo systemctl reload flurry") || !strings.Contains(out, "/etc/nix/nix.conf does not name the gateway") || errs != "" {
			t.Errorf("%s: %d %s%s", text, code, out, errs)
		}
	}
	if out, _, code := b.flurry(0, "doctor", "--config", "/nowhere/flurry.toml"); code != report.ExitFailed || !strings.Contains(out, "FAIL  /nowhere/flurry.toml: no such file") {
		t.Errorf("a file that is not there: %d %s", code, out)
	}
}

func TestIsPublic(t *testing.T) {
	for addr, want := range map[string]bool{"/ip4/192.168.1.2/tcp/7670": false, "/ip4/203.0.113.7/tcp/7670": true, "/ip4/100.64.3.4/tcp/7670": false, "/ip4/100.128.0.1/tcp/7670": true, "/ip6/fd00::1/udp/7670/quic-v1": false, "/ip6/2001:db8::1/tcp/1": true,
		"/ip4/127.0.0.1/tcp/1": false, "/ip6/fe80::1/tcp/1": false, "/dns4/seed.acme.example/tcp/7670": true, "": false, "/ip4/": false, "ip4": false} {
		if isPublic(addr) != want {
			t.Errorf("%q: %v", addr, !want)
		}
	}
}
