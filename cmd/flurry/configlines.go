package main

import (
	"strconv"
	"strings"
)

// lineOf is the line of a TOML text on which a key first stands, or the table that holds it; 0 if neither is found. The
// TOML reader has been through the text before, but does not tell where keys are.
func lineOf(raw []byte, key ...string) int {
	lines := keyLines(string(raw))
	for n := len(key); n > 0; n-- {
		if line, ok := lines[joinKey(key[:n])]; ok {
			return line
		}
	}
	return 0
}

// joinKey makes one string of the parts of a key, whatever they contain.
func joinKey(parts []string) string { return strings.Join(parts, "\x00") }

// keyLines maps each key and table of a TOML text to its line. Inline tables are not looked into.
func keyLines(text string) map[string]int {
	s := tomlScanner{text: text, line: 1}
	lines := make(map[string]int)
	note := func(key []string, line int) {
		for n := 1; n <= len(key); n++ {
			if _, ok := lines[joinKey(key[:n])]; !ok {
				lines[joinKey(key[:n])] = line
			}
		}
	}
	var table []string
	for s.skipBlank(); !s.end(); s.skipBlank() {
		line := s.line
		if s.peek() == '[' {
			for !s.end() && s.peek() == '[' {
				s.next()
			}
			table = s.key()
			note(table, line)
			s.skipLine()
			continue
		}
		note(append(table[:len(table):len(table)], s.key()...), line)
		s.skipValue()
	}
	return lines
}

// tomlScanner walks through a text, and always ends.
type tomlScanner struct {
	text string
	pos  int
	line int
}

func (s *tomlScanner) end() bool { return s.pos >= len(s.text) }

// peek is the next byte, 0 at the end.
func (s *tomlScanner) peek() byte {
	if s.end() {
		return 0
	}
	return s.text[s.pos]
}

// next takes a byte; at the end it takes nothing.
func (s *tomlScanner) next() byte {
	if s.end() {
		return 0
	}
	c := s.text[s.pos]
	s.pos++
	if c == '\n' {
		s.line++
	}
	return c
}

func (s *tomlScanner) skipSpaces() {
	for !s.end() && (s.peek() == ' ' || s.peek() == '\t') {
		s.next()
	}
}

func (s *tomlScanner) skipLine() {
	for !s.end() && s.next() != '\n' {
	}
}

// skipBlank goes to the next thing that is no space and no comment.
func (s *tomlScanner) skipBlank() {
	for !s.end() {
		switch s.peek() {
		case ' ', '\t', '\r', '\n':
			s.next()
		case '#':
			s.skipLine()
		default:
			return
		}
	}
}

// key reads the parts of a dotted key.
func (s *tomlScanner) key() []string {
	var parts []string
	for {
		s.skipSpaces()
		start := s.pos
		switch s.peek() {
		case '"':
			s.skipString()
			part, err := strconv.Unquote(s.text[start:s.pos])
			if err != nil {
				part = strings.Trim(s.text[start:s.pos], `"`)
			}
			parts = append(parts, part)
		case '\'':
			s.skipString()
			parts = append(parts, strings.Trim(s.text[start:s.pos], "'"))
		default:
			for !s.end() && !strings.ContainsRune(" \t\r\n.=]#", rune(s.peek())) {
				s.next()
			}
			parts = append(parts, s.text[start:s.pos])
		}
		s.skipSpaces()
		if s.peek() != '.' {
			return parts
		}
		s.next()
	}
}

// skipString goes to the end of a string of any of the four kinds.
func (s *tomlScanner) skipString() {
	quote := s.peek()
	mark := s.text[s.pos : s.pos+1]
	if long := strings.Repeat(mark, 3); strings.HasPrefix(s.text[s.pos:], long) {
		mark = long
	}
	s.pos += len(mark)
	for !s.end() {
		if strings.HasPrefix(s.text[s.pos:], mark) {
			s.pos += len(mark)
			for len(mark) == 3 && s.peek() == quote { // up to two quotes may stand before the end
				s.pos++
			}
			return
		}
		if s.next() == '\\' && quote == '"' {
			s.next()
		}
	}
}

// skipValue goes to the end of the line on which the value that comes ends.
func (s *tomlScanner) skipValue() {
	depth := 0
	for !s.end() {
		switch s.peek() {
		case '"', '\'':
			s.skipString()
			continue
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '#':
			s.skipLine()
			if depth <= 0 {
				return
			}
			continue
		}
		if s.next() == '\n' && depth <= 0 {
			return
		}
	}
}
