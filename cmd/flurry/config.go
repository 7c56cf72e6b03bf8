package main

import (
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/peer"
)

// config is what a daemon runs with: defaults, then the file, then flags.
type config struct {
	State  string
	Socket string
	// Private: the socket is for the user who runs the daemon alone.
	Private bool

	Gateway   []string // host:port
	Sign      bool
	Budget    time.Duration // the longest that a narinfo may wait for anything
	BudgetLAN time.Duration // the longest that it may wait for the LAN

	Clock func() time.Time // nil: the machine's

	Share  node.Share
	Upload int64 // bytes a second to the internet; 0: no limit

	Port      int  // 0: any free one
	Loopback  bool // listen on loopback alone: for tests and the demo
	Peers     []peer.Hint
	Bootstrap []peer.Hint
	LAN, WAN  bool

	Quota, Reserve int64 // bytes; 0: no quota, and the reserve that fits the disk
	Collect        bool  // give up by itself what is not to be kept: only who knows all namespaces of the state may

	InPlace bool // what is merely used and Nix has is read from /nix/store, and kept nowhere else

	Automatic bool // publish what hooks give and what is built, where namespaces take it: a daemon does

	Upstream []nix.PublicKey // whose signatures leave a path out
	Exclude  []string
	MaxSize  uint64

	Admins, Publishers []string

	Spaces   []node.Space                 // declared in the file, in its order
	KeyFiles map[namespace.Address]string // where the keys of declared namespaces are, if not in the state directory

	Nix     daemon.Options // where this machine's Nix is
	NixConf string         // the directory of nix.conf; empty: there is none
	// OwnNixConf is that of the nix.conf of the user who runs the daemon.
	OwnNixConf string
}

// parsed is a configuration file whose values are understood, but for what depends on the disk it is for.
type parsed struct {
	file           fileConfig
	config         config
	quota, reserve amount
}

// loadConfig reads the file called name. One that is not there is an empty one if missingOK.
func loadConfig(name string, missingOK bool) (parsed, error) {
	raw, err := readConfig(name, missingOK)
	if err != nil {
		return parsed{}, err
	}
	return parseConfig(name, raw)
}

func parseConfig(name string, raw []byte) (parsed, error) {
	p := parsed{file: defaultFile()}
	meta, err := decodeConfig(name, raw, &p.file)
	if err != nil {
		return p, err
	}
	if err := p.check(); err != nil {
		var at *keyError
		if errors.As(err, &at) {
			return p, badConfig(name, lineOf(raw, at.key...), at.Error())
		}
		return p, badConfig(name, 0, err.Error())
	}
	p.config.Spaces, p.config.KeyFiles, err = declared(name, raw, meta, p.file.Namespace)
	return p, err
}

// keyError is a value of one key that does not do.
type keyError struct {
	key []string
	err error
}

func (e *keyError) Error() string { return quotedKey(e.key) + ": " + e.err.Error() }

// check turns the words of the file into values. The error is the first wrong one's.
func (p *parsed) check() error {
	f, c := p.file, &p.config
	*c = config{Gateway: f.Gateway.Listen, Sign: f.Gateway.Sign, Port: f.Network.Port, LAN: f.Network.LAN, WAN: f.Network.WAN, InPlace: f.Share.InPlace,
		Exclude: f.Publish.Exclude, Admins: f.Control.Admins, Publishers: f.Control.Publishers}
	var err error
	wrong := func(table, key string, e error) {
		if e != nil && err == nil {
			err = &keyError{[]string{table, key}, e}
		}
	}
	var e error
	wrong("gateway", "listen", loopbackOnly(c.Gateway))
	c.BudgetLAN, e = parseBudget(f.Gateway.BudgetLAN)
	wrong("gateway", "budget_lan", e)
	c.Budget, e = parseBudget(f.Gateway.BudgetWAN)
	wrong("gateway", "budget_wan", e)
	c.Share, e = parseMode(f.Share.Mode)
	wrong("share", "mode", e)
	c.Upload, e = parseRate(f.Share.Upload)
	wrong("share", "upload", e)
	wrong("network", "port", checkPort(c.Port))
	c.Peers, e = parsePeers(f.Network.Peers)
	wrong("network", "peers", e)
	c.Bootstrap, e = parsePeers(f.Network.Bootstrap)
	wrong("network", "bootstrap", e)
	p.quota, e = parseAmount(f.Store.Quota)
	wrong("store", "quota", e)
	if f.Store.Reserve != "auto" {
		p.reserve, e = parseAmount(f.Store.Reserve)
		wrong("store", "reserve", e)
	}
	c.Upstream, e = parseUpstream(f.Publish.Upstream)
	wrong("publish", "upstream", e)
	wrong("publish", "exclude", checkGlobs(c.Exclude))
	size, e := parseSize(f.Publish.MaxSize)
	wrong("publish", "max_size", e)
	c.MaxSize = uint64(size)
	wrong("control", "admins", checkNames(c.Admins))
	wrong("control", "publishers", checkNames(c.Publishers))
	return err
}

// maxBudget bounds how long a narinfo may wait: Nix asks one path after the other.
const maxBudget = 10 * time.Second

func parseBudget(s string) (time.Duration, error) {
	d, err := parseDuration(s)
	if err == nil && (d < time.Millisecond || d > maxBudget) {
		err = fmt.Errorf("%s is not between 1ms and %s", s, maxBudget)
	}
	return d, err
}

// parseMode reads [share] mode, which has to say something.
func parseMode(s string) (node.Share, error) {
	if s == "" {
		return node.ShareDefault, errors.New(`"" is not a way to share: none, lan or all`)
	}
	return node.ParseShare(s)
}

func checkPort(n int) error {
	if n < 0 || n > 65535 {
		return fmt.Errorf("%d is not a port: 1 to 65535, or 0 for any", n)
	}
	return nil
}

// loopbackOnly refuses to put the gateway where strangers could ask what this machine builds.
func loopbackOnly(at []string) error {
	for _, a := range at {
		host, port, err := net.SplitHostPort(a)
		if err != nil {
			return fmt.Errorf("%.60q is not HOST:PORT", a)
		}
		if n, err := strconv.Atoi(port); err != nil || checkPort(n) != nil {
			return fmt.Errorf("%.60q: %q is not a port", a, port)
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("%s is not on loopback; the gateway is for this machine's Nix alone", a)
		}
	}
	return nil
}

// maxPeersNamed bounds how many peers one list names: each is dialled again and again.
const maxPeersNamed = 256

func parsePeers(words []string) ([]peer.Hint, error) {
	if len(words) > maxPeersNamed {
		return nil, fmt.Errorf("%d peers, at most %d can be named at once", len(words), maxPeersNamed)
	}
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

func parseUpstream(words []string) ([]nix.PublicKey, error) {
	var out []nix.PublicKey
	for _, w := range words {
		key, err := upstreamKey(w)
		if err != nil {
			return nil, err
		}
		out = append(out, key)
	}
	return out, nil
}

func checkGlobs(globs []string) error {
	for _, g := range globs {
		if _, err := path.Match(g, ""); err != nil {
			return fmt.Errorf("%.60q is not a glob", g)
		}
	}
	return nil
}

// maxOnly is how many names a namespace may be limited to: each is matched against each path that Nix asks for.
const maxOnly = 256

// checkThreshold refuses a number of builders that no namespace has. 0: as many as before.
func checkThreshold(n int, origin string) error {
	switch {
	case n < 0 || n > 1+namespace.MaxWriters:
		return fmt.Errorf("%d builders; it is 1 to %d", n, 1+namespace.MaxWriters)
	case n > 1 && origin != "":
		return fmt.Errorf("an HTTP cache has one key: %d builders cannot agree there", n)
	}
	return nil
}

// checkOnly refuses what limits nothing as it was meant.
func checkOnly(globs []string) error {
	if len(globs) > maxOnly {
		return fmt.Errorf("%d names, at most %d", len(globs), maxOnly)
	}
	for _, g := range globs {
		if strings.ContainsAny(g, "/ ,") || g == "" || len(g) > maxGlob {
			return fmt.Errorf("%.60q is not a glob of names: those are what stands after the hash, as in widget-*", g)
		}
	}
	return checkGlobs(globs)
}

// maxGlob is the longest glob of names, in bytes: the name of a store path has at most 211.
const maxGlob = 512

// onlyOf is what a namespace is limited to. What matches all names is no limit.
func onlyOf(globs []string) []string {
	if slices.Contains(globs, "*") {
		return nil
	}
	return globs
}

// checkNames refuses what can be no user or @group: such a line gives nobody a right, and was meant to.
func checkNames(names []string) error {
	for _, n := range names {
		if n == "" || n == "@" || strings.ContainsAny(n, " \t:,/") {
			return fmt.Errorf("%.60q is not a user or @group", n)
		}
	}
	return nil
}

// declared reads the namespace tables in the order in which they stand.
func declared(name string, raw []byte, meta toml.MetaData, tables map[string]fileNamespace) ([]node.Space, map[namespace.Address]string, error) {
	var spaces []node.Space
	files := make(map[namespace.Address]string)
	for _, alias := range aliases(meta) {
		table, line := tables[alias], lineOf(raw, "namespace", alias)
		sp, err := table.space(alias)
		if err != nil {
			var at *keyError
			if errors.As(err, &at) {
				line = lineOf(raw, append([]string{"namespace", alias}, at.key...)...)
				err = &keyError{append([]string{"namespace", alias}, at.key...), at.err}
			}
			return nil, nil, badConfig(name, line, err.Error())
		}
		sp.Declared = fmt.Sprintf("%s:%d", name, line)
		for _, other := range spaces {
			if other.Address == sp.Address {
				return nil, nil, badConfig(name, line, fmt.Sprintf("[namespace.%s] has the key of [namespace.%s] (%s)", alias, other.Alias, other.Declared))
			}
		}
		spaces = append(spaces, sp)
		if table.KeyFile != "" {
			files[sp.Address] = table.KeyFile
		}
	}
	return spaces, files, nil
}

// aliases are the names of the namespace tables, in the order of the file.
func aliases(meta toml.MetaData) []string {
	var out []string
	for _, k := range meta.Keys() {
		if len(k) > 1 && k[0] == "namespace" && !slices.Contains(out, k[1]) {
			out = append(out, k[1])
		}
	}
	return out
}

// space reads one namespace table.
func (f fileNamespace) space(alias string) (node.Space, error) {
	if !namespace.ValidName(alias) {
		return node.Space{}, badAlias(alias)
	}
	wrong := func(key string, err error) (node.Space, error) { return node.Space{}, &keyError{[]string{key}, err} }
	if key, ok := builtInKey(alias); ok && f.Key == "" {
		f.Key = key
	}
	if f.Key == "" {
		return wrong("key", errors.New("it is missing; it is what stands in trusted-public-keys, name:base64"))
	}
	a, hints, err := namespace.ParseHinted(f.Key)
	if err != nil {
		return wrong("key", err)
	}
	if alias == a.Name() {
		if err := impostor(a); err != nil {
			return wrong("key", err)
		}
	}
	share, err := node.ParseShare(f.Share)
	if err != nil {
		return wrong("share", err)
	}
	peers, err := parsePeers(append(slices.Clone(f.Peers), hints.Seeds...))
	if err != nil {
		return wrong("peers", err)
	}
	if err := checkOrigin(f.Origin); err != nil {
		return wrong("origin", err)
	}
	if f.Origin == "" {
		f.Origin = builtInOrigin(a)
	}
	if f.KeyFile != "" {
		if err := outsideStore(f.KeyFile); err != nil {
			return wrong("key_file", err)
		}
	}
	sp := node.Space{Alias: alias, Address: a, Use: f.Use, Share: share, Peers: peers, Seed: f.Seed, Origin: f.Origin, Automatic: node.Automatic{Full: f.Full}}
	for _, one := range []struct {
		key  string
		read func() error
	}{
		{"only", func() error { sp.Only = onlyOf(f.Only); return checkOnly(f.Only) }},
		{"threshold", func() error { sp.Threshold = f.Threshold; return checkThreshold(f.Threshold, f.Origin) }},
		{"quota", func() (err error) { sp.Quota, err = parseSeedQuota(f.Quota); return err }},
		{"promise", func() (err error) { sp.Promise, err = parsePromise(f.Promise); return err }},
		{"stop_after_copies", func() (err error) { sp.StopAfter, err = parseStopAfter(f.StopAfter); return err }},
		{"until", func() (err error) { sp.Until, err = parseUntil(f.Until); return err }},
		{"publish", func() (err error) { sp.Automatic.When, err = node.ParseWhen(f.Publish); return err }},
		{"exclude", func() error { sp.Automatic.Exclude = f.Exclude; return checkGlobs(f.Exclude) }},
		{"leave_out", func() error { sp.Automatic.LeaveOut = f.LeaveOut; return checkGlobs(f.LeaveOut) }},
		{"max_size", func() (err error) { sp.Automatic.MaxSize, err = parseLargest(f.MaxSize); return err }},
	} {
		if err := one.read(); err != nil {
			return wrong(one.key, err)
		}
	}
	return sp, nil
}

// parseSeedQuota reads the quota of a seed; empty: the usual one.
func parseSeedQuota(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := parseSize(s)
	if err == nil && n <= 0 {
		err = fmt.Errorf("%.40q leaves no room for anything", s)
	}
	return uint64(n), err
}

// parseLargest reads the largest NAR of what is published; empty: as everywhere.
func parseLargest(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := parseSize(s)
	return uint64(n), err
}

// parseStopAfter reads how many copies others have to have before mirroring ends; 0: it goes on.
func parseStopAfter(n int) (int, error) {
	if n < 0 {
		return 0, fmt.Errorf("%d is not a number of copies", n)
	}
	return n, nil
}

// parsePromise reads how long a seed keeps what it took; empty: it promises nothing.
func parsePromise(s string) (time.Duration, error) {
	if s == "" || s == "0s" {
		return 0, nil
	}
	d, err := parseDuration(s)
	if err == nil && (d < 0 || d > maxPromise) {
		err = fmt.Errorf("%.40q is not between 0s and %s", s, days(maxPromise))
	}
	return d, err
}

// maxPromise bounds what a seed can promise: ten years.
const maxPromise = 3650 * 24 * time.Hour

func parseUntil(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		err = fmt.Errorf("%.40q is not a time such as 2026-09-01T12:00:00Z", s)
	}
	return t, err
}
