package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// number is what stands before a unit.
var number = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

// unit is a word after a number, and what it multiplies it by.
type unit struct {
	name string
	size float64
}

// sizeUnits are those of SIZE, longer names first.
func sizeUnits() []unit {
	return []unit{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1}}
}

// rateUnits are those of RATE, in bytes a second.
func rateUnits() []unit {
	units := []unit{{"kbit", 1e3 / 8}, {"Mbit", 1e6 / 8}, {"Gbit", 1e9 / 8}}
	for _, u := range sizeUnits() {
		if u.name != "" {
			units = append(units, unit{u.name + "/s", u.size})
		}
	}
	return units
}

// measured reads a number with one of units.
func measured(s string, units []unit) (int64, bool) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.name)
		digits = strings.TrimSuffix(digits, " ")
		if !ok || !number.MatchString(digits) {
			continue
		}
		n, err := strconv.ParseFloat(digits, 64)
		if err != nil || n*u.size >= math.MaxInt64/2 {
			return 0, false
		}
		return int64(n * u.size), true
	}
	return 0, false
}

// parseSize reads SIZE: a number of bytes with a unit (20GiB, 5MB) or without.
func parseSize(s string) (int64, error) {
	if n, ok := measured(s, sizeUnits()); ok {
		return n, nil
	}
	return 0, fmt.Errorf("%.40q is not a size; write for example 20GiB", s)
}

// parseRate reads RATE, in bytes a second: 10Mbit, 2MiB/s, 0 for no limit.
func parseRate(s string) (int64, error) {
	if s == "0" {
		return 0, nil
	}
	if n, ok := measured(s, rateUnits()); ok {
		if n == 0 {
			return 0, fmt.Errorf("%.40q is less than a byte a second; write 0 for no limit", s)
		}
		return n, nil
	}
	return 0, fmt.Errorf("%.40q is not a rate; write for example 10Mbit or 2MiB/s, or 0 for no limit", s)
}

// maxDays is the longest DURATION in days: about 100 years, which a time.Duration holds.
const maxDays = 36_500

// parseDuration reads DURATION: 90s, 5m, 12h, 30d.
func parseDuration(s string) (time.Duration, error) {
	if digits, ok := strings.CutSuffix(s, "d"); ok && number.MatchString(digits) {
		if n, err := strconv.ParseFloat(digits, 64); err == nil && n <= maxDays {
			return time.Duration(n * 24 * float64(time.Hour)), nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxDays*24*time.Hour {
		return 0, fmt.Errorf("%.40q is not a duration; write for example 90s, 12h or 30d", s)
	}
	return d, nil
}

// amount is a SIZE, or a part of a disk: 5%.
type amount struct {
	bytes   int64
	percent float64
}

func parseAmount(s string) (amount, error) {
	digits, ok := strings.CutSuffix(s, "%")
	if !ok {
		n, err := parseSize(s)
		return amount{bytes: n}, err
	}
	n, err := strconv.ParseFloat(digits, 64)
	if !number.MatchString(digits) || err != nil || n > 100 {
		return amount{}, fmt.Errorf("%.40q is not a part of the disk; write for example 5%%", s)
	}
	return amount{percent: n}, nil
}

// of is the amount in bytes on a disk of total bytes.
func (a amount) of(total int64) int64 {
	if a.percent > 0 {
		return int64(float64(total) * a.percent / 100)
	}
	return a.bytes
}
