package report

import (
	"fmt"
	"strings"
	"time"
)

// size is a number of bytes for people: three digits that count, decimal units.
func size[T int | int64 | uint64 | float64](n T) string {
	f, unit := float64(n), "B"
	for _, u := range []string{"kB", "MB", "GB", "TB", "PB"} {
		if f < 999.5 {
			break
		}
		f, unit = f/1000, u
	}
	switch {
	case unit == "B" || f >= 99.95:
		return fmt.Sprintf("%.0f %s", f, unit)
	case f >= 9.995:
		return fmt.Sprintf("%.1f %s", f, unit)
	}
	return fmt.Sprintf("%.2f %s", f, unit)
}

// ago is how long before now t was.
func ago(t *time.Time, now time.Time) string {
	if t == nil {
		return "never"
	}
	return span(now.Sub(*t)) + " ago"
}

// span is a duration for people: the two largest units.
func span(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < time.Second:
		return "0 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// clock is the time of day of t where now is, with the date if that is another.
func clock(t, now time.Time) string {
	t = t.In(now.Location())
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// millis is a number of seconds for people.
func millis(seconds float64) string {
	switch {
	case seconds < 0.01:
		return fmt.Sprintf("%.1f ms", seconds*1000)
	case seconds < 1:
		return fmt.Sprintf("%.0f ms", seconds*1000)
	}
	return fmt.Sprintf("%.1f s", seconds)
}

// count is n things.
func count[T int | int64 | uint64](n T, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// grouped is a number with its thousands apart.
func grouped[T int | int64 | uint64](n T) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(' ')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// shortID is how a peer's long id is shown: its end.
func shortID(id string) string {
	if len(id) <= 6 {
		return id
	}
	return "…" + id[len(id)-6:]
}

// peersWords lists peers.
func peersWords(ids []string) string {
	if len(ids) == 0 {
		return "nobody who holds it is connected"
	}
	const shown = 8
	short := make([]string, 0, shown)
	for _, id := range ids[:min(shown, len(ids))] {
		short = append(short, shortID(id))
	}
	words := strings.Join(short, ", ")
	if more := len(ids) - shown; more > 0 {
		words += fmt.Sprintf(" and %d more", more)
	}
	return words
}

// baseName is the name of a store path, without directory and hash.
func baseName(path string) string {
	name := path[strings.LastIndexByte(path, '/')+1:]
	if _, rest, ok := strings.Cut(name, "-"); ok {
		return rest
	}
	return name
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Size is a number of bytes for people: "64.3 MB".
func Size(n int64) string { return size(n) }

// Part is how much of a whole, in one unit: "97 of 100 GiB".
func Part(n, of uint64) string {
	part, unit, _ := strings.Cut(size(n), " ")
	whole, wholeUnit, _ := strings.Cut(size(of), " ")
	if unit == wholeUnit {
		return part + " of " + whole + " " + unit
	}
	return size(n) + " of " + size(of)
}

// Words are the functions with which pages say numbers and times as the other texts here do. now is asked each time.
func Words(now func() time.Time) map[string]any {
	return map[string]any{
		"size":    func(n any) string { return size(number(n)) },
		"grouped": func(n any) string { return grouped(int64(number(n))) },
		"count":   func(n any, one, many string) string { return count(int64(number(n)), one, many) },
		"millis":  millis,
		"span":    func(seconds float64) string { return span(time.Duration(seconds * float64(time.Second))) },
		"ago":     func(t *time.Time) string { return ago(t, now()) },
		"clock":   func(t *time.Time) string { return clock(*t, now()) },
		"past":    func(t *time.Time) bool { return now().After(*t) },
		"day":     func(t any) string { return moment(t).Format(time.DateOnly) },
		"minute":  func(t any) string { return moment(t).UTC().Format("2006-01-02 15:04") },
	}
}

// number is any of the kinds of numbers that stand in reports.
func number(n any) float64 {
	switch n := n.(type) {
	case int:
		return float64(n)
	case int64:
		return float64(n)
	case uint64:
		return float64(n)
	case float64:
		return n
	}
	return 0
}

func moment(t any) time.Time {
	switch t := t.(type) {
	case time.Time:
		return t
	case *time.Time:
		return *t
	}
	return time.Time{}
}
