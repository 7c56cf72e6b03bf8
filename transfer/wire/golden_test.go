package wire

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata anew")

// TestGolden pins the bytes of every message: a change here is another protocol, which needs another name.
func TestGolden(t *testing.T) {
	const file = "testdata/messages.txt"
	var lines []string
	for _, s := range specimens(t) {
		lines = append(lines, fmt.Sprintf("%s: %s\n", s.name, hex.EncodeToString(s.encode())))
	}
	slices.Sort(lines)
	got := []byte(strings.Join(lines, ""))
	if *update {
		if os.Getenv("CI") != "" {
			t.Fatal("-update is not for CI")
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) == 0 || len(want) == 0 {
		t.Fatal("there are no messages")
	}
	if bytes.Equal(got, want) {
		return
	}
	had := strings.SplitAfter(string(want), "\n")
	for _, line := range lines {
		if !slices.Contains(had, line) {
			t.Errorf("not in %s:\n%s", file, line)
		}
	}
	for _, line := range had {
		if line != "" && !slices.Contains(lines, line) {
			t.Errorf("only in %s:\n%s", file, line)
		}
	}
}
