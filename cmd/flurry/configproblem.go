package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/flurry-nix/flurry/report"
)

// badConfig is an error in a configuration file. Line 0 is unknown.
func badConfig(name string, line int, what string) *report.Problem {
	at := name
	if line > 0 {
		at = fmt.Sprintf("%s:%d", name, line)
	}
	return &report.Problem{ID: "bad-config", Exit: report.ExitUsage, Message: at + ": " + what}
}

// wrongType is how the TOML reader complains of a value of another type than its key has.
var wrongType = regexp.MustCompile(`^toml: (?:line ([0-9]+) )?\(last key "(.*)"\): incompatible types: TOML value has type (\S+); destination has type (\S+)$`)

// noTable is how it complains of a value where a table belongs.
var noTable = regexp.MustCompile(`^toml: (?:line ([0-9]+) )?\(last key "(.*)"\): type mismatch for \S+: expected table but found (\S+)$`)

// tomlProblem tells what the TOML reader found, with its line.
func tomlProblem(name string, err error) error {
	var parse toml.ParseError
	if errors.As(err, &parse) {
		what := strings.TrimPrefix(parse.Message, "toml: ")
		if parse.LastKey != "" {
			what = quotedKey(strings.Split(parse.LastKey, ".")) + ": " + what
		}
		return badConfig(name, parse.Position.Line, what)
	}
	m := wrongType.FindStringSubmatch(err.Error())
	if n := noTable.FindStringSubmatch(err.Error()); n != nil {
		m = append(n, "table")
	}
	if m != nil {
		line, _ := strconv.Atoi(m[1]) // no number is line 0: unknown
		return badConfig(name, line, fmt.Sprintf("%s is %s and should be %s", quotedKey(strings.Split(m[2], ".")), typeWords(m[3]), typeWords(m[4])))
	}
	return badConfig(name, 0, strings.TrimPrefix(err.Error(), "toml: "))
}

// typeWords is a type for people.
func typeWords(t string) string {
	switch {
	case t == "string":
		return "a string"
	case t == "integer" || strings.HasPrefix(t, "int") && t != "interface":
		return "a whole number"
	case strings.HasPrefix(t, "float"):
		return "a number"
	case strings.HasPrefix(t, "bool"):
		return "true or false"
	case t == "slice" || t == "array":
		return "a list"
	case t == "map" || t == "table" || strings.HasPrefix(t, "struct"):
		return "a table"
	}
	return "a " + t
}

// quotedKey is a key as an error names it: "quota" in [store].
func quotedKey(key []string) string {
	last := fmt.Sprintf("%q", key[len(key)-1])
	if len(key) == 1 {
		return last
	}
	return last + " in [" + strings.Join(key[:len(key)-1], ".") + "]"
}

// unknownKey says where an unknown key or table stands, and which known one was perhaps meant.
func unknownKey(name string, raw []byte, key toml.Key, table bool) error {
	line := lineOf(raw, key...)
	if slices.ContainsFunc(laterKeys(), func(k string) bool { return isKey(k, key) }) {
		what := quotedKey(key)
		if table {
			what = "[" + strings.Join(key, ".") + "]"
		}
		return badConfig(name, line, what+" is not in this version (flurry "+version+")")
	}
	last := key[len(key)-1]
	what := "unknown key " + quotedKey(key)
	if table {
		what = "unknown table [" + strings.Join(key, ".") + "]"
	}
	if near := nearest(last, keysUnder(key[:len(key)-1])); near != "" {
		what += fmt.Sprintf("; did you mean %q?", near)
	}
	return badConfig(name, line, what)
}

// isKey compares a key with one of which a part may be "*".
func isKey(pattern string, key toml.Key) bool {
	parts := strings.Split(pattern, ".")
	return slices.EqualFunc(parts, key, func(p, k string) bool { return p == "*" || p == k })
}

// nearest is the known word at most two edits away from word, "" if none is. Short words have to be nearer.
func nearest(word string, known []string) string {
	best, at := "", min(3, 1+len(word)/2)
	for _, k := range known {
		if d := edits(word, k); d < at {
			best, at = k, d
		}
	}
	return best
}

// edits is how many characters have to be added, taken away, changed, or changed with their neighbour to make b of a
// (the optimal string alignment distance).
func edits(a, b string) int {
	var before []int // the row before the last
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
