package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// secretAmong refuses a command line with a secret key in it, whatever the command: it would be printed, kept in the
// shell's history, and seen by every user of the machine.
func secretAmong(args []string) error {
	for _, a := range args {
		if flag, value, ok := strings.Cut(a, "="); ok && strings.HasPrefix(flag, "--") {
			a = value
		}
		if key, err := nix.ParseSecretKey(strings.TrimSpace(a)); err == nil {
			return secretGiven(key.Public().String())
		}
	}
	return nil
}

func secretGiven(public string) *report.Problem {
	return &report.Problem{ID: "secret-key-given", Exit: report.ExitUsage,
		Message: "this is a SECRET key. Do not paste it anywhere; its public half is " + public,
		Try:     []string{"flurry use " + public, "if this was typed into a shared terminal or a CI log, make a new key"}}
}

// secretProblem says what is wrong with a secret key that came from a file or a variable, without a letter of it.
func secretProblem(where string, err error) error {
	p := &report.Problem{ID: "bad-key", Exit: report.ExitUsage, Message: where + " holds no secret key",
		Try: []string{"nix-store --generate-binary-cache-key writes the form: name:base64 of 64 bytes"}}
	var key *nix.KeyError
	if !errors.As(err, &key) {
		return p
	}
	switch key.Kind {
	case nix.NoColon:
		p.Message += ": there is no colon in it; a key looks like name:base64="
	case nix.BadBase64:
		p.Message += fmt.Sprintf(": it is not base64 at position %d", key.Have)
	case nix.WrongLength:
		p.Message += fmt.Sprintf(": after the colon there are %d bytes, a secret key has %d", key.Have, key.Want)
		if key.Have == 32 {
			p.Message += "; this is the public half"
		}
	case nix.NotAPoint:
		p.Message += ": its two halves do not belong together; one character is probably wrong"
	case nix.BadName:
		p.Message += ": what stands before the colon is not a key's name"
	case nix.SeveralKeys:
		p.Message += fmt.Sprintf(": there are %d keys in it", key.Have)
	case nix.NotCanonical:
		p.Message += ": its base64 is not canonical; copy it again whole"
	}
	return p
}
