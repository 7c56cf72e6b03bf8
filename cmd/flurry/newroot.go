package main

import (
	"crypto/rand"
	"fmt"
	"regexp"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// newName is what `flurry new` calls a namespace; keys that are adopted may have any name that signed texts can hold.
var newName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}$`)

// newRoot makes or adopts a root key.
func newRoot(r control.NewRequest) (nix.SecretKey, error) {
	if r.Key != "" {
		key, err := nix.ParseSecretKey(r.Key)
		if err != nil {
			return key, keyProblem("", err)
		}
		if !namespace.AddressOf(key.Public()).CanPublish() {
			return key, badName(key.Name(), "letters, digits, dot, dash and underscore, at most 64")
		}
		return key, nil
	}
	if !newName.MatchString(r.Name) {
		return nix.SecretKey{}, badName(r.Name, "small letters, digits, dot and dash, at most 63, a letter or digit first")
	}
	return nix.NewSecretKey(r.Name, rand.Reader)
}

func badName(name, form string) error {
	return &report.Problem{ID: "bad-name", Exit: report.ExitUsage, Message: fmt.Sprintf("%q cannot be the name of a namespace: %s", name, form), Try: []string{"flurry new acme-1"}}
}

// builtInKeys are the caches that everybody knows, by name.
func builtInKeys() map[string]string {
	return map[string]string{
		"cache.nixos.org": "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=",
		"nix-community":   "nix-community.cachix.org-1:mB9FSh9qf2dCimDSUo8Zy7bkq5CX+/rkCWyvRCYg3Fs=",
	}
}

// upstreamKey is the key that a word of publish.upstream means: a built-in name or a key.
func upstreamKey(word string) (nix.PublicKey, error) {
	if text, ok := builtInKeys()[word]; ok {
		word = text
	}
	key, err := nix.ParsePublicKey(word)
	if err != nil {
		return key, keyProblem(word, err)
	}
	return key, nil
}
