package namespace

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

const timeLayout = "2006-01-02T15:04:05Z"

// parseTime reads RFC 3339 to the second with Z, from 1970 on.
func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(timeLayout, s)
	// Parse takes fractions of a second that the layout does not have.
	if err != nil || len(s) != len(timeLayout) {
		return time.Time{}, fmt.Errorf("%s is not a time such as 2026-09-01T12:00:00Z", quote(s))
	}
	if t.Year() < 1970 {
		return time.Time{}, fmt.Errorf("%s is before 1970", quote(s))
	}
	return t, nil
}

func appendTime(b []byte, t time.Time) []byte { return t.UTC().AppendFormat(b, timeLayout) }

type durationUnit struct {
	letter byte
	length time.Duration
}

// durationUnits are largest first: the spelling takes the first that divides.
func durationUnits() [4]durationUnit {
	return [...]durationUnit{{'d', 24 * time.Hour}, {'h', time.Hour}, {'m', time.Minute}, {'s', time.Second}}
}

// parseDuration reads a duration as texts spell it: a whole number, at least 1,
// of days, hours, minutes or seconds, in the largest unit that divides it, such
// as "90d" or "36h". At most limit.
func parseDuration(s string, limit time.Duration) (time.Duration, error) {
	bad := fmt.Errorf("%s is not a duration such as 90d or 36h", quote(s))
	if len(s) < 2 {
		return 0, bad
	}
	n, err := parseNumber(s[:len(s)-1], math.MaxInt64)
	if err != nil || n == 0 {
		return 0, bad
	}
	for _, u := range durationUnits() {
		if u.letter != s[len(s)-1] {
			continue
		}
		if n > uint64(limit/u.length) {
			return 0, fmt.Errorf("%s is more than %s", quote(s), formatDuration(limit))
		}
		d := time.Duration(n) * u.length
		if want := formatDuration(d); want != s {
			return 0, fmt.Errorf("%s has to be written %q", quote(s), want)
		}
		return d, nil
	}
	return 0, bad
}

// formatDuration is the inverse of parseDuration. What is less than a second
// is cut off.
func formatDuration(d time.Duration) string {
	for _, u := range durationUnits() {
		if d%u.length == 0 {
			return strconv.FormatInt(int64(d/u.length), 10) + string(u.letter)
		}
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + "s"
}
