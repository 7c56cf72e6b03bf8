package main

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "1": 1, "0B": 0, "17B": 17, "1kB": 1000, "1KB": 1000, "1KiB": 1024, "1.5MiB": 3 << 19, "20GiB": 20 << 30, "20 GiB": 20 << 30, "5MB": 5_000_000,
		"3GB": 3_000_000_000, "2TB": 2_000_000_000_000, "4TiB": 4 << 40, "0.5B": 0, "4000000000000000000": 4_000_000_000_000_000_000,
	} {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", " ", "B", "GiB", "-1", "-1GiB", "+1", "1e3", "0x10", "1_000", "Inf", "NaN", "1GiB ", " 1GiB", "20gib", "20G", "1..5MB", ".5MB", "5.MB", "5%", "9e99TB", "8388608TiB",
		"5000000000000000000", "1GiB/s", "20\tGiB", "١GiB"} {
		if got, err := parseSize(s); err == nil {
			t.Errorf("%q is %d", s, got)
		} else if !strings.Contains(err.Error(), "is not a size; write for example 20GiB") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestParseRate(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "10Mbit": 1_250_000, "8kbit": 1000, "1Gbit": 125_000_000, "2MiB/s": 2 << 20, "1kB/s": 1000, "3B/s": 3} {
		if got, err := parseRate(s); err != nil || got != want {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "10", "10M", "10MB", "-1Mbit", "1bit", "0Mbit", "0.5B/s", "0B/s", "1/s", "10mbit", "9e99Gbit"} {
		if got, err := parseRate(s); err == nil {
			t.Errorf("%q is %d", s, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{"0": 0, "0s": 0, "90s": 90 * time.Second, "5m": 5 * time.Minute, "12h": 12 * time.Hour, "30d": 720 * time.Hour, "1.5d": 36 * time.Hour, "0d": 0,
		"1h30m": 90 * time.Minute, "50ms": 50 * time.Millisecond, "36500d": 36500 * 24 * time.Hour} {
		if got, err := parseDuration(s); err != nil || got != want {
			t.Errorf("%q: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "d", "5", "-5s", "-1d", "1w", "1y", "36501d", "900000h", "1e3d", "NaNd", "Infd", "5 s"} {
		if got, err := parseDuration(s); err == nil {
			t.Errorf("%q is %s", s, got)
		}
	}
}

func TestParseAmount(t *testing.T) {
	const disk = 1000
	for s, want := range map[string]int64{"0": 0, "17B": 17, "5%": 50, "100%": 1000, "0.1%": 1, "0%": 0} {
		if got, err := parseAmount(s); err != nil || got.of(disk) != want {
			t.Errorf("%q: %d, %v", s, got.of(disk), err)
		}
	}
	for _, s := range []string{"%", "-1%", "101%", "1e1%", "NaN%", "5 %", "", "much"} {
		if got, err := parseAmount(s); err == nil {
			t.Errorf("%q is %+v", s, got)
		}
	}
}

// FuzzUnits: whatever is read is a number that can be counted with.
func FuzzUnits(f *testing.F) {
	for _, s := range []string{"20GiB", "5%", "10Mbit", "2MiB/s", "90s", "30d", "", "-1", "1e309"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parseSize(s); err == nil && (n < 0 || n > math.MaxInt64/2) {
			t.Errorf("size %d", n)
		}
		if n, err := parseRate(s); err == nil && (n < 0 || n > math.MaxInt64/2) {
			t.Errorf("rate %d", n)
		}
		if d, err := parseDuration(s); err == nil && (d < 0 || d > maxDays*24*time.Hour) {
			t.Errorf("duration %d", d)
		}
		if a, err := parseAmount(s); err == nil && (a.of(1<<40) < 0 || a.percent > 100) {
			t.Errorf("amount %+v", a)
		}
	})
}

func TestListed(t *testing.T) {
	for want, words := range map[string][]string{"": nil, "a": {"a"}, "a or b": {"a", "b"}, "a, b or c": {"a", "b", "c"}} {
		if got := listed(words, "or"); got != want {
			t.Errorf("%q: %q", words, got)
		}
	}
}
