package httpgateway

import (
	"fmt"
	"math/big"
	"regexp"
	"testing"
)

func TestParseRange(t *testing.T) {
	const whole = "0+100"
	for _, c := range []struct{ header, want string }{
		{"", whole},
		{"bytes=0-", "0+100 partial"},
		{"bytes=40-", "40+60 partial"},
		{"Bytes=40-", "40+60 partial"},
		{"bytes=0-0", "0+1 partial"},
		{"bytes=10-19", "10+10 partial"},
		{"bytes=10-99", "10+90 partial"},
		{"bytes=10-100", "10+90 partial"},
		{"bytes=10-99999999999999999999999", "10+90 partial"},
		{"bytes=99-", "99+1 partial"},
		{"bytes=-1", "99+1 partial"},
		{"bytes=-100", "0+100 partial"},
		{"bytes=-101", "0+100 partial"},
		{"bytes=-99999999999999999999999", "0+100 partial"},
		{"bytes=007-", "7+93 partial"},

		{"bytes=100-", "beyond"},
		{"bytes=100-200", "beyond"},
		{"bytes=9223372036854775807-", "beyond"},
		{"bytes=9223372036854775808-", "beyond"},
		{"bytes=99999999999999999999999-", "beyond"},
		{"bytes=-0", "beyond"},

		{"bytes", whole},
		{"bytes=", whole},
		{"bytes=-", whole},
		{"bytes=5", whole},
		{"bytes=20-10", whole},
		{"bytes=200-100", whole},
		{"bytes=0-9,20-29", whole},
		{"bytes=0-9,", whole},
		{"bytes= 0-9", whole},
		{"bytes=0 -9", whole},
		{"bytes=0-9 ", whole},
		{"bytes =0-9", whole},
		{"bytes=+1-9", whole},
		{"bytes=0--9", whole},
		{"bytes=--9", whole},
		{"bytes=0x1-9", whole},
		{"bytes=१-", whole},
		{"items=0-9", whole},
		{"=0-9", whole},
	} {
		got := "beyond"
		if b, err := parseRange(c.header, 100); err == nil {
			got = fmt.Sprintf("%d+%d", b.off, b.n)
			if b.partial {
				got += " partial"
			}
			if b.size != 100 {
				t.Errorf("%q: size %d", c.header, b.size)
			}
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.header, got, c.want)
		}
	}
}

// FuzzParseRange compares with the grammar of RFC 9110 in numbers that cannot
// overflow.
func FuzzParseRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-", "bytes=10-19", "bytes=-5", "bytes=9-1", "bytes=0-1,3-4", "bytes=99999999999999999999-", "items=1-2", ""} {
		f.Add(seed, int64(100))
		f.Add(seed, int64(1))
		f.Add(seed, int64(1)<<62)
	}
	grammar := regexp.MustCompile(`\A(?i:bytes)=([0-9]*)-([0-9]*)\z`)
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size <= 0 {
			return
		}
		got, err := parseRange(header, size)
		m := grammar.FindStringSubmatch(header)
		if m == nil || m[1] == "" && m[2] == "" {
			if err != nil || got != (byteRange{n: size, size: size}) {
				t.Fatalf("%q: %+v, %v; want the whole", header, got, err)
			}
			return
		}
		number := func(s string) *big.Int {
			n, _ := new(big.Int).SetString(s, 10)
			return n
		}
		total := big.NewInt(size)
		last := new(big.Int).Sub(total, big.NewInt(1))
		from, to := new(big.Int), last
		switch {
		case m[1] == "":
			if from.Sub(total, number(m[2])); from.Sign() < 0 {
				from.SetInt64(0)
			}
		default:
			from = number(m[1])
			if m[2] != "" {
				end := number(m[2])
				if end.Cmp(from) < 0 {
					if got.partial || err != nil {
						t.Fatalf("%q: %+v, %v; want the whole", header, got, err)
					}
					return
				}
				if end.Cmp(last) < 0 {
					to = end
				}
			}
		}
		if from.Cmp(total) >= 0 {
			if err == nil {
				t.Fatalf("%q of %d: %+v, want an error", header, size, got)
			}
			return
		}
		want := byteRange{off: from.Int64(), n: to.Int64() - from.Int64() + 1, size: size, partial: true}
		if err != nil || got != want {
			t.Fatalf("%q of %d: %+v, %v; want %+v", header, size, got, err, want)
		}
	})
}
