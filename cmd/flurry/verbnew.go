package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"regexp"
	"time"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/trust"
)

// newName is what `flurry new` calls a namespace; keys that are adopted may have any name that signed texts can hold.
var newName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}$`)

// New makes a namespace of a new key or of one that was brought. What cannot be is refused before anything is written;
// then the key is kept first, since nobody can make it again.
func (v verbs) New(ctx context.Context, r control.NewRequest) (report.New, error) {
	key, err := newRoot(r)
	if err != nil {
		return report.New{}, err
	}
	if r.Keep == 0 {
		r.Keep = defaultKeep
	}
	sp, err := v.newSpace(namespace.AddressOf(key.Public()), r)
	if err != nil {
		return report.New{}, err
	}
	if err := checkDocument(key, r); err != nil {
		return report.New{}, err
	}
	kept := key
	if r.Elsewhere {
		if kept, err = makeKey(key.Name() + writerSuffix); err != nil {
			return report.New{}, err
		}
	}
	if err := v.keys.add(kept); err != nil {
		return report.New{}, err
	}
	d, err := v.node.NewNamespace(ctx, key, r.About, r.Keep)
	if err != nil {
		return report.New{}, err
	}
	if sp.Declared == "" {
		err = v.spaces.put(sp, v.node.Put)
	} else {
		err = v.node.Put(sp)
	}
	n := report.New{Schema: "flurry/new/1", Alias: sp.Alias, Address: sp.Address.String(), KeyFile: v.keys.file(kept.Name()), Adopted: r.Key != "",
		Serial: d.Value().Serial, Expires: d.Value().Expires}
	if err == nil && r.From != "" && !r.Elsewhere {
		var noted bool
		if noted, err = v.keys.noteCopy(key.Public(), r.From, time.Now()); noted && err == nil {
			n.Copy = r.From
		}
	}
	if err != nil || !r.Elsewhere {
		return n, err
	}
	n.KeyFile, n.WriterFile, n.Adopted = "", n.KeyFile, false
	added, err := v.node.AddWriter(ctx, sp.Alias, &key, kept.Public(), time.Time{})
	n.Serial = added.Serial
	return n, err
}

// writerSuffix ends the name of the key that a machine publishes with when the root key of its namespace is elsewhere.
const writerSuffix = "-writer"

// newRoot makes or adopts a root key.
func newRoot(r control.NewRequest) (nix.SecretKey, error) {
	if r.Key != "" {
		key, err := nix.ParseSecretKey(r.Key)
		if err != nil {
			return key, secretProblem("the key given", err)
		}
		if !namespace.AddressOf(key.Public()).CanPublish() {
			return key, badName(key.Name(), "letters, digits, dot, dash and underscore, at most 64")
		}
		return key, nil
	}
	switch {
	case !newName.MatchString(r.Name):
		return nix.SecretKey{}, badName(r.Name, "small letters, digits, dot and dash, at most 63, a letter or digit first")
	case r.Name == localKeyName:
		return nix.SecretKey{}, badName(r.Name, "it is that of every machine's own key")
	}
	return nix.NewSecretKey(r.Name, rand.Reader)
}

func badName(name, form string) error {
	return &report.Problem{ID: "bad-name", Exit: report.ExitUsage, Message: fmt.Sprintf("%.80q cannot be the name of a namespace: %s", name, form), Try: []string{"flurry new acme-1"}}
}

// newSpace is the namespace a as it is to become, unless something is in its way.
func (v verbs) newSpace(a namespace.Address, r control.NewRequest) (node.Space, error) {
	if err := impostor(a); err != nil {
		return node.Space{}, err
	}
	share, err := node.ParseShare(r.Share)
	if err != nil || share == node.ShareNone {
		return node.Space{}, usage("--share lan", "a namespace is shared with lan or all, not %.40q", r.Share)
	}
	for _, sp := range v.node.Spaces() {
		switch {
		case sp.Address == a && sp.Declared != "" && share != node.ShareDefault:
			return sp, v.spaces.refuseDeclared(a)
		case sp.Address == a:
			sp.Publish = true
			if share != node.ShareDefault {
				sp.Share = share
			}
			return sp, nil
		case sp.Alias == a.Name() && sp.Publish:
			return sp, &report.Problem{ID: "alias-taken", Exit: report.ExitUsage, Message: fmt.Sprintf("%s is a namespace here already (%s)", sp.Alias, sp.Address), Try: []string{"another name", "flurry show " + sp.Alias}}
		case sp.Alias == a.Name():
			return sp, aliasTaken(sp.Alias, sp.Address, "another name; or first: flurry leave "+sp.Alias)
		}
	}
	return node.Space{Alias: a.Name(), Address: a, Publish: true, Share: share}, nil
}

// checkDocument refuses what could not be said in the namespace's document.
func checkDocument(key nix.SecretKey, r control.NewRequest) error {
	if r.Keep < time.Second || r.Keep > namespace.MaxLife {
		return usage("--keep 90d", "publications live for 1s to %s", days(namespace.MaxLife))
	}
	now := time.Now().UTC().Truncate(time.Second)
	d := &namespace.Document{Namespace: namespace.AddressOf(key.Public()), Serial: 1, Issued: now, Expires: now.AddDate(1, 0, 0), Keep: r.Keep, About: r.About, Access: "public"}
	if _, err := trust.SignDocument(d, key); err != nil {
		return usage("--description TEXT", "the description %.40q cannot stand in a document: one line of at most %d bytes", r.About, namespace.MaxAbout)
	}
	return nil
}
