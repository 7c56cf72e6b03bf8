package namespace_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/namespace"
)

// A change is a fault put into a good text, and a part of what the error says.
type change struct{ old, new, says string }

// rejects applies each change alone to the good text, which has to become one
// that parse refuses for the reason given.
func rejects(t *testing.T, good []byte, parse func([]byte) error, changes []change) {
	t.Helper()
	if err := parse(good); err != nil {
		t.Fatalf("the good text: %v", err)
	}
	for _, c := range changes {
		if strings.Count(string(good), c.old) == 0 {
			t.Errorf("the good text has no %q", c.old)
			continue
		}
		bad := strings.Replace(string(good), c.old, c.new, 1)
		if err := parse([]byte(bad)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q for %q: have error %v, want one that says %q", c.new, c.old, err, c.says)
		}
	}
}

func parsePublication(b []byte) error { _, err := namespace.ParsePublication(b); return err }
func parseDocument(b []byte) error    { _, err := namespace.ParseDocument(b); return err }
func parseEntry(b []byte) error       { _, err := namespace.ParseEntry(b); return err }
func parseKeepList(b []byte) error    { _, err := namespace.ParseKeepList(b); return err }

func TestRejectPublication(t *testing.T) {
	good := publication(t).Append(nil)
	hello, bare := path(t, "hello-1.0").Base(), path(t, "bare").Base()
	rejects(t, good, parsePublication, []change{
		{"flurry publication 1", "flurry publication 2", `line 1: want "flurry publication 1"`},
		{"flurry publication 1", "flurry publication 10", "line 1: want"},
		{"flurry publication 1\n", "", "line 1: want"},
		{"namespace acme-1:", "namespace acme 1:", "line 2"},
		{"namespace acme-1:", "namespace acme+1:", "cannot sign texts"},
		{"namespace ", "namespace  ", "line 2"},
		{"hw0AM=", "hw0AN=", "canonical"},
		{"hw0AM=", "hw0AM=?seed=/ip4/192.0.2.1", "hints"},
		{"time 2026", "time  2026", "line 3"},
		{"time 2026-09-01T12:00:00Z", "time 2026-09-01T12:00:00.5Z", "not a time"},
		{"time 2026-09-01T12:00:00Z", "time 2026-09-01T12:00:00+00:00", "not a time"},
		{"time 2026-09-01T12:00:00Z", "time 2026-09-01 12:00:00", "not a time"},
		{"time 2026-09-01T12:00:00Z", "time 1969-12-31T23:59:59Z", "1970"},
		{"time 2026-09-01T12:00:00Z", "time 2026-02-30T12:00:00Z", "not a time"},
		{"time 2026-09-01T12:00:00Z\nexpires 2026-11-30T12:00:00Z", "expires 2026-11-30T12:00:00Z\ntime 2026-09-01T12:00:00Z", `want "time "`},
		{"expires 2026-11-30T12:00:00Z", "expires 2026-09-01T12:00:00Z", "not within 400d"},
		{"expires 2026-11-30T12:00:00Z", "expires 2026-08-30T12:00:00Z", "not within 400d"},
		{"expires 2026-11-30T12:00:00Z\n", "", `want "expires "`},
		{"pin gone last=0", "pin gone", "neither last=N nor for=DURATION"},
		{"pin gone last=0", "pin gone last=00", "not a number"},
		{"pin gone last=0", "pin gone last=-1", "not a number"},
		{"pin gone last=0", "pin gone last=+1", "not a number"},
		{"pin gone last=0", "pin gone last=", "not a number"},
		{"pin gone last=0", "pin gone last=0 for=1d", "not a number"},
		{"pin gone last=0", "pin  last=0", "not sorted"},
		{"pin gone last=0", "pin branch/main last=0", "comes twice"},
		{"pin gone last=0", "pin g\u00f6ne last=0", "not a printable"},
		{"pin gone last=0", "pin zone last=0", "not sorted"},
		{"for=36h", "for=24h", `has to be written "1d"`},
		{"for=36h", "for=", "not a duration"},
		{"for=36h", "for=h", "not a duration"},
		{"for=36h", "for=0h", "not a duration"},
		{"for=36h", "for=036h", "not a duration"},
		{"for=36h", "for=36", "not a duration"},
		{"for=36h", "for=36w", "not a duration"},
		{"for=36h", "for=1.5d", "not a duration"},
		{"root " + hello + "\n", "root " + hello + "\nroot " + hello + "\n", "not sorted"},
		{"root " + hello + "\nroot " + bare, "root " + bare + "\nroot " + hello, "not sorted"},
		{"root " + hello, "root /nix/store/" + hello, "not a store path"},
		{"root " + hello, "root " + hello + " ", "cannot be in a name"},
		{"uses sha256:33", "uses 33", `does not begin with "sha256:"`},
		{"uses sha256:cb", "uses sha256:CB", "lower-case"},
		{"uses sha256:33", "uses sha256:3", "63 characters"},
		{"extern cache.example.org-1:", "extern cache.example.org-1/", "key"},
		{"extern ", "extern  ", "line 13"},
		{"hole ", "root ", "out of place"},
		{"weather snow", "", "line"},
		{"weather snow", "uses", "out of place or incomplete"},
		{"weather snow", "time 2026-09-01T12:00:00Z", "out of place"},
		{"weather snow", "weather \x07", "control character U+0007"},
		{"weather snow", "weather \u0085", "control character U+0085"},
		{"weather snow", "weather \xff", "not UTF-8"},
		{"weather snow", "weather snow\r", "control character"},
		{"another\n\n", "another\n\n\n", `want "StorePath: "`},
		{"Slots: \n", "Slots: \n\n", `want "StorePath: "`},
		{"Slots: \n", "Slots: ", "no newline at the end"},
		{"\nStorePath: /nix/store/" + bare, "\nStorePath: /nix/store/" + hello, "entries are not sorted, or one comes twice"},
		{"Body: sha256:4c2a8e83f9b4ed2748da4203142b5ca1ecffd163fc5cb9e2bb429843ae6556a8\nSlots: \n", "", "has no body"},
	})
}

func TestRejectPublicationOrder(t *testing.T) {
	p := publication(t)
	text := string(p.Append(nil))
	blocks := strings.SplitAfter(text, "\n\n")
	if len(blocks) != 3 {
		t.Fatalf("%d blocks, want a header and two entries", len(blocks))
	}
	swapped := blocks[0] + strings.TrimSuffix(blocks[2], "\n") + "\n\n" + strings.TrimSuffix(blocks[1], "\n")
	twice := blocks[0] + blocks[1] + strings.TrimSuffix(blocks[1], "\n")
	for what, text := range map[string]string{"swapped": swapped, "twice": twice} {
		if err := parsePublication([]byte(text)); err == nil || !strings.Contains(err.Error(), "entries are not sorted") {
			t.Errorf("entries %s: have error %v", what, err)
		}
	}
	// Two names under one hash part cannot both be right.
	p.Entries[1] = p.Entries[0]
	base := p.Entries[0].Path.Base()
	text = strings.Replace(string(p.Append(nil)), "StorePath: /nix/store/"+base, "StorePath: /nix/store/"+base+"-a", 1)
	if err := parsePublication([]byte(text)); err == nil {
		t.Error("two entries of one hash part are accepted")
	}
}

func TestRejectEntry(t *testing.T) {
	e := publication(t).Entries[0]
	e.Sort()
	good := e.Append(nil)
	own, glibc, bare := path(t, "hello-1.0"), path(t, "glibc-2.40"), path(t, "bare")
	slots := glibc.Hash().String() + " " + bare.Hash().String() + " " + own.Hash().String()
	rejects(t, good, parseEntry, []change{
		{"StorePath: ", "StorePath:", `want "StorePath: "`},
		{"StorePath: /nix/store/", "StorePath: /gnu/store/", "not a store path"},
		{"NarHash: sha256:07bms", "NarHash: sha256:07bmu", "line 2"},
		{"NarHash: sha256:07bmsprhikb6x93ym6n2mxpm295niciq7b34g6g1dcdj1a467k1k",
			"NarHash: sha256-MwTGKGBra4kOMjWyrDJJZcQbU9ZDmjunuRpGrrUvFgA=", "not in canonical form"},
		{"NarSize: 1009", "NarSize: 01009", "not a number"},
		{"NarSize: 1009", "NarSize: 0", "NarSize 0 is not"},
		{"NarSize: 1009", "NarSize: 1099511627777", "NarSize 1099511627777 is not"},
		{"NarSize: 1009", "NarSize: 18446744073709551616", "not a number"},
		{"NarSize: 1009", "NarSize: 1_009", "not a number"},
		{"References: ", "References:", `want "References: "`},
		{"References: ", "References:  ", "not a store path"},
		{"-hello-1.0 " + glibc.Base(), "-hello-1.0  " + glibc.Base(), "not a store path"},
		{glibc.Base() + " " + bare.Base(), bare.Base() + " " + glibc.Base(), "not sorted and unique"},
		{glibc.Base() + " " + bare.Base(), glibc.Base() + " " + glibc.Base(), "not sorted and unique"},
		{".drv\n", "\n", "does not end in .drv"},
		{"Deriver: ", "Deriver: /nix/store/", "deriver"},
		{"Sig: acme-1:", "Sig: zcme-1:", "not sorted"},
		{"Sig: acme-ci-1:", "Sig: acme-ci-1", "not a signature"},
		{"I9vB3Cg==", "I9vB3Ch==", "not a signature"},
		{"I9vB3Cg==", "I9vB3Cg", "not a signature"},
		{"Body: sha256:04e4", "Body: sha256:04E4", "lower case"},
		{"Body: ", "body: ", "Slots"},
		{"Slots: " + slots + "\n", "", "not in canonical form"},
		{slots, slots + " " + own.Hash().String(), "comes twice"},
		{slots, slots + " " + slots, "6 slots for 3 references"},
		{slots, own.Hash().String() + " " + own.Hash().String(), "comes twice"},
		{slots, own.Hash().String() + "  " + bare.Hash().String(), "not a path hash"},
		{slots, path(t, "other").Hash().String(), "neither a reference nor the path itself"},
		{"Mood: cheerful", "NarSize: 7", "out of place"},
		{"Mood: cheerful", "Sig", "out of place"},
		{"Mood: cheerful", "!Mood: cheerful", "void"},
	})
}

func TestRejectDocument(t *testing.T) {
	good := document(t).Append(nil)
	rejects(t, good, parseDocument, []change{
		{"flurry namespace 1", "flurry namespace 2", "line 1: want"},
		{"serial 3", "serial 0", "serial 0 is not between 1"},
		{"serial 3", "serial 03", "not a number"},
		{"serial 3", "serial 1788264001", "serial 1788264001 is not between"},
		{"serial 3", "serial 1", "the first does not"},
		{"previous sha256:b09b50f3c46c489f562896fb5a081e8c60c283731a2fe1c89e49afa69d904957\n", "", "names the one before"},
		{"previous sha256:b09b50f3c46c489f562896fb5a081e8c60c283731a2fe1c89e49afa69d904957",
			"previous sha256:0000000000000000000000000000000000000000000000000000000000000000", "names the one before"},
		{"issued 2026-09-01T12:00:00Z", "issued 2027-09-01T12:00:00Z", "is not after issued"},
		{"store /nix/store", "store /gnu/store", "is not /nix/store"},
		{"keep 90d", "keep 401d", "more than 400d"},
		{"keep 90d", "keep 2160h", `has to be written "90d"`},
		{"keep 90d", "keep 90", "not a duration"},
		{"keep 90d", "keep ", "not a duration"},
		{"writer key zoe:", "writer key acme-1:", "the name \"acme-1\" comes twice"},
		{"writer key zoe:", "writer key acme-ci-1:", "comes twice"},
		{"writer key zoe:", "writer key old-1:", "comes twice"},
		{"writer key zoe:e49YX+iOY3FYDtwpDM6FCIgsY6ciTZ9yXrUDPsg5Eso=", "writer key zoe:QqasG2NLknwMrZP/nhYDb1m19CJ/06tO7xoQmaqaRj8=", "key of \"acme-ci-1\" comes twice"},
		{"writer key zoe:e49YX+iOY3FYDtwpDM6FCIgsY6ciTZ9yXrUDPsg5Eso=", "writer key zoe:uH3+SQFn+9cCBtR/G2xqYeuOyeVQl4v05uk+8j7mT20=", "comes twice"},
		{"writer key zoe:", "writer key z@e:", "cannot sign texts"},
		{"until never", "until ever", "not a time"},
		{" until never", "", "has no until"},
		{"until 2027-01-01T00:00:00Z", "until 2027-01-01", "not a time"},
		{"writer oidc https", "writer key https", "has no until"},
		{"writer oidc https", "writer  https", "out of place or incomplete"},
		{"writer oidc https://example.org sub\n", "writer oidc x\nwriter key a:b until never\n", "out of place"},
		{"closed old-1:", "closed old-3:", "not sorted"},
		{" keep none", " keep", "has no keep"},
		{" keep none", " keep nothing", "does not begin with"},
		{"withdraw sha256:19", "withdraw sha256:e9", "not sorted"},
		{" too\n", "\n", "no text"},
		{" too\n", "  too\n", "begins or ends with space"},
		{" too\n", " too \n", "begins or ends with space"},
		{"deny 7ay5", "deny 7ey5", "path hash"},
		{"sha256:1780kkasxvkkrd52rm4801xbv2rln7hn8ragi4rlln9r00bfh8ry", "sha256-PiPoFgA5WUoziU9lZOGxNIu9egCI1CxKy3PurtWcAJ0=", "not in canonical form"},
		{"a licence – of ours", "a licence \u009b of ours", "control character"},
		{"seed /dns4", "seed dns4", "not a multiaddr"},
		{"seed /dns4/seed.example.org/tcp/7670", "seed /", "not a multiaddr"},
		{"about Widgets", "about  Widgets", "begins or ends with space"},
		{"about Widgets für alle", "about", `want "!access "`},
		{"!access public\n", "", `want "!access "`},
		{"!access public\n", "!access public\n!access public\n", "out of place"},
		{"motto none\n", "about me\n", "out of place"},
		{"motto none\n", "writer oidc x\n", "out of place"},
		{"motto none\n", "\n", "empty line"},
		{"motto none\n", "motto none", "no newline at the end"},
	})
}

func TestRejectSameTakenBackTwice(t *testing.T) {
	d := document(t)
	d.Withdrawn[1].Publication = d.Withdrawn[0].Publication
	if err := parseDocument(d.Append(nil)); err == nil || !strings.Contains(err.Error(), "withdrawn twice") {
		t.Errorf("have error %v", err)
	}
	d = document(t)
	d.Denied[1].NarHash = d.Denied[0].NarHash
	if err := parseDocument(d.Append(nil)); err == nil || !strings.Contains(err.Error(), "denied twice") {
		t.Errorf("have error %v", err)
	}
}

func TestRejectKeepList(t *testing.T) {
	good := keepList(t).Append(nil)
	lines := strings.SplitAfter(string(good), "\n")
	rejects(t, good, parseKeepList, []change{
		{"flurry keep 1", "flurry keep 2", "line 1: want"},
		{"namespace acme-1:", "namespace acme,1:", "line 2"},
		{"namespace acme-1:", "namespace acme+1:", "cannot sign texts"},
		{lines[2], lines[2] + lines[2], "not sorted"},
		{lines[2] + lines[3], lines[3] + lines[2], "not sorted"},
		{lines[4], lines[4] + "\n", "line 6"},
		{lines[4], lines[4][:len(lines[4])-1], "no newline at the end"},
		{lines[4], lines[4] + "more\n", "line 6"},
	})
}

func TestVoid(t *testing.T) {
	header := publication(t)
	header.Unknown = append(header.Unknown, "!embargo until tomorrow")
	inEntry := publication(t)
	inEntry.Entries[0].Unknown = []string{"!Sandbox: off"}
	for name, p := range map[string]*namespace.Publication{"header": header, "entry": inEntry} {
		if err := parsePublication(p.Append(nil)); !errors.Is(err, namespace.ErrVoid) {
			t.Errorf("line in %s: have error %v, want ErrVoid", name, err)
		}
	}
	if err := parsePublication([]byte("nonsense")); err == nil || errors.Is(err, namespace.ErrVoid) {
		t.Errorf("nonsense: have error %v, want another than ErrVoid", err)
	}
}

func TestSuspended(t *testing.T) {
	for line, change := range map[string]func(*namespace.Document){
		"":                 func(*namespace.Document) {},
		"!access invited":  func(d *namespace.Document) { d.Access = "invited" },
		"!quorum 2":        func(d *namespace.Document) { d.Unknown = append(d.Unknown, "!quorum 2", "!later") },
		"!access public ?": func(d *namespace.Document) { d.Access = "public ?" },
	} {
		d := document(t)
		change(d)
		parsed, err := namespace.ParseDocument(d.Append(nil))
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		if have, suspended := parsed.Suspended(); have != line || suspended != (line != "") {
			t.Errorf("suspended by %q, %v; want %q", have, suspended, line)
		}
	}
}
