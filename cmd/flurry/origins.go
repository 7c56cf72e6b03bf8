package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/origin"
	"github.com/flurry-nix/flurry/report"
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

func (o httpOrigin) Check(ctx context.Context) error { return notThere(o.Origin.Check(ctx)) }

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

// tryOrigin asks the origin of a namespace whether it is there, and says what is wrong if it is not. A daemon for this machine alone asks
// nobody elsewhere.
func (v verbs) tryOrigin(ctx context.Context, sp node.Space, wait time.Duration) []report.Problem {
	u, err := url.Parse(sp.Origin)
	if err != nil || wait <= 0 || v.cfg.Loopback && !isLoopback(u.Hostname()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err = v.node.CheckOrigin(ctx, sp.Address)
	if err == nil {
		return nil
	}
	at := shownOrigin(sp.Origin)
	p := report.Problem{ID: "origin-down", Message: at + " does not answer: " + lastLine(err), Found: []string{"what is not here already is not given until it does"},
		Try: []string{"curl " + strings.TrimSuffix(at, "/") + "/nix-cache-info"}}
	if errors.Is(err, node.ErrNotHere) {
		p = report.Problem{ID: "no-cache", Message: "nothing can be had from " + at + ": " + lastLine(err), Try: append(p.Try, "flurry use "+sp.Address.String()+" --origin URL")}
	}
	return []report.Problem{p}
}

// lastLine is the last of several errors that were joined.
func lastLine(err error) string {
	text := err.Error()
	return text[strings.LastIndexByte(text, '\n')+1:]
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

// pairOrigins finds the key of each HTTP cache that nix.conf names: the one that everybody knows for it, else the one that is named
// after its host, as most are. What is left over is said, each with its reason.
func pairOrigins(c nixCaches) (pairs []pairing, left []string) {
	leave := func(at, why string, a ...any) { left = append(left, shownOrigin(at)+": "+fmt.Sprintf(why, a...)) }
	taken := make(map[string]string) // the key to the URL
	for _, at := range c.urls {
		u, err := url.Parse(at)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			leave(at, "it is no http:// or https:// URL; Nix goes on asking it by itself")
			continue
		}
		if isLoopback(u.Hostname()) {
			continue // a gateway on this machine
		}
		keys := keysForHost(u.Hostname(), c.keys)
		if trusted := u.Query().Get("trusted"); len(keys) == 0 && (trusted == "1" || trusted == "true") {
			leave(at, "trusted=%s has Nix take what nobody signed, and flurry takes nothing without a key", trusted)
			continue
		}
		if len(keys) == 0 {
			leave(at, "no key in trusted-public-keys is named after it")
			continue
		}
		if u.User == nil && c.passwords[u.Hostname()] {
			leave(at, "its password is in netrc, which flurry does not read: flurry use %s --origin %s://USER:PASSWORD@%s", keys[0], u.Scheme, u.Host)
			continue
		}
		u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = "", false, "", ""
		u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
		if first, ok := taken[keys[0]]; ok {
			if first != u.String() {
				leave(at, "the same key is already that of %s", shownOrigin(first))
			}
			continue
		}
		taken[keys[0]] = u.String()
		pairs = append(pairs, pairing{u.String(), keys[0]})
		for _, other := range keys[1:] {
			leave(at, "what %s signed there, a second key of its name", other)
		}
	}
	return pairs, left
}

// keysForHost are the keys of the cache at a host.
func keysForHost(host string, keys []string) (found []string) {
	for _, k := range builtIn() {
		if u, err := url.Parse(k.origin); err == nil && u.Hostname() == host && slices.Contains(keys, k.key) {
			return []string{k.key}
		}
	}
	for _, word := range keys {
		name, _, _ := strings.Cut(word, ":")
		if strings.EqualFold(trimNumber(name), host) && !slices.Contains(found, word) {
			found = append(found, word)
		}
	}
	return found
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
