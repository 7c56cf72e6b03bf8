package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/report"
)

// says has the environment say something, besides where home is.
func (p *patient) says(name, value string) {
	p.sh.getenv = func(n string) string { return map[string]string{"HOME": "/root", name: value}[n] }
}

// TestDoctorFindsRarely: what seldom is wrong is found, too: with what to do, once, and nothing else is.
func TestDoctorFindsRarely(t *testing.T) {
	soon := time.Now().Add(3 * 24 * time.Hour)
	for name, test := range map[string]struct {
		id     string
		change func(p *patient)
		status report.CheckStatus
		says   string
		try    string
	}{
		"NIX_CONFIG takes the gateway away": {"nix.substituter", func(p *patient) { p.says("NIX_CONFIG", "substituters = https://x.example\ncores = 2") }, report.CheckWarn, "NIX_CONFIG has `substituters =`", "extra-substituters in the place"},
		"one of the user's files does": {"nix.substituter", func(p *patient) {
			p.put("/home/one.conf", "cores = 2\n")
			p.put("/home/two.conf", "substituters = https://x.example\n")
			p.says("NIX_USER_CONF_FILES", "/home/one.conf:/home/two.conf")
		}, report.CheckWarn, "/home/two.conf has `substituters =`", "extra-substituters in the place"},
		"one for all users does":             {"nix.substituter", func(p *patient) { p.put("/etc/xdg/nix/nix.conf", "substituters = https://x.example\n") }, report.CheckWarn, "/etc/xdg/nix/nix.conf has `substituters =`", "extra-substituters"},
		"the user's file takes the key away": {"nix.key", func(p *patient) { p.put("/root/.config/nix/nix.conf", "trusted-public-keys = "+defaultNixKey+"\n") }, report.CheckWarn, "/root/.config/nix/nix.conf has `trusted-public-keys =`", "extra-trusted-public-keys in the place"},
		"nix-daemon may not be asked": {"nix.daemon", func(p *patient) {
			p.nixAnswers = func(context.Context) error {
				return &daemon.DownError{Socket: nixSocketDir + "/socket", Err: fs.ErrPermission}
			}
		}, report.CheckFail, "permission denied", "group"},
		"a slow cache that is asked first": {"nix.order", func(p *patient) {
			p.examined.nix.substituters = []string{p.other.URL + "?priority=10"}
			reach := p.http.Transport
			p.http.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				if strings.HasPrefix(p.other.URL, "http://"+r.URL.Host) {
					time.Sleep(slowCache + 20*time.Millisecond)
				}
				return reach.RoundTrip(r)
			})
		}, report.CheckWarn, " ms for an answer, and is asked before the gateway (10 < 35)", "put it behind the gateway: flurry use KEY --origin"},
		"a cache that is no URL": {"nix.order", func(p *patient) { p.examined.nix.substituters = []string{"http://u:secret@x\x7f/"} }, report.CheckWarn, "a cache whose URL is malformed does not answer: Nix waits for it (it is no URL)", ""},
		"a key in /nix/store": {"keys.store", func(p *patient) {
			p.conf.config.KeyFiles = map[namespace.Address]string{addressFor(p.t, p.another("acme-1")): "/nix/store/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz-key"}
			p.status.Problems = []report.Problem{{ID: "key-in-store", Message: "a key in /nix/store can be read by everybody, for ever"}}
		}, report.CheckFail, "the key of acme-1 is in /nix/store", "a key elsewhere"},
		"a key that the daemon does not use": {"keys.mode", func(p *patient) {
			p.chmod("/var/lib/flurry/keys/flurry-local-1.sec", 0o644)
			p.status.Problems = []report.Problem{{ID: "key-readable", Message: "/var/lib/flurry/keys/flurry-local-1.sec is readable by others (0644); not used"}}
		}, report.CheckFail, "is readable by others (0644)", "chmod 600"},
		"the publisher's own document": {"ns.document", func(p *patient) {
			p.status.Namespaces[0].Expires, p.status.Namespaces[0].Note = &soon, "you publish here"
		}, report.CheckWarn, "its document is valid until", "flurry show acme-1 --edit"},
		"what it leaves to a known cache": {"ns.upstream", func(p *patient) {
			p.examined.nix.trusted = nil
			p.shown = map[string]report.Show{"acme-1": {LeavesOut: []string{defaultNixKey}}}
		}, report.CheckWarn, "acme-1 leaves out what cache.nixos.org-1 has", "flurry use cache.nixos.org"},
		"no multicast": {"net.lan", func(p *patient) {
			p.interfaces = func() ([]net.Interface, error) {
				return []net.Interface{{Name: "lo", Flags: net.FlagUp | net.FlagMulticast | net.FlagLoopback}, {Name: "tun0", Flags: net.FlagUp}}, nil
			}
		}, report.CheckWarn, "no interface of this machine takes multicast", "peers in [network]"},
		"a network disk": {"store.fs", func(p *patient) {
			p.diskKind = func(dir string) (uint32, error) {
				if dir == p.Root+"/var/lib/flurry" {
					return nfsMagic, nil
				}
				return 0, nil
			}
		}, report.CheckWarn, "/var/lib/flurry is on a network file system", "a directory on a disk of this machine"},
		"a disk of which nothing is known": {"store.fs", func(p *patient) { p.diskKind = func(string) (uint32, error) { return 0, syscall.EIO } }, report.CheckWarn, "/var/lib/flurry: input/output error", ""},
		"a full disk, told once": {"store.reserve", func(p *patient) {
			p.status.Store.DiskFree = 1e6
			p.status.Problems = []report.Problem{{ID: "disk-full", Message: "it is full"}}
		}, report.CheckFail, "nothing new is stored", "make room"},
		"an answer that was late": {"gateway.late", func(p *patient) {
			p.status.Problems = []report.Problem{{ID: "late", Message: "3 answers took too long"}}
		}, report.CheckWarn, "3 answers took too long", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t)
			test.change(p)
			found := 0
			for _, c := range p.checkAll(t.Context()).Checks {
				switch {
				case c.Status == report.CheckOK:
				case c.ID == test.id && c.Status == test.status && strings.Contains(c.Text, test.says) && strings.Contains(strings.Join(c.Try, "\n"), test.try):
					found++
				default:
					t.Errorf("%s: %s: %s %q", c.ID, c.Status, c.Text, c.Try)
				}
				if strings.Contains(fmt.Sprint(c), "secret@") {
					t.Errorf("it shows a password: %s", c.Text)
				}
			}
			if found != 1 {
				t.Errorf("it is found %d times; %+v", found, p.checks)
			}
		})
	}
}

// addressFor is the namespace of a public key.
func addressFor(t *testing.T, word string) namespace.Address {
	t.Helper()
	key, err := nix.ParsePublicKey(word)
	if err != nil {
		t.Fatal(err)
	}
	return namespace.AddressOf(key)
}

// TestDoctorIsWell: what looks odd and is not wrong is no warning.
func TestDoctorIsWell(t *testing.T) {
	for name, test := range map[string]struct {
		change func(p *patient)
		says   string
	}{
		"nobody is connected before the first use": {func(p *patient) { p.status.Network = report.Network{} }, "silent: nothing goes on the wire"},
		"another program's hook": {func(p *patient) {
			p.put("/etc/nix/theirs", "#!/bin/sh\n")
			p.chmod("/etc/nix/theirs", 0o755)
			p.examined.nix.hook = "/etc/nix/theirs"
		}, "/etc/nix/theirs is another program's hook"},
		"a state directory that is not there yet": {func(p *patient) { p.diskKind = func(string) (uint32, error) { return 0, syscall.ENOENT } }, "all is well"},
		"no neighbours wanted": {func(p *patient) {
			p.conf.config.LAN = false
			p.interfaces = func() ([]net.Interface, error) { return nil, nil }
		}, "all is well"},
		"interfaces that cannot be seen":       {func(p *patient) { p.interfaces = func() ([]net.Interface, error) { return nil, errors.New("no") } }, "all is well"},
		"nix-daemon starts when somebody asks": {func(p *patient) { p.put("/proc/77/comm", "sh\n") }, "all is well"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t)
			test.change(p)
			var said bytes.Buffer
			p.checkAll(t.Context()).PrintText(&said)
			if !strings.Contains(said.String(), test.says) || !strings.HasSuffix(said.String(), "\nall is well.\n") {
				t.Error(&said)
			}
		})
	}
}

// TestDoctorOfTheSystem: a user who asks about the system's daemon is told of that one's disk.
func TestDoctorOfTheSystem(t *testing.T) {
	p := newPatient(t)
	p.sh.uid, p.sh.socket = 1000, ""
	p.sh.getenv = func(name string) string { return map[string]string{"HOME": "/home/ann"}[name] }
	e, err := p.sh.examine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var looked []string
	e.diskKind = func(dir string) (uint32, error) { looked = append(looked, dir); return 0, nil }
	e.storeDisk(t.Context())
	if len(looked) != 1 || looked[0] != p.Root+"/var/lib/flurry" {
		t.Errorf("it looks at %q", looked)
	}
}
