package namespace

import (
	"fmt"
	"slices"
	"strings"
)

// mustKnow begins an unknown line that may not be ignored.
const mustKnow = "!"

// lines reads a block of text line by line. The first error stays in err, and
// nothing is read after it.
type lines struct {
	rest string
	at   int // number of the line that comes next, counted from 1
	err  error
}

// newLines reads a block whose first line has the number at.
func newLines(text string, at int) *lines {
	l := &lines{rest: text, at: at}
	if text != "" && !strings.HasSuffix(text, "\n") {
		l.fail(at+strings.Count(text, "\n"), fmt.Errorf("no newline at the end"))
	}
	return l
}

// peek returns the next line; more is false at the end and after an error.
func (l *lines) peek() (line string, more bool) {
	if l.err != nil {
		return "", false
	}
	line, _, more = strings.Cut(l.rest, "\n")
	return line, more
}

// take consumes the next line if it begins with prefix, and returns what
// follows the prefix.
func (l *lines) take(prefix string) (value string, ok bool) {
	line, more := l.peek()
	if !more || !strings.HasPrefix(line, prefix) {
		return "", false
	}
	l.rest = l.rest[len(line)+1:]
	l.at++
	return line[len(prefix):], true
}

// fail keeps the first error, which is about the given line.
func (l *lines) fail(at int, err error) {
	if l.err == nil && err != nil {
		l.err = fmt.Errorf("line %d: %w", at, err)
	}
}

// title reads the line that says what the text is.
func (l *lines) title(want string) {
	if line, _ := l.peek(); line != want {
		l.fail(l.at, fmt.Errorf("want %q, have %s", want, quote(line)))
	}
	l.take(want)
}

// one reads exactly one line that begins with prefix.
func one[T any](l *lines, prefix string, parse func(value string) (T, error)) (v T) {
	value, ok := l.take(prefix)
	if !ok {
		line, _ := l.peek()
		l.fail(l.at, fmt.Errorf("want %q, have %s", prefix, quote(line)))
		return v
	}
	v, err := parse(value)
	l.fail(l.at-1, err)
	return v
}

// optional reads at most one line that begins with prefix.
func optional[T any](l *lines, prefix string, parse func(value string) (T, error)) (v T) {
	if line, _ := l.peek(); strings.HasPrefix(line, prefix) {
		return one(l, prefix, parse)
	}
	return v
}

// many reads all lines that begin with prefix, at most limit.
func many[T any](l *lines, prefix string, limit int, parse func(value string) (T, error)) (vs []T) {
	for {
		value, ok := l.take(prefix)
		if !ok {
			return vs
		}
		if len(vs) == limit {
			l.fail(l.at-1, fmt.Errorf("more than %d lines of %q", limit, prefix))
			return vs
		}
		v, err := parse(value)
		l.fail(l.at-1, err)
		vs = append(vs, v)
	}
}

// sorted is many for lines that rise strictly.
func sorted[T any](l *lines, prefix string, limit int, parse func(value string) (T, error)) []T {
	before, first := "", true
	return many(l, prefix, limit, func(value string) (v T, err error) {
		if !first && value <= before {
			return v, fmt.Errorf("%s is not sorted after %s", quote(value), quote(before))
		}
		before, first = value, false
		return parse(value)
	})
}

// unknown reads what is left of the block, at most limit lines, none of which
// may have one of the known keywords. A keyword ends at the first separator.
func (l *lines) unknown(known []string, separator string, limit int) []string {
	return many(l, "", limit, func(line string) (string, error) {
		return strings.Clone(line), checkUnknown(line, known, separator)
	})
}

func checkUnknown(line string, known []string, separator string) error {
	if line == "" {
		return fmt.Errorf("empty line")
	}
	if keyword, _, _ := strings.Cut(line, separator); slices.Contains(known, keyword) {
		return fmt.Errorf("%s is out of place or incomplete", quote(line))
	}
	if err := checkChars(line, false); err != nil {
		return fmt.Errorf("%s: %w", quote(line), err)
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

// appendLines appends each line as it is.
func appendLines(b []byte, lines []string) []byte {
	for _, line := range lines {
		b = appendLine(b, line, "")
	}
	return b
}
