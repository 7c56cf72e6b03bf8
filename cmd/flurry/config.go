package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/report"
)

// fileConfig is flurry.toml: every table and key that may stand in it. Whatever else stands there is an error with its
// line; an empty file is a good file.
type fileConfig struct {
	State     string                   `toml:"state"`
	Gateway   fileGateway              `toml:"gateway"`
	Share     fileShare                `toml:"share"`
	Network   fileNetwork              `toml:"network"`
	Store     fileStore                `toml:"store"`
	Publish   filePublish              `toml:"publish"`
	Control   fileControl              `toml:"control"`
	Namespace map[string]fileNamespace `toml:"namespace"`
}

type fileGateway struct {
	Listen    []string `toml:"listen"`
	Sign      bool     `toml:"sign"`
	BudgetLAN string   `toml:"budget_lan"`
	BudgetWAN string   `toml:"budget_wan"`
}

type fileShare struct {
	Mode   string `toml:"mode"`
	Upload string `toml:"upload"`
}

type fileNetwork struct {
	Port      int      `toml:"port"`
	Peers     []string `toml:"peers"`
	Bootstrap []string `toml:"bootstrap"`
	LAN       bool     `toml:"lan"`
	WAN       bool     `toml:"wan"`
}

type fileStore struct {
	Quota   string `toml:"quota"`
	Reserve string `toml:"reserve"`
}

type filePublish struct {
	Upstream []string `toml:"upstream"`
	Exclude  []string `toml:"exclude"`
	MaxSize  string   `toml:"max_size"`
}

type fileControl struct {
	Socket     string   `toml:"socket"`
	Admins     []string `toml:"admins"`
	Publishers []string `toml:"publishers"`
}

// fileNamespace is one [namespace.ALIAS] table, in flurry.toml and in the state directory's namespaces.toml.
type fileNamespace struct {
	Key   string   `toml:"key"`
	Use   bool     `toml:"use,omitempty"`
	Share string   `toml:"share,omitempty"`
	Peers []string `toml:"peers,omitempty"`
}

// config is what a daemon runs with: defaults, then the file, then flags.
type config struct {
	State  string
	Socket string

	Gateway []string // host:port
	Sign    bool
	Budget  time.Duration // the longest that a narinfo may wait for anything

	Share  node.Share
	Upload int64 // bytes a second to the internet; 0: no limit

	Port      int  // 0: any free one
	Loopback  bool // listen on loopback alone: for tests and the demo
	Peers     []peer.Hint
	Bootstrap []peer.Hint
	LAN, WAN  bool

	Quota, Reserve int64 // bytes; 0: no quota, and the reserve that fits the disk

	Upstream []string // aliases or keys whose signatures leave a path out
	Exclude  []string
	MaxSize  uint64

	Admins, Publishers []string

	Spaces []node.Space // declared in the file, in its order

	Nix daemon.Options // where this machine's Nix is
}

func defaultFile() fileConfig {
	return fileConfig{
		State:   "/var/lib/flurry",
		Gateway: fileGateway{Listen: []string{"127.0.0.1:7669", "[::1]:7669"}, Sign: true, BudgetLAN: "50ms", BudgetWAN: "300ms"},
		Share:   fileShare{Mode: "lan", Upload: "10Mbit"},
		Network: fileNetwork{Port: 7670, LAN: true, WAN: true},
		Store:   fileStore{Quota: "20GiB", Reserve: "auto"},
		Publish: filePublish{Upstream: []string{"cache.nixos.org"}, MaxSize: "0"},
		Control: fileControl{Admins: []string{"root"}, Publishers: []string{"root", "@flurry"}},
	}
}

// loadConfig reads the file called name. A file that is not there is an empty one if missingOK.
func loadConfig(name string, missingOK bool) (config, error) {
	raw, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && missingOK {
		raw, err = nil, nil
	}
	if err != nil {
		return config{}, badConfig(name, 0, err.Error())
	}
	return parseConfig(name, raw)
}

func parseConfig(name string, raw []byte) (config, error) {
	file := defaultFile()
	meta, err := toml.NewDecoder(bytes.NewReader(raw)).Decode(&file)
	if err != nil {
		return config{}, tomlProblem(name, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return config{}, unknownKey(name, raw, unknown[0], meta)
	}
	c, err := file.check(name)
	if err != nil {
		var at *keyError
		if errors.As(err, &at) {
			return config{}, badConfig(name, lineOf(raw, at.key), at.Error())
		}
		return config{}, err
	}
	aliases := make([]string, 0, len(file.Namespace))
	for _, k := range meta.Keys() {
		if len(k) == 2 && k[0] == "namespace" && !slices.Contains(aliases, k[1]) {
			aliases = append(aliases, k[1])
		}
	}
	for _, alias := range aliases {
		line := lineOf(raw, "namespace."+alias)
		sp, err := file.Namespace[alias].space(alias)
		if err != nil {
			return config{}, badConfig(name, line, err.Error())
		}
		sp.Declared = fmt.Sprintf("%s:%d", name, line)
		c.Spaces = append(c.Spaces, sp)
	}
	return c, nil
}

// keyError is a value of one key that does not do.
type keyError struct {
	key string
	err error
}

func (e *keyError) Error() string { return e.key + ": " + e.err.Error() }

// check turns the words of the file into values.
func (f fileConfig) check(name string) (config, error) {
	c := config{State: f.State, Socket: f.Control.Socket, Gateway: f.Gateway.Listen, Sign: f.Gateway.Sign, Port: f.Network.Port, LAN: f.Network.LAN,
		WAN: f.Network.WAN, Upstream: f.Publish.Upstream, Exclude: f.Publish.Exclude, Admins: f.Control.Admins, Publishers: f.Control.Publishers}
	var err error
	set := func(key string, e error) {
		if e != nil && err == nil {
			err = &keyError{key, e}
		}
	}
	var e error
	c.Budget, e = parseDuration(f.Gateway.BudgetWAN)
	set("budget_wan", e)
	_, e = parseDuration(f.Gateway.BudgetLAN)
	set("budget_lan", e)
	c.Share, e = node.ParseShare(f.Share.Mode)
	set("mode", e)
	c.Upload, e = parseRate(f.Share.Upload)
	set("upload", e)
	c.Quota, e = parseSize(f.Store.Quota)
	set("quota", e)
	if f.Store.Reserve != "auto" {
		c.Reserve, e = parseSize(f.Store.Reserve)
		set("reserve", e)
	}
	size, e := parseSize(f.Publish.MaxSize)
	set("max_size", e)
	c.MaxSize = uint64(size)
	c.Peers, e = parsePeers(f.Network.Peers)
	set("peers", e)
	c.Bootstrap, e = parsePeers(f.Network.Bootstrap)
	set("bootstrap", e)
	if c.Port < 0 || c.Port > 65535 {
		set("port", fmt.Errorf("%d is not a port", c.Port))
	}
	return c, err
}

// space reads one namespace table.
func (f fileNamespace) space(alias string) (node.Space, error) {
	a, hints, err := namespace.ParseHinted(f.Key)
	if err != nil {
		return node.Space{}, fmt.Errorf("key: %w", err)
	}
	share, err := node.ParseShare(f.Share)
	if err != nil {
		return node.Space{}, fmt.Errorf("share: %w", err)
	}
	peers, err := parsePeers(append(slices.Clone(f.Peers), hints.Seeds...))
	if err != nil {
		return node.Space{}, fmt.Errorf("peers: %w", err)
	}
	return node.Space{Alias: alias, Address: a, Use: f.Use, Share: share, Peers: peers}, nil
}

func parsePeers(words []string) ([]peer.Hint, error) {
	var out []peer.Hint
	for _, w := range words {
		h, err := peer.ParsePeer(w)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

func badConfig(name string, line int, what string) error {
	at := name
	if line > 0 {
		at = fmt.Sprintf("%s:%d", name, line)
	}
	return &report.Problem{ID: "bad-config", Exit: report.ExitUsage, Message: at + ": " + what}
}

// tomlProblem tells what the TOML reader found, with its line.
func tomlProblem(name string, err error) error {
	var parse toml.ParseError
	if errors.As(err, &parse) {
		return badConfig(name, parse.Position.Line, strings.TrimPrefix(parse.Message, "toml: "))
	}
	return badConfig(name, 0, strings.TrimPrefix(err.Error(), "toml: "))
}

// unknownKey says where an unknown key stands, and which known one was perhaps meant.
func unknownKey(name string, raw []byte, key toml.Key, _ toml.MetaData) error {
	last := key[len(key)-1]
	what := fmt.Sprintf("unknown key %q", last)
	if len(key) > 1 {
		what += " in [" + strings.Join(key[:len(key)-1], ".") + "]"
	}
	if near := nearest(last, knownKeys()); near != "" {
		what += fmt.Sprintf("; did you mean %q?", near)
	}
	return badConfig(name, lineOf(raw, last), what)
}

// knownKeys are all the words that may stand left of "=" or in a table's name.
func knownKeys() []string {
	return []string{"state", "gateway", "share", "network", "store", "publish", "control", "namespace", "listen", "sign", "budget_lan", "budget_wan",
		"mode", "upload", "port", "peers", "bootstrap", "lan", "wan", "quota", "reserve", "upstream", "exclude", "max_size", "socket", "admins", "publishers", "key", "use"}
}

// lineOf is the line on which key (or the table of that name) stands, 0 if it cannot be found.
func lineOf(raw []byte, key string) int {
	pattern := regexp.MustCompile(`^\s*(\[\s*` + regexp.QuoteMeta(key) + `\s*\]|"?` + regexp.QuoteMeta(key) + `"?\s*=)`)
	for i, line := range strings.Split(string(raw), "\n") {
		if pattern.MatchString(line) {
			return i + 1
		}
	}
	return 0
}

// nearest is the known word at most two edits away from word, "" if none is.
func nearest(word string, known []string) string {
	best, at := "", 3
	for _, k := range known {
		if d := edits(word, k); d < at {
			best, at = k, d
		}
	}
	return best
}

// edits is the Levenshtein distance of a and b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// stateSocket is the control socket that belongs to a state directory.
func stateSocket(state string) string { return filepath.Join(state, "control.sock") }
