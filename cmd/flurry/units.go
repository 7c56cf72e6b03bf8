package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// parseSize reads SIZE: a number of bytes with a unit (20GiB, 5MB) or without.
func parseSize(s string) (int64, error) {
	units := []struct {
		name string
		size float64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1}}
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if err != nil || n < 0 || math.IsNaN(n) || n*u.size > math.MaxInt64/2 {
			break
		}
		return int64(n * u.size), nil
	}
	return 0, fmt.Errorf("%q is not a size; write for example 20GiB", s)
}

// parseRate reads RATE, in bytes a second: 10Mbit, 2MiB/s, 0 for no limit.
func parseRate(s string) (int64, error) {
	for unit, size := range map[string]float64{"kbit": 1e3 / 8, "Mbit": 1e6 / 8, "Gbit": 1e9 / 8} {
		if digits, ok := strings.CutSuffix(s, unit); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
			if err != nil || n < 0 || math.IsNaN(n) || n*size > math.MaxInt64/2 {
				return 0, fmt.Errorf("%q is not a rate; write for example 10Mbit", s)
			}
			return int64(n * size), nil
		}
	}
	n, err := parseSize(strings.TrimSuffix(s, "/s"))
	if err != nil {
		return 0, fmt.Errorf("%q is not a rate; write for example 10Mbit or 2MiB/s", s)
	}
	return n, nil
}

// parseDuration reads DURATION: 90s, 5m, 12h, 30d.
func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err == nil && n >= 0 && n < 100*365 {
			return time.Duration(n * 24 * float64(time.Hour)), nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration; write for example 90s, 12h or 30d", s)
	}
	return d, nil
}
