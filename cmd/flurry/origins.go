package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/origin"
)

// httpOrigin is an origin as the node asks for it: the same words, and the node's own sentinel for "no".
type httpOrigin struct{ *origin.Origin }

// openOrigin makes the origin of a URL.
func openOrigin(at string) (node.Origin, error) {
	o, err := origin.New(at, origin.Options{UserAgent: "flurry/" + version})
	if err != nil {
		return nil, err
	}
	return httpOrigin{o}, nil
}

func (o httpOrigin) Info(ctx context.Context, h nix.PathHash) (*nix.NarInfo, error) {
	info, err := o.Origin.Info(ctx, h)
	return info, notThere(err)
}

func (o httpOrigin) Nar(ctx context.Context, info *nix.NarInfo) (io.ReadCloser, error) {
	nar, err := o.Origin.Nar(ctx, info)
	if err != nil {
		return nil, notThere(err)
	}
	return nar, nil
}

func notThere(err error) error {
	if errors.Is(err, origin.ErrAbsent) {
		return errors.Join(node.ErrNotHere, err)
	}
	return err
}

// checkOrigin refuses a URL that no cache can be asked at.
func checkOrigin(at string) error {
	if at == "" {
		return nil
	}
	o, err := origin.New(at, origin.Options{})
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "origin: "))
	}
	o.Close()
	return nil
}

// badOrigin is what --origin says that is none.
func badOrigin(at string, err error) error {
	return usage("flurry use KEY --origin https://cache.example.org", "--origin %.100q: %v", at, err)
}

// shownOrigin is a URL for people: without user and password.
func shownOrigin(at string) string {
	u, err := url.Parse(at)
	if err != nil {
		return "?"
	}
	u.User = nil
	return u.String()
}

// pairing is a substituter of nix.conf, and the key of the namespace that it becomes.
type pairing struct{ url, key string }

// pairOrigins finds the key of each HTTP cache among urls: the one that everybody knows for it, else the one that is named
// after its host, as most are. What is left over is said.
func pairOrigins(urls, keys []string) (pairs []pairing, left []string) {
	for _, at := range urls {
		u, err := url.Parse(at)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || isLoopback(u.Hostname()) {
			continue // a store of another kind, or a gateway on this machine
		}
		key := keyForHost(u.Hostname(), keys)
		if key == "" {
			left = append(left, fmt.Sprintf("%s: no key in trusted-public-keys is named after it", shownOrigin(at)))
			continue
		}
		u.RawQuery = ""
		pairs = append(pairs, pairing{u.String(), key})
	}
	return pairs, left
}

func keyForHost(host string, keys []string) string {
	for _, k := range builtIn() {
		if u, err := url.Parse(k.origin); err == nil && u.Hostname() == host && containsKey(keys, k.key) {
			return k.key
		}
	}
	for _, word := range keys {
		name, _, _ := strings.Cut(word, ":")
		if trimNumber(name) == host {
			return word
		}
	}
	return ""
}

func containsKey(keys []string, key string) bool {
	for _, k := range keys {
		if k == key {
			return true
		}
	}
	return false
}

// trimNumber takes "-1" from the end of a key's name: keys that replace each other are counted.
func trimNumber(name string) string {
	at := strings.LastIndexByte(name, '-')
	if at < 0 || strings.Trim(name[at+1:], "0123456789") != "" {
		return name
	}
	return name[:at]
}

func isLoopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}
