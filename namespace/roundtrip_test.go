package namespace_test

import (
	"testing"

	"github.com/flurry-nix/flurry/namespace"
)

func TestPrintThenParse(t *testing.T) {
	type text interface{ Append([]byte) []byte }
	for name, c := range map[string]struct {
		value text
		parse func([]byte) (text, error)
	}{
		"publication": {publication(t), func(b []byte) (text, error) { return namespace.ParsePublication(b) }},
		"document":    {document(t), func(b []byte) (text, error) { return namespace.ParseDocument(b) }},
		"receipt":     {receipt(t), func(b []byte) (text, error) { return namespace.ParseReceipt(b) }},
		"kept list":   {keepList(t), func(b []byte) (text, error) { return namespace.ParseKeepList(b) }},
	} {
		printed := c.value.Append(nil)
		parsed, err := c.parse(printed)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, printed)
			continue
		}
		if again := parsed.Append(nil); string(again) != string(printed) {
			t.Errorf("%s: printed\n%s\nthen\n%s", name, printed, again)
		}
	}
}
