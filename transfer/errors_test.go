package transfer_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/flurry-nix/flurry/transfer"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "",
		"too many hashes":             "too many hashes",
		"a\x1b[31mb\nc\x00":           `a\x1b[31mb\nc\x00`,
		"bad \xff utf-8":              `bad \xff utf-8`,
		"\u202eevil":                  `\u202eevil`,
		strings.Repeat("é", 100):      strings.Repeat("é", 40) + "…",
		strings.Repeat("x", 80):       strings.Repeat("x", 80),
		"x" + strings.Repeat("é", 40): "x" + strings.Repeat("é", 39) + "…",
	} {
		got := transfer.Printable(in)
		if got != want || !utf8.ValidString(got) {
			t.Errorf("Printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestKindsHaveSizes(t *testing.T) {
	for _, k := range []transfer.Kind{transfer.Publication, transfer.Document, transfer.KeepList, transfer.Body} {
		if k.MaxSize() == 0 || strings.HasPrefix(k.String(), "kind") {
			t.Errorf("%v: size %d", k, k.MaxSize())
		}
	}
	if k := transfer.Kind(5); k.MaxSize() != 0 || k.String() != "kind 5" {
		t.Errorf("%v: size %d", k, k.MaxSize())
	}
}
