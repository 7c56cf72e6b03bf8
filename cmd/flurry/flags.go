package main

import (
	"fmt"
	"time"
)

// durationFlag is a DURATION on the command line.
type durationFlag time.Duration

func (d *durationFlag) Set(s string) error {
	v, err := parseDuration(s)
	if err == nil {
		*d = durationFlag(v)
	}
	return err
}

func (d *durationFlag) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

func (d *durationFlag) Type() string { return "DURATION" }

// sizeFlag is a SIZE on the command line, in bytes.
type sizeFlag uint64

func (n *sizeFlag) Set(s string) error {
	v, err := parseSize(s)
	if err == nil {
		*n = sizeFlag(v)
	}
	return err
}

func (n *sizeFlag) String() string {
	if *n == 0 {
		return ""
	}
	return fmt.Sprint(uint64(*n))
}

func (n *sizeFlag) Type() string { return "SIZE" }

// wordFlag is one of a few words.
type wordFlag struct {
	value *string
	words []string
}

func (f wordFlag) Set(s string) error {
	for _, w := range f.words {
		if s == w {
			*f.value = s
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", s, listed(f.words, "or"))
}

func (f wordFlag) String() string {
	if f.value == nil {
		return ""
	}
	return *f.value
}

func (f wordFlag) Type() string { return "WORD" }

// listed is a list for people: "a, b or c".
func listed(words []string, last string) string {
	switch n := len(words); n {
	case 0:
		return ""
	case 1:
		return words[0]
	default:
		out := words[0]
		for _, w := range words[1 : n-1] {
			out += ", " + w
		}
		return out + " " + last + " " + words[n-1]
	}
}
