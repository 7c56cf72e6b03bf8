package nix

import "strconv"

// quote returns s quoted for an error message, shortened so that a hostile
// value cannot fill a log.
func quote(s string) string {
	if len(s) <= maxQuoted {
		return strconv.Quote(s)
	}
	return strconv.Quote(s[:maxQuoted]) + "…"
}
