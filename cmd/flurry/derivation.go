package main

import (
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// maxDerivation is how much of a derivation is looked at: its outputs come first.
const maxDerivation = 64 << 10

// firstOutput is how a derivation begins: Derive([("out","/nix/store/…", …
var firstOutput = regexp.MustCompile(`^Derive\(\[\("[^"\\]+","([^"\\]*)"`)

// outputOf is the path that a derivation stands for: its first output.
func outputOf(drv nix.StorePath) (string, error) {
	f, err := os.Open(drv.String())
	if err != nil {
		return "", badDerivation(drv, err.Error())
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxDerivation))
	if err != nil {
		return "", badDerivation(drv, err.Error())
	}
	found := firstOutput.FindSubmatch(text)
	if found == nil || len(found[1]) == 0 {
		return "", badDerivation(drv, "it does not say what it makes")
	}
	p, err := nix.ParseStorePath(string(found[1]))
	if err != nil {
		return "", badDerivation(drv, err.Error())
	}
	return p.String(), nil
}

func badDerivation(drv nix.StorePath, what string) error {
	return &report.Problem{ID: "derivation-given", Exit: report.ExitUsage, Message: fmt.Sprintf("%s is a recipe, and its output is not known: %s", drv, what),
		Try: []string{fmt.Sprintf(`flurry why "$(nix build --print-out-paths '%s^*')"`, drv)}}
}
