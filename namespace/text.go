package namespace

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// quote returns s quoted for an error message, shortened so that a hostile
// value cannot fill a log.
func quote(s string) string {
	if len(s) <= maxQuoted {
		return strconv.Quote(s)
	}
	return strconv.Quote(s[:maxQuoted]) + "…"
}

// ValidName reports whether s can name a namespace or a writer: 1 to 64
// characters of [A-Za-z0-9._-]. Nix allows more in the names of keys; the form
// of signed texts does not.
func ValidName(s string) bool {
	if s == "" || len(s) > MaxNameLength {
		return false
	}
	for i := range len(s) {
		if !isNameChar(s[i]) {
			return false
		}
	}
	return true
}

func isNameChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}

// checkChars returns an error when s is not UTF-8 or holds a control character
// other than the newlines that may be allowed.
func checkChars[T string | []byte](s T, newlines bool) error {
	for i := 0; i < len(s); {
		if c := s[i]; c >= ' ' && c < 0x7f || c == '\n' && newlines {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
		if r == utf8.RuneError && size == 1 {
			return fmt.Errorf("byte %d is not UTF-8", i)
		}
		if unicode.IsControl(r) {
			return fmt.Errorf("control character %U at byte %d", r, i)
		}
		i += size
	}
	return nil
}

// checkPhrase checks words for people: one line, 1 to limit bytes, no space at
// either end.
func checkPhrase(s string, limit int) error {
	switch {
	case s == "":
		return fmt.Errorf("no text")
	case len(s) > limit:
		return fmt.Errorf("%s is %d bytes long, at most %d are allowed", quote(s), len(s), limit)
	case strings.TrimSpace(s) != s:
		return fmt.Errorf("%s begins or ends with space", quote(s))
	}
	if err := checkChars(s, false); err != nil {
		return fmt.Errorf("%s: %w", quote(s), err)
	}
	return nil
}

// checkPrintable checks a word: 1 to limit printable ASCII characters without
// space.
func checkPrintable(s string, limit int) error {
	if s == "" || len(s) > limit {
		return fmt.Errorf("%s has %d characters, want 1 to %d", quote(s), len(s), limit)
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return fmt.Errorf("%s: %q at position %d is not a printable ASCII character", quote(s), s[i], i+1)
		}
	}
	return nil
}

// parseNumber reads a decimal without sign or leading zeros, at most limit.
func parseNumber(s string, limit uint64) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || len(s) > 1 && s[0] == '0' {
		return 0, fmt.Errorf("%s is not a number", quote(s))
	}
	if n > limit {
		return 0, fmt.Errorf("%s is more than %d", quote(s), limit)
	}
	return n, nil
}
