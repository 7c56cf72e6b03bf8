package report

import (
	"testing"
	"time"
)

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1: "1 B", 999: "999 B", 1000: "1.00 kB", 1234: "1.23 kB", 9_994: "9.99 kB", 9_995: "10.0 kB", 99_949: "99.9 kB", 99_950: "100 kB",
		999_499: "999 kB", 999_500: "1.00 MB", 64_278_528: "64.3 MB", 6_549_825_126: "6.55 GB", 1 << 50: "1.13 PB", 1 << 62: "4612 PB",
	} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, not %q", n, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "0 s", 0: "0 s", 499 * time.Millisecond: "0 s", time.Second: "1 s", 59 * time.Second: "59 s", 59*time.Second + 600*time.Millisecond: "1 min",
		59 * time.Minute: "59 min", time.Hour: "1 h 0 min", 25*time.Hour + time.Minute: "1 d 1 h", 100 * 24 * time.Hour: "100 d 0 h",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%s) = %q, not %q", d, got, want)
		}
	}
	if ago(nil, now()) != "never" {
		t.Error("what never was")
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1 000", 12345: "12 345", 1234567: "1 234 567", -1: "-1", -100: "-100", -1000: "-1 000"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, not %q", n, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0 paths", 1: "1 path", 2: "2 paths"} {
		if got := count(n, "path", "paths"); got != want {
			t.Errorf("count(%d) = %q", n, got)
		}
	}
	for s, want := range map[float64]string{0: "0.0 ms", 0.0003: "0.3 ms", 0.0099: "9.9 ms", 0.01: "10 ms", 0.212: "212 ms", 1.25: "1.2 s"} {
		if got := millis(s); got != want {
			t.Errorf("millis(%v) = %q, not %q", s, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	for in, want := range map[string]string{widget: "widget-1.4.2", "lsvsfxv3rkwdn7ipyir4mizrk7wh49wz-a-b": "a-b", "plain": "plain", "": ""} {
		if got := baseName(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	ten := make([]string, 10)
	for i := range ten {
		ten[i] = peerA
	}
	if got, want := peersWords(ten[:9]), "…AqmT3x, …AqmT3x, …AqmT3x, …AqmT3x, …AqmT3x, …AqmT3x, …AqmT3x, …AqmT3x and 1 more"; got != want {
		t.Errorf("%q", got)
	}
	if got := clock(now().Add(-24*time.Hour), now()); got != "2026-11-21 14:02:52" {
		t.Errorf("%q", got)
	}
	if got := clock(now(), now().In(time.FixedZone("", 3600))); got != "15:02:52" {
		t.Errorf("%q", got)
	}
}
