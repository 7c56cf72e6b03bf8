package main

import (
	"fmt"
	"slices"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// known is a cache that everybody knows, compiled in with its key.
type known struct{ name, key string }

// builtIn are the caches whose names need no key. Their keys are those that their own pages and setup instructions tell to
// put into trusted-public-keys.
func builtIn() []known {
	return []known{
		{"cache.nixos.org", "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="},
		{"nix-community", "nix-community.cachix.org-1:mB9FSh9qf2dCimDSUo8Zy7bkq5CX+/rkCWyvRCYg3Fs="},
		{"cuda-maintainers", "cuda-maintainers.cachix.org-1:0dq3bujKpuEPMCX6U4WylrUDZ9JyUG0VpVZa7CNfq5E="},
		{"devenv", "devenv.cachix.org-1:w1cLUi8dv3hnoSPGAuibQv+f9TZLr6cv/Hm9XgU50cw="},
		{"hyprland", "hyprland.cachix.org-1:a7pgxzMz7+chwVL3/pzj6jIBMioiJM7ypFP8PwtkuGc="},
		{"numtide", "numtide.cachix.org-1:2ps1kLBUWjxIneOy1Ik6cQjb41X0iXVXeHigGmycPPE="},
		{"nixpkgs-wayland", "nixpkgs-wayland.cachix.org-1:3lwxaILxMRkVhehr5StQprHdEo4IrE8sRho9R9HOLYA="},
		{"helix", "helix.cachix.org-1:ejp9KQpR1FBI2onstMQ34yogDm4OgU2ru6lIwPvuCVs="},
		{"cachix", "cachix.cachix.org-1:eWNHQldwUO7G2VkjpnjDbWwy4KQ/HNxht7H4SSoMckM="},
		{"hydra.iohk.io", "hydra.iohk.io:f/Ea+s+dFdN+3Y/G+FDgSq+a5NEWhJGzdjvKNGv0/EQ="},
	}
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
