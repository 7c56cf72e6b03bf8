package namespace

import (
	"errors"
	"fmt"
	"strings"
)

// ErrVoid is wrapped by the error for a publication with an unknown line that
// begins with "!": whoever wrote it says that a reader who does not know the
// line must not use the publication.
var ErrVoid = errors.New("publication is void for this version")

const mustKnow = "!"

// lines reads a block of text line by line. Every line ends with a newline.
type lines struct {
	rest string
	at   int // number of the line that comes next, counted from 1
}

// peek returns the next line; more is false at the end.
func (l *lines) peek() (line string, more bool) {
	line, _, more = strings.Cut(l.rest, "\n")
	return line, more
}

func (l *lines) next() {
	_, l.rest, _ = strings.Cut(l.rest, "\n")
	l.at++
}

// take consumes the next line if it begins with prefix, and returns what
// follows the prefix.
func (l *lines) take(prefix string) (value string, ok bool) {
	line, more := l.peek()
	if !more || !strings.HasPrefix(line, prefix) {
		return "", false
	}
	l.next()
	return line[len(prefix):], true
}

// one reads exactly one line that begins with prefix.
func (l *lines) one(prefix string, parse func(value string) error) error {
	value, ok := l.take(prefix)
	if !ok {
		line, _ := l.peek()
		return fmt.Errorf("line %d: want %q, have %s", l.at, prefix, quote(line))
	}
	return l.wrap(parse(value))
}

// optional reads at most one line that begins with prefix.
func (l *lines) optional(prefix string, parse func(value string) error) error {
	value, ok := l.take(prefix)
	if !ok {
		return nil
	}
	return l.wrap(parse(value))
}

// many reads all lines that begin with prefix.
func (l *lines) many(prefix string, parse func(value string) error) error {
	for {
		value, ok := l.take(prefix)
		if !ok {
			return nil
		}
		if err := parse(value); err != nil {
			return l.wrap(err)
		}
	}
}

// sorted is many for lines that have to rise strictly.
func (l *lines) sorted(prefix string, parse func(value string) error) error {
	before, first := "", true
	return l.many(prefix, func(value string) error {
		if !first && value <= before {
			return fmt.Errorf("%s is not sorted after %s", quote(value), quote(before))
		}
		before, first = value, false
		return parse(value)
	})
}

// unknown reads the lines to the end of the block, none of which may have one
// of the known keywords. A keyword ends at the first separator.
func (l *lines) unknown(known []string, separator string, limit int) ([]string, error) {
	var kept []string
	for {
		line, more := l.peek()
		if !more {
			break
		}
		if err := checkUnknown(line, known, separator); err != nil {
			return nil, fmt.Errorf("line %d: %w", l.at, err)
		}
		if len(kept) == limit {
			return nil, fmt.Errorf("line %d: more than %d unknown lines", l.at, limit)
		}
		kept = append(kept, strings.Clone(line))
		l.next()
	}
	if l.rest != "" {
		return nil, fmt.Errorf("line %d: no newline at the end", l.at)
	}
	return kept, nil
}

// wrap adds the number of the line last taken.
func (l *lines) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("line %d: %w", l.at-1, err)
}

func checkUnknown(line string, known []string, separator string) error {
	if line == "" {
		return fmt.Errorf("empty line")
	}
	keyword, _, _ := strings.Cut(line, separator)
	for _, k := range known {
		if keyword == k {
			return fmt.Errorf("%s is out of place or incomplete", quote(line))
		}
	}
	if err := checkChars(line, false); err != nil {
		return fmt.Errorf("%s: %w", quote(line), err)
	}
	return nil
}

// checkUnknowns checks lines that somebody wants to write.
func checkUnknowns(unknown, known []string, separator string, limit int) error {
	if len(unknown) > limit {
		return fmt.Errorf("%d unknown lines, at most %d are allowed", len(unknown), limit)
	}
	for _, line := range unknown {
		if err := checkUnknown(line, known, separator); err != nil {
			return err
		}
	}
	return nil
}

// firstMustKnow returns the first of the lines that begins with "!".
func firstMustKnow(unknown []string) (line string, found bool) {
	for _, line := range unknown {
		if strings.HasPrefix(line, mustKnow) {
			return line, true
		}
	}
	return "", false
}

// appendLine appends prefix, value and a newline.
func appendLine(b []byte, prefix, value string) []byte {
	b = append(b, prefix...)
	b = append(b, value...)
	return append(b, '\n')
}
