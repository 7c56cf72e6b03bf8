package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/namespace"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	acme   = "acme-1:gUPS5WA15etHss+qS88T+5lXfwyC3r3IZt7EWO7FeRE="
	widget = "/nix/store/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz-widget-1.4.2"
	snow   = "/nix/store/5sd9j5nkb7d3vxhj2chjpw4nc78k41xb-libsnow-1.0"
	peerA  = "12D3KooWSjf9ZDL3xQvKS5yzg6KTWWpLDM3G3KzkcNKm35AqmT3x"
	peerB  = "12D3KooWQ7cD9Dqq3MRQfF6a8rYfN4yRDUx4MqcVQqYQ7Z9dWe11"
)

// now is the moment at which everything here is shown.
func now() time.Time { return time.Date(2026, 11, 22, 14, 2, 52, 0, time.UTC) }

func before(d time.Duration) *time.Time {
	t := now().Add(-d)
	return &t
}

func id(first byte) namespace.ID {
	var x namespace.ID
	x[0], x[1] = first, 0x3a
	return x
}

// golden compares the JSON of v, and what text writes, with testdata/NAME.json and NAME.txt.
func golden(t *testing.T, name string, v any, text func(*bytes.Buffer)) {
	t.Helper()
	spoken, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	compare(t, name+".json", append(spoken, '\n'))
	if text == nil {
		return
	}
	var b bytes.Buffer
	text(&b)
	compare(t, name+".txt", b.Bytes())
}

func compare(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not as before; go test -update writes it anew.\ngot:\n%s\nwant:\n%s", file, got, want)
	}
}

func busyStatus() Status {
	expires := time.Date(2027, 11, 22, 0, 0, 0, 0, time.UTC)
	past := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	return Status{
		Schema: "flurry/status/1", Version: "0.1.0",
		Node: NodeState{State: "running", Uptime: 274320, Peer: peerA},
		Gateway: Gateway{URL: "http://127.0.0.1:7669", Signer: "flurry-local-1:9Qd0", Connected: true, LastAsked: before(41 * time.Second),
			Questions: Questions{Asked: 1204, Given: 219, NotHere: 985, Median: 0.0003, Max: 0.212, Late: 1}},
		Traffic: Traffic{Moved{NarBytes: 1_900_000_000, Received: 214_000_000, ReceivedLAN: 88_000_000, ReceivedOrigins: 96_000_000, Sent: 31_000_000}},
		Sharing: Sharing{Mode: "lan"},
		Network: Network{Online: true, Peers: 9, LAN: 2, Addresses: []string{"/ip4/192.0.2.1/tcp/7670"}, DHT: "on", Announced: 1413, Replicas: 10, Interval: 22 * 3600, Rate: 500, Records: 14_130},
		Store:   Store{Bytes: 6_549_825_126, Quota: 21_474_836_480, Chunks: 412_991, Packs: 13, DiskFree: 120_259_084_288, Reserve: 1 << 30, InPlacePaths: 1234, InPlace: 31 << 30},
		Namespaces: []Namespace{
			{Alias: "acme-1", Key: acme, Trusted: true, Hold: "used", Share: "lan", Paths: 1412, Publications: 212, Synced: before(12 * time.Second), Serial: 3, Expires: &expires, Serving: 2, Problems: []string{}},
			{Alias: "home-1", Key: "home-1:Vq0c", Hold: "all", Share: "all", Paths: 310, Publications: 9, Serial: 1, Expires: &expires, Serving: 1, Problems: []string{}, Note: "you publish here"},
			{Alias: "zeta-2", Key: "zeta-2:Zt1x", Trusted: true, Hold: "used", Share: "lan", Expires: &past, Serial: 3, Problems: []string{"frozen: the document expired 2026-11-20, no new paths of writers are taken"}, Note: "nobody"},
		},
		Peers: []Peer{
			{Peer: peerA, LAN: true, Namespaces: []string{"acme-1", "home-1"}, Received: 1_100_000_000, Sent: 9_200_000_000, Speed: 94e6, State: "direct"},
			{Peer: "short", Namespaces: []string{}, State: "direct"},
			{Peer: peerB, Namespaces: []string{}, Sent: 3_100_000_000, State: "banned", Until: before(-5 * time.Minute), Why: "sent 1 wrong chunk"},
		},
		Problems: []Problem{{ID: "late", Message: "1 answer was cut off by the budget", Found: []string{"Nix was told \"not here\""}, Try: []string{"flurry status --peers", "flurry why PATH"}}},
	}
}

func TestStatus(t *testing.T) {
	s := busyStatus()
	golden(t, "status-busy", s, func(b *bytes.Buffer) { s.PrintText(b, now()) })
	fresh := Status{Schema: "flurry/status/1", Version: "0.1.0", Node: NodeState{State: "running"}, Namespaces: []Namespace{}, Problems: []Problem{},
		Gateway: Gateway{URL: "http://127.0.0.1:7669", Signer: "flurry-local-1:9Qd0"}, Sharing: Sharing{Mode: "all", Paused: "this network is metered"}}
	golden(t, "status-fresh", fresh, func(b *bytes.Buffer) { fresh.PrintText(b, now()) })
	named := fresh
	named.Gateway.Named = true
	named.Namespaces = []Namespace{{Alias: "cache.nixos.org", Trusted: true, Hold: "used", Note: "origin https://cache.nixos.org"}}
	golden(t, "status-named", named, func(b *bytes.Buffer) { named.PrintText(b, now()) })
	golden(t, "store", s.Store, func(b *bytes.Buffer) { s.Store.PrintText(b) })
}

// TestDHTWords: what nobody was told is not called announced.
func TestDHTWords(t *testing.T) {
	for _, test := range []struct {
		network Network
		says    string
	}{
		{Network{}, "off, 0 keys announced"},
		{Network{DHT: "on"}, "on, 0 keys announced"},
		{Network{DHT: "on", Announced: 1, Untold: 1, Replicas: 10}, "on, 1 key to announce, none told yet"},
		{Network{DHT: "on", Announced: 5000, Untold: 2000, Replicas: 10, Interval: 22 * 3600, Rate: 500, Records: 7}, "on, 3 000 of 5 000 keys announced to 10 nodes each, every 22 h 0 min, 500 records/s at most"},
		{Network{DHT: "on", Announced: 3, Replicas: 10, Interval: 22 * 3600, Rate: 500, Records: 7}, "on, 3 keys announced to 10 nodes each, every 22 h 0 min, 500 records/s at most"},
	} {
		if got := test.network.DHTWords(); got != test.says {
			t.Errorf("%+v: %q, want %q", test.network, got, test.says)
		}
	}
}

// TestStatusIsShort: not more than 20 lines for ten namespaces.
func TestStatusIsShort(t *testing.T) {
	s := busyStatus()
	s.Peers, s.Problems = nil, nil
	for len(s.Namespaces) < 10 {
		s.Namespaces = append(s.Namespaces, s.Namespaces[0])
	}
	for _, connected := range []bool{true, false} {
		s.Gateway.Connected = connected
		var b bytes.Buffer
		s.PrintText(&b, now())
		if n := bytes.Count(b.Bytes(), []byte("\n")); n > 20 {
			t.Errorf("connected %v: %d lines", connected, n)
		}
	}
}

func TestWhy(t *testing.T) {
	entry := &WhyEntry{Publication: "7f3a", Signer: "ci-main", Time: *before(time.Hour), NarSize: 64_278_528, ToFetch: 8_493_466, Providers: []string{peerA, peerB}}
	asked := &WhyNix{Asked: *before(49 * time.Second), Answer: "not-here", Took: 0.0002, RememberedUntil: before(-time.Hour)}
	steps := []WhyStep{{"this machine", "not valid in /nix/store"}, {"acme-1", "published by ci-main, publication 7f3a91c2"}}
	for name, w := range map[string]Why{
		"why-available":     {Verdict: Available, Source: "acme-1", Published: entry, Nix: &WhyNix{Asked: *before(26 * time.Hour), Answer: "given", Took: 1.2}},
		"why-remembered-no": {Verdict: RememberedNo, Source: "acme-1", Published: entry, Nix: asked, Try: []string{"nix build --refresh …", "narinfo-cache-negative-ttl = 60 in nix.conf, for good"}},
		"why-too-early":     {Verdict: RememberedNo, Source: "acme-1", Published: &WhyEntry{Publication: "7f3a", Signer: "ci-main", Time: *before(9 * time.Second), NarSize: 10, Providers: []string{}}, Nix: asked},
		"why-not-asked":     {Verdict: NotAsked, Source: "acme-1", Published: entry},
		"why-origin":        {Verdict: FromOrigin, Source: "cache", Reason: "from https://cache.example (no peer has it)", Published: &WhyEntry{Signer: "cache.example-1", NarSize: 10, ToFetch: 10, Providers: []string{}}},
		"why-here":          {Verdict: Here, Reason: "valid in /nix/store"},
		"why-unknown":       {Verdict: Unknown, Reason: "no namespace in use has published it", Nix: asked},
		"why-no-provider":   {Verdict: NoProvider, Reason: "acme-1 published it, nobody reachable has it", Published: &WhyEntry{NarSize: 10, ToFetch: 10, Providers: []string{}}},
		"why-incomplete":    {Verdict: Incomplete, Reason: "it needs " + snow + ", which acme-1 left out", Missing: []string{snow}},
		"why-untrusted":     {Verdict: Untrusted, Reason: "only zeta-2 has it, which this machine does not use"},
		"why-closure":       {Verdict: Here, Reason: "valid in /nix/store", Closure: &WhyClosure{Paths: 1031, Missing: []string{}}},
		"why-retracted":     {Verdict: Retracted, Reason: `acme-1 retracted it: "contains a token"`},
		"why-revoked":       {Verdict: WriterGone, Reason: "acme-1 revoked its writer ci-main"},
		"why-frozen":        {Verdict: Frozen, Reason: "published after acme-1's document expired (2026-11-20)"},
	} {
		w.Path, w.Steps, w.Exit = widget, steps, w.Verdict.Exit()
		w.Complete()
		golden(t, name, w, func(b *bytes.Buffer) { w.PrintText(b, now()) })
	}
}

// TestVerdicts: a path can be had, or it is the exit code for what cannot.
func TestVerdicts(t *testing.T) {
	for v, want := range map[Verdict]int{Here: 0, Available: 0, RememberedNo: 0, NotAsked: 0,
		Unknown: 5, NoProvider: 5, Incomplete: 5, Untrusted: 5, Corrupt: 5, Retracted: 5, WriterGone: 5, RanOut: 5, Frozen: 5, "later": 5} {
		if v.Exit() != want {
			t.Errorf("%s: %d", v, v.Exit())
		}
	}
}

func TestShow(t *testing.T) {
	expires := time.Date(2027, 11, 22, 0, 0, 0, 0, time.UTC)
	s := Show{Schema: "flurry/show/1", Alias: "acme-1", Address: acme, About: "Acme's widgets\x1b[31m", Trusted: true, Publisher: true, Serial: 3, Expires: &expires,
		Paths: 1412, Publications: 212, NarBytes: 38e9, Serving: []string{peerA},
		Listen:  []string{"/ip4/127.0.0.1/tcp/7670", "/ip4/192.168.178.20/tcp/7670"},
		Writers: []Writer{{Name: "(root)", Key: acme}, {Name: "ci-main", Key: "ci-main:0pYt", Until: &expires}},
		Acts: []Publication{{ID: id(0x7f).String(), Signer: "ci-main", Time: *before(time.Hour), Expires: expires, Roots: []string{widget, snow}, Entries: 29, Standing: "live"},
			{ID: id(1).String(), Signer: "acme-1", Time: *before(time.Hour), Expires: expires, Roots: []string{}, Standing: "expired"}},
		Found: []ShowPath{{Path: widget, NarSize: 64_278_528, Signer: "ci-main", Publication: "7f3a0000", Held: true}, {Path: snow, NarSize: 1, Signer: "acme-1", Publication: "013a0000"}},
	}
	golden(t, "show-full", s, func(b *bytes.Buffer) { s.PrintText(b, now()) })
	golden(t, "show-card", s, func(b *bytes.Buffer) { s.PrintCard(b) })
	stranger := Show{Schema: "flurry/show/1", Alias: "acme-1", Address: acme, Serving: []string{}, Found: []ShowPath{}}
	golden(t, "show-stranger", stranger, func(b *bytes.Buffer) { stranger.PrintText(b, now()) })
	past := now().Add(-time.Hour)
	s = Show{Schema: "flurry/show/1", Alias: "acme-1", Address: acme, Serial: 3, Expires: &past, Synced: before(time.Minute), Serving: []string{}}
	golden(t, "show-expired", s, func(b *bytes.Buffer) { s.PrintText(b, now()) })
}

// TestCardAddress: a card names the address that most can reach, and none that nobody can.
func TestCardAddress(t *testing.T) {
	for _, test := range []struct {
		have []string
		want string
	}{
		{nil, ""},
		{[]string{"/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1", "/ip6/fe80::1/tcp/1"}, ""},
		{[]string{"/ip4/192.168.1.2/udp/1/quic-v1", "/ip4/192.168.1.2/tcp/1"}, "/ip4/192.168.1.2/tcp/1"},
		{[]string{"/ip4/192.168.1.2/tcp/1", "/ip4/203.0.113.9/udp/1/quic-v1"}, "/ip4/203.0.113.9/udp/1/quic-v1"},
		{[]string{"/ip4/203.0.113.9/tcp/1", "/dns/seed.acme.example/tcp/1"}, "/dns/seed.acme.example/tcp/1"},
		{[]string{"/ip4/203.0.113.9/tcp/1/p2p/x/p2p-circuit", "nonsense", "/", "/ip4"}, ""},
	} {
		if got := reachable(test.have); got != test.want {
			t.Errorf("%q: %q, not %q", test.have, got, test.want)
		}
	}
}

func TestActs(t *testing.T) {
	expires := time.Date(2027, 11, 22, 0, 0, 0, 0, time.UTC)
	u := Use{Schema: "flurry/use/1", Alias: "acme-1", Address: acme, About: "Acme's widgets", Serving: []string{peerA, peerB}, LAN: 1, Writers: 3, Paths: 1412, Serial: 3,
		Synced: true, Expires: &expires, Warnings: []Problem{}, Elsewhere: []string{"cache.nixos.org"}}
	golden(t, "use", u, func(b *bytes.Buffer) { u.PrintText(b) })
	u = Use{Schema: "flurry/use/1", Alias: "acme-1", Address: acme, Serving: []string{}, Warnings: []Problem{{ID: "nobody-found", Message: "m"}}}
	golden(t, "use-nobody", u, func(b *bytes.Buffer) { u.PrintText(b) })
	u.Serial, u.Writers, u.Paths = 3, 1, 1
	golden(t, "use-offline", u, func(b *bytes.Buffer) { u.PrintText(b) })
	for name, l := range map[string]Leave{"leave": {Schema: "flurry/leave/1", Alias: "acme-1"}, "leave-purge": {Schema: "flurry/leave/1", Alias: "acme-1", Publisher: true, Purged: true}} {
		golden(t, name, l, func(b *bytes.Buffer) { l.PrintText(b) })
	}
	n := New{Schema: "flurry/new/1", Alias: "acme-1", Address: acme, KeyFile: "/var/lib/flurry/keys/acme-1.sec", Serial: 1, Expires: expires}
	golden(t, "new", n, func(b *bytes.Buffer) { n.PrintText(b) })
	n.Adopted = true
	n.Copy = "/media/stick/acme-1.sec"
	golden(t, "new-adopted", n, func(b *bytes.Buffer) { n.PrintText(b) })
	d := Daemon{Schema: "flurry/daemon/1", Version: "0.1.0", Gateway: []string{"http://127.0.0.1:7669", "http://[::1]:7669"}, Socket: "/run/flurry/control.sock", Signer: "flurry-local-1:9Qd0"}
	golden(t, "daemon", d, func(b *bytes.Buffer) { d.PrintText(b) })
	golden(t, "health", Health{Status: "degraded", Reasons: []string{"disk"}}, nil)
}

func TestPublish(t *testing.T) {
	full := Publish{Namespace: "acme-1", Publications: []namespace.ID{id(0x7f), id(1)}, Pin: "v1.4.2", Roots: 1, Closure: 1179, Paths: 29, Already: 2, Upstream: 1148, UpstreamKeys: []string{"cache.nixos.org-1"},
		LeftOut: 1, Excluded: []Left{{Path: snow, Why: `excluded by "libsnow-*"`}}, Blocked: []Left{{Path: widget, Why: "needs libsnow-1.0"}}, NarBytes: 61_300_000, NewBytes: 8_100_000}
	dry := Publish{Namespace: "acme-1", DryRun: true, Roots: 2, Closure: 2, Paths: 1, Already: 1, NarBytes: 999, NewBytes: 0}
	none := Publish{Namespace: "acme-1", Roots: 1, Closure: 1, Already: 1}
	for name, p := range map[string]Publish{"publish": full, "publish-dry": dry, "publish-nothing": none} {
		p.Complete()
		golden(t, name, p, func(b *bytes.Buffer) { p.PrintText(b) })
	}
	if s := (PublishProgress{Paths: 29, Bytes: 61_300_000}).String(); s != "29 paths, 61.3 MB of NARs" {
		t.Error(s)
	}
	golden(t, "publish-progress", PublishProgress{Paths: 29, PathsDone: 3, Bytes: 61_300_000, BytesDone: 5, NewBytes: 2}, nil)
}

func TestCollected(t *testing.T) {
	nothing := Collected{Kept: 1234}
	would := Collected{DryRun: true, Publications: 2, Contents: 29, Bytes: 61_300_000, Freed: 60_100_000, Kept: 6_549_825_126, Waiting: 5_000_000,
		Why: []CollectedWhy{{"refused", 1_000_000}, {"expired", 50_000_000}, {"left", 9_000_000}, {"cache", 1_200_000}, {"orphan", 100_000}}, Used: 7_000_000_000, Quota: 20 << 30}
	did := would
	did.DryRun = false
	for name, c := range map[string]Collected{"collect-nothing": nothing, "collect-dry": would, "collect": did} {
		c.Complete()
		golden(t, name, c, func(b *bytes.Buffer) { c.PrintText(b) })
	}
	golden(t, "collect-progress", CollectProgress{Done: 1, Of: 2}, nil)
}

func TestCheck(t *testing.T) {
	good := Check{Chunks: 412_991, Others: 1, Bytes: 6_549_825_126, Rebuilt: true}
	bad := Check{Chunks: 5, Others: 2, Bytes: 10, Damaged: []string{"chunk 1", "chunk 2"}, OutOfUse: 1, Repaired: 1}
	for name, c := range map[string]Check{"check": good, "check-damaged": bad} {
		c.Complete()
		golden(t, name, c, func(b *bytes.Buffer) {
			c.PrintText(b)
			if p := c.Problem(); p != nil {
				p.Print(b)
			}
		})
	}
	if s := (CheckProgress{Of: 61_300_000}).String(); s != "61.3 MB" {
		t.Error(s)
	}
	golden(t, "check-progress", CheckProgress{Bytes: 1, Of: 2}, nil)
	many := Check{Damaged: make([]string, 12)}
	many.Complete()
	if p := many.Problem(); len(p.Found) != 11 || p.Found[10] != "and 2 more" || p.Exit != ExitFailed {
		t.Errorf("%+v", p)
	}
	whole := Check{Damaged: []string{"x"}, Repaired: 1}
	whole.Complete()
	if whole.Problem() != nil {
		t.Error("what was repaired is still a problem")
	}
}

func TestRun(t *testing.T) {
	start := RunStart{Gateway: "http://127.0.0.1:38123", Own: true, Serving: 1, Synced: 0.18}
	golden(t, "run-start", start, func(b *bytes.Buffer) { b.WriteString(start.String() + "\n") })
	for want, s := range map[string]RunStart{
		"no gateway for this command": {}, "gateway on 127.0.0.1:7669, the daemon's": {Gateway: "http://127.0.0.1:7669"},
		"gateway on 127.0.0.1:1 for this command; 2 peers": {Gateway: "http://127.0.0.1:1", Own: true, Serving: 2},
	} {
		if got := s.String(); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	published := Publish{Namespace: "acme-1", Publications: []namespace.ID{id(0x7f)}, Paths: 12, NarBytes: 19_000_000, Copies: []Copy{{Node: "seed.acme.example", Peer: peerA, Time: now()}}}
	published.Complete()
	nothing := Publish{Namespace: "acme-1", Excluded: []Left{{Path: widget, Why: "excluded by \"widget-*\""}}}
	nothing.Complete()
	for name, r := range map[string]Run{
		"run":         {Given: 41, Built: 12, Namespace: "acme-1", Publish: &published, Sent: 700_000, Drained: 3.1},
		"run-reads":   {Given: 41, Status: 1, Exit: 1},
		"run-nothing": {Namespace: "acme-1"},
		"run-left":    {Built: 1, Namespace: "acme-1", Publish: &nothing},
		"run-failed":  {Built: 1, Namespace: "acme-1", Problem: &Problem{ID: "no-copies", Message: "acme-1: none", Exit: ExitCopies}},
	} {
		golden(t, name, r, func(b *bytes.Buffer) { r.PrintText(b) })
	}
}
