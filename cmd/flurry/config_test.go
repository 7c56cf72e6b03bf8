package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/report"
)

const acmeKey = "acme-1:gUPS5WA15etHss+qS88T+5lXfwyC3r3IZt7EWO7FeRE="

// TestDefaultFile: an empty file means the same as the one that lists every key with its default.
func TestDefaultFile(t *testing.T) {
	full, err := loadConfig("testdata/default.toml", false)
	if err != nil {
		t.Fatal(err)
	}
	empty, err := loadConfig(filepath.Join(t.TempDir(), "missing"), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range []*[]string{&full.file.Network.Peers, &full.file.Publish.Exclude, &full.config.Exclude} {
		if *list != nil && len(*list) == 0 { // [] and nothing
			*list = nil
		}
	}
	if !reflect.DeepEqual(full, empty) {
		t.Errorf("every key with its default:\n%+v\nan empty file:\n%+v", full, empty)
	}
	raw, err := os.ReadFile("testdata/default.toml")
	if err != nil {
		t.Fatal(err)
	}
	lines := keyLines(string(raw))
	for _, table := range keysUnder(nil) {
		for _, key := range keysUnder([]string{table}) {
			if _, ok := lines[joinKey([]string{table, key})]; !ok && table != "namespace" && key != "socket" {
				t.Errorf("default.toml does not list %s in [%s]", key, table)
			}
		}
	}
}

// TestDefaults: every default, as the specification has it.
func TestDefaults(t *testing.T) {
	p, err := parseConfig("x", nil)
	if err != nil {
		t.Fatal(err)
	}
	upstream, err := nix.ParsePublicKey("cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=")
	if err != nil {
		t.Fatal(err)
	}
	want := config{Gateway: []string{"127.0.0.1:7669", "[::1]:7669"}, Sign: true, Budget: 300 * time.Millisecond, BudgetLAN: 50 * time.Millisecond, Share: node.ShareLAN, Upload: 1_250_000, Port: 7670, LAN: true, WAN: true, InPlace: true,
		Upstream: []nix.PublicKey{upstream}, Admins: []string{"root"}, Publishers: []string{"root", "@flurry"}, KeyFiles: map[namespace.Address]string{}}
	if !reflect.DeepEqual(p.config, want) {
		t.Errorf("%+v", p.config)
	}
	if p.quota != (amount{bytes: 20 << 30}) || p.reserve != (amount{}) {
		t.Errorf("quota %+v, reserve %+v", p.quota, p.reserve)
	}
}

// TestEveryKey sets every key to something else.
func TestEveryKey(t *testing.T) {
	p, err := parseConfig("flurry.toml", []byte(`state = "/srv/flurry"
[gateway]
listen = ["localhost:1"]
sign = false
budget_lan = "20ms"
budget_wan = "1s"
[share]
mode = "all"
upload = "0"
[network]
port = 0
peers = ["seed.acme.example", "203.0.113.9:7"]
bootstrap = ["/ip4/192.0.2.1/tcp/7670"]
lan = false
wan = false
[store]
quota = "5%"
reserve = "2GiB"
[publish]
upstream = ["helix", "`+acmeKey+`"]
exclude = ["*-secrets"]
max_size = "1GB"
[control]
socket = "/run/x.sock"
admins = ["ann", "@wheel"]
publishers = []
[namespace."a.b"]
key = "cachix.cachix.org-1:eWNHQldwUO7G2VkjpnjDbWwy4KQ/HNxht7H4SSoMckM="
[namespace.acme]
key = "`+acmeKey+`?seed=/ip4/192.0.2.7/tcp/1"
use = true
share = "none"
peers = ["host:9"]
only = ["widget-*", "libwidget"]
key_file = "/etc/acme.sec"
`))
	if err != nil {
		t.Fatal(err)
	}
	c := p.config
	if c.Sign || c.LAN || c.WAN || c.Port != 0 || c.Upload != 0 || c.Budget != time.Second || c.BudgetLAN != 20*time.Millisecond || c.Share != node.ShareAll || c.MaxSize != 1e9 ||
		!slices.Equal(c.Gateway, []string{"localhost:1"}) || !slices.Equal(c.Exclude, []string{"*-secrets"}) || !slices.Equal(c.Admins, []string{"ann", "@wheel"}) || len(c.Publishers) != 0 {
		t.Errorf("%+v", c)
	}
	if p.quota != (amount{percent: 5}) || p.reserve != (amount{bytes: 2 << 30}) || p.file.State != "/srv/flurry" || p.file.Control.Socket != "/run/x.sock" {
		t.Errorf("%+v", p)
	}
	if len(c.Upstream) != 2 || c.Upstream[0].Name != "helix.cachix.org-1" || c.Upstream[1].String() != acmeKey {
		t.Errorf("%v", c.Upstream)
	}
	if hints(c.Peers) != "seed.acme.example 203.0.113.9:7" || hints(c.Bootstrap) != "/ip4/192.0.2.1/tcp/7670" {
		t.Errorf("%v %v", c.Peers, c.Bootstrap)
	}
	if len(c.Spaces) != 2 || c.Spaces[0].Alias != "a.b" || c.Spaces[0].Use || c.Spaces[0].Declared != "flurry.toml:27" {
		t.Fatalf("%+v", c.Spaces)
	}
	acme := c.Spaces[1]
	if acme.Alias != "acme" || acme.Address.String() != acmeKey || !acme.Use || acme.Share != node.ShareNone || hints(acme.Peers) != "host:9 /ip4/192.0.2.7/tcp/1" || acme.Declared != "flurry.toml:29" || !slices.Equal(acme.Only, []string{"widget-*", "libwidget"}) {
		t.Errorf("%+v", acme)
	}
	if c.KeyFiles[acme.Address] != "/etc/acme.sec" || len(c.KeyFiles) != 1 {
		t.Errorf("%v", c.KeyFiles)
	}
}

func hints(all []peer.Hint) string {
	words := make([]string, len(all))
	for i, h := range all {
		words[i] = strings.TrimSuffix(h.String(), fmt.Sprintf(":%d", peer.DefaultPort))
	}
	return strings.Join(words, " ")
}

// TestBadConfig: what is wrong is told with its line.
func TestBadConfig(t *testing.T) {
	for text, want := range map[string]string{
		// What is no key.
		"\nquota = 1":                  `x:2: unknown key "quota"`,
		"stat = 1":                     `x:1: unknown key "stat"; did you mean "state"?`,
		"[store]\n\nquotta = 1":        `x:3: unknown key "quotta" in [store]; did you mean "quota"?`,
		"[stroe]\nquota = 1":           `x:1: unknown table [stroe]; did you mean "store"?`,
		"[store.deep]\nquota = 1":      `x:1: unknown table [store.deep]`,
		"store.quotta = 1":             `x:1: unknown key "quotta" in [store]; did you mean "quota"?`,
		"[zzzzzzzz]":                   `x:1: unknown table [zzzzzzzz]`,
		"store = {quotta = 1}":         `x:1: unknown key "quotta" in [store]; did you mean "quota"?`,
		"[store]\n\"quo\\ttta\" = 1":   `x:2: unknown key "quo\ttta" in [store]`,
		"[namespace.a]\nkeey = \"\"":   `x:2: unknown key "keey" in [namespace.a]; did you mean "key"?`,
		"[store]\nquota=\"1\"\nqq = 1": `x:3: unknown key "qq" in [store]`,
		// What this version has not.
		"[store]\ns3 = \"\"":                                                                          `x:2: "s3" in [store] is not in this version (flurry ` + version + `)`,
		"[public]\nlisten = \"\"":                                                                     `x:1: [public] is not in this version (flurry ` + version + `)`,
		"[share]\non_metered = true":                                                                  `x:2: "on_metered" in [share] is not in this version (flurry ` + version + `)`,
		"[namespace.a]\nkey = \"" + acmeKey + "\"\nonly = [\"[\"]":                                    `x:3: "only" in [namespace.a]: "[" is not a glob`,
		"[namespace.a]\nkey = \"" + acmeKey + "\"\nonly = [\"\"]":                                     `x:3: "only" in [namespace.a]: "" is not a glob of names`,
		"[namespace.a]\nkey = \"" + acmeKey + "\"\nonly = [\"/nix/store/*\"]":                         `x:3: "only" in [namespace.a]: "/nix/store/*" is not a glob of names`,
		"[namespace.a]\nkey = \"" + acmeKey + "\"\nthreshold = -1":                                    `x:3: "threshold" in [namespace.a]: -1 builders; it is 1 to 4097`,
		"[namespace.a]\nkey = \"" + acmeKey + "\"\nthreshold = 4098":                                  `x:3: "threshold" in [namespace.a]: 4098 builders; it is 1 to 4097`,
		"[namespace.a]\nkey = \"" + acmeKey + "\"\norigin = \"https://cache.example\"\nthreshold = 2": `x:4: "threshold" in [namespace.a]: an HTTP cache has one key: 2 builders cannot agree there`,
		// Wrong types.
		"state = 7":                              `x:1: "state" is a whole number and should be a string`,
		"[gateway]\nlisten = \"127.0.0.1:1\"":    `x:2: "listen" in [gateway] is a string and should be a list`,
		"[gateway]\n\nsign = \"yes\"":            `x:3: "sign" in [gateway] is a string and should be true or false`,
		"[network]\nport = 1.5":                  `x:2: "port" in [network] is a number and should be a whole number`,
		"store = 7":                              `x:1: "store" is a whole number and should be a table`,
		"[control]\nadmins = [1]":                `x:2: "admins" in [control] is a whole number and should be a string`,
		"[network]\nbootstrap = 7":               `x:2: "bootstrap" in [network]: it is "default", "none" or a list of peers`,
		"[network]\nbootstrap = \"some\"":        `x:2: "bootstrap" in [network]: "some" is not "default", "none" or a list of peers`,
		"[network]\nbootstrap = [7]":             `x:2: "bootstrap" in [network]: a peer is a string`,
		"[network]\nport = 99999999999999999999": `x:2: "port" in [network]: 99999999999999999999 is out of range for int64`,
		// What is no TOML.
		"[store\n":             `x:2: `,
		"[store]\n[store]\n":   `x:2: `,
		"a = 1\na = 2":         `x:2: `,
		"[store]\nquota = \"x": `x:2: `,
		// Out of range.
		"[network]\nport = 65536":                                                            `x:2: "port" in [network]: 65536 is not a port: 1 to 65535, or 0 for any`,
		"[network]\nport = -1":                                                               `x:2: "port" in [network]: -1 is not a port: 1 to 65535, or 0 for any`,
		"[network]\npeers = [\n\"http://x\"]":                                                `x:2: "peers" in [network]: `,
		"[network]\nbootstrap = [\"\"]":                                                      `x:2: "bootstrap" in [network]: `,
		"[gateway]\nbudget_wan = \"0s\"":                                                     `x:2: "budget_wan" in [gateway]: 0s is not between 1ms and 10s`,
		"[gateway]\nbudget_wan = \"11s\"":                                                    `x:2: "budget_wan" in [gateway]: 11s is not between 1ms and 10s`,
		"[gateway]\nbudget_wan = \"fast\"":                                                   `x:2: "budget_wan" in [gateway]: "fast" is not a duration`,
		"[gateway]\nlisten = [\"0.0.0.0:7669\"]":                                             `x:2: "listen" in [gateway]: 0.0.0.0:7669 is not on loopback`,
		"[gateway]\nlisten = [\"example.org:7669\"]":                                         `x:2: "listen" in [gateway]: example.org:7669 is not on loopback`,
		"[gateway]\nlisten = [\"127.0.0.1\"]":                                                `x:2: "listen" in [gateway]: "127.0.0.1" is not HOST:PORT`,
		"[gateway]\nlisten = [\"127.0.0.1:http\"]":                                           `x:2: "listen" in [gateway]: "127.0.0.1:http": "http" is not a port`,
		"[gateway]\nlisten = [\"127.0.0.1:70000\"]":                                          `x:2: "listen" in [gateway]: "127.0.0.1:70000": "70000" is not a port`,
		"[share]\nmode = \"\"":                                                               `x:2: "mode" in [share]: "" is not a way to share: none, lan or all`,
		"[share]\nmode = \"some\"":                                                           `x:2: "mode" in [share]: "some" is not a way to share`,
		"[share]\nupload = \"10\"":                                                           `x:2: "upload" in [share]: "10" is not a rate`,
		"[store]\nquota = \"101%\"":                                                          `x:2: "quota" in [store]: "101%" is not a part of the disk`,
		"[store]\nreserve = \"some\"":                                                        `x:2: "reserve" in [store]: "some" is not a size`,
		"[publish]\nmax_size = \"5%\"":                                                       `x:2: "max_size" in [publish]: "5%" is not a size`,
		"[publish]\nexclude = [\"[\"]":                                                       `x:2: "exclude" in [publish]: "[" is not a glob`,
		"[publish]\nupstream = [\"nobody\"]":                                                 `x:2: "upstream" in [publish]: "nobody" has no colon`,
		"[control]\nadmins = [\"\"]":                                                         `x:2: "admins" in [control]: "" is not a user or @group`,
		"[control]\npublishers = [\"@\"]":                                                    `x:2: "publishers" in [control]: "@" is not a user or @group`,
		"[control]\nadmins = [\"root, ann\"]":                                                `x:2: "admins" in [control]: "root, ann" is not a user or @group`,
		"[namespace.a]\nuse = true":                                                          `x:1: "key" in [namespace.a]: it is missing`,
		"[namespace.a]\n\nkey = \"a:AAAA\"":                                                  `x:3: "key" in [namespace.a]: "a:AAAA" is not a key`,
		"[namespace.\"a b\"]\nkey = \"\"":                                                    `x:1: "a b" cannot be an alias`,
		"[namespace.a]\nkey = \"" + acmeKey + "\"\nshare = \"some\"":                         `x:3: "share" in [namespace.a]: "some" is not a way to share`,
		"[namespace.a]\nkey = \"" + acmeKey + "\"\npeers = [\"\"]":                           `x:3: "peers" in [namespace.a]: `,
		"[namespace.a]\nkey = \"" + acmeKey + "\"\npublish = \"some\"":                       `x:3: "publish" in [namespace.a]: `,
		"[namespace.a]\nkey = \"" + acmeKey + "\"\nexclude = [\"[\"]":                        `x:3: "exclude" in [namespace.a]: "[" is not a glob`,
		"[namespace.a]\nkey = \"" + acmeKey + "\"\n[namespace.b]\nkey = \"" + acmeKey + "\"": `x:3: [namespace.b] has the key of [namespace.a] (x:1)`,
		"[namespace]\na.key = \"a:AAAA\"":                                                    `x:2: "key" in [namespace.a]: "a:AAAA" is not a key`,
	} {
		_, err := parseConfig("x", []byte(text))
		var p *report.Problem
		if !errors.As(err, &p) || p.ID != "bad-config" || p.Exit != report.ExitUsage {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if !strings.HasPrefix(p.Message, want) || strings.Contains(p.Message, "toml:") {
			t.Errorf("%q:\n%s, not\n%s", text, p.Message, want)
		}
	}
}

// TestConfigFile: files that cannot be read.
func TestConfigFile(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, make([]byte, maxConfig+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{filepath.Join(dir, "missing"): "no such file or directory", dir: "is a directory", large: "larger than"} {
		_, err := loadConfig(name, false)
		if err == nil || !strings.HasPrefix(err.Error(), name+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if f := readPlaces(large); !reflect.DeepEqual(f, defaultFile()) {
		t.Errorf("%+v", f)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"quota", "reserve", "lan", "wan", "key"}
	for word, want := range map[string]string{"quotta": "quota", "quoat": "quota", "qutoa": "quota", "Quota": "quota", "resrve": "reserve", "la": "lan", "xy": "", "": "", "port": "", "kay": "key"} {
		if got := nearest(word, known); got != want {
			t.Errorf("%q: %q, not %q", word, got, want)
		}
	}
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"ab", "ba", 1}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"same", "same", 0}} {
		if got := edits(test.a, test.b); got != test.want {
			t.Errorf("%q to %q: %d, not %d", test.a, test.b, got, test.want)
		}
	}
}
