package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// known is a cache that everybody knows, compiled in with its key and its URL.
type known struct{ name, key, origin string }

// builtIn are the caches whose names need no key. Their keys are those that their own pages and setup instructions tell to
// put into trusted-public-keys.
func builtIn() []known {
	return []known{
		{"cache.nixos.org", "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=", "https://cache.nixos.org"},
		{"nix-community", "nix-community.cachix.org-1:mB9FSh9qf2dCimDSUo8Zy7bkq5CX+/rkCWyvRCYg3Fs=", "https://nix-community.cachix.org"},
		{"cuda-maintainers", "cuda-maintainers.cachix.org-1:0dq3bujKpuEPMCX6U4WylrUDZ9JyUG0VpVZa7CNfq5E=", "https://cuda-maintainers.cachix.org"},
		{"devenv", "devenv.cachix.org-1:w1cLUi8dv3hnoSPGAuibQv+f9TZLr6cv/Hm9XgU50cw=", "https://devenv.cachix.org"},
		{"hyprland", "hyprland.cachix.org-1:a7pgxzMz7+chwVL3/pzj6jIBMioiJM7ypFP8PwtkuGc=", "https://hyprland.cachix.org"},
		{"numtide", "numtide.cachix.org-1:2ps1kLBUWjxIneOy1Ik6cQjb41X0iXVXeHigGmycPPE=", "https://numtide.cachix.org"},
		{"nixpkgs-wayland", "nixpkgs-wayland.cachix.org-1:3lwxaILxMRkVhehr5StQprHdEo4IrE8sRho9R9HOLYA=", "https://nixpkgs-wayland.cachix.org"},
		{"helix", "helix.cachix.org-1:ejp9KQpR1FBI2onstMQ34yogDm4OgU2ru6lIwPvuCVs=", "https://helix.cachix.org"},
		{"cachix", "cachix.cachix.org-1:eWNHQldwUO7G2VkjpnjDbWwy4KQ/HNxht7H4SSoMckM=", "https://cachix.cachix.org"},
		{"hydra.iohk.io", "hydra.iohk.io:f/Ea+s+dFdN+3Y/G+FDgSq+a5NEWhJGzdjvKNGv0/EQ=", "https://cache.iog.io"},
	}
}

// knownNames lists the built-in names for people.
func knownNames() string {
	var lines []string
	width := 0
	for k, known := range builtIn() {
		word := known.name
		if k < len(builtIn())-1 {
			word += ","
		}
		if width += len(word) + 1; k == 0 || width > 100 {
			lines, width = append(lines, word), len(word)
			continue
		}
		lines[len(lines)-1] += " " + word
	}
	return strings.Join(lines, "\n")
}

// builtInOrigin is where the cache of a built-in key is.
func builtInOrigin(a namespace.Address) string {
	for _, k := range builtIn() {
		if k.key == a.String() {
			return k.origin
		}
	}
	return ""
}

// builtInKey is the key of a built-in name.
func builtInKey(name string) (string, bool) {
	all := builtIn()
	at := slices.IndexFunc(all, func(k known) bool { return k.name == name })
	if at < 0 {
		return "", false
	}
	return all[at].key, true
}

// upstreamKey is the key that a word of publish.upstream means: a built-in name or a key.
func upstreamKey(word string) (nix.PublicKey, error) {
	if key, ok := builtInKey(word); ok {
		word = key
	}
	return nix.ParsePublicKey(word)
}

// impostor refuses a key that calls itself as one that everybody knows, and is another.
func impostor(a namespace.Address) error {
	for _, k := range builtIn() {
		real, err := nix.ParsePublicKey(k.key)
		if err != nil || real.Name != a.Name() && k.name != a.Name() || real == a.Key() {
			continue
		}
		return &report.Problem{ID: "impostor-name", Exit: report.ExitRefused,
			Message: fmt.Sprintf("this key calls itself %q, but it is not the key of %s that flurry knows", a.Name(), k.name),
			Found:   []string{fmt.Sprintf("given %s", a), fmt.Sprintf("known %s", real)},
			Try:     []string{"flurry use " + k.key, "or, if you mean it: --as SOMETHING-ELSE"}}
	}
	return nil
}
