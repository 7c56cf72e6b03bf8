package main

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/report"
)

// TestDemo: all that it claims is true here, it leaves nothing behind, and README shows the claims and the next steps that it prints.
func TestDemo(t *testing.T) {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		t.Setenv("TMPDIR", "/dev/shm")
	}
	t.Setenv("PATH", "/nowhere") // the client is the one that is always there
	var out, errs strings.Builder
	code := run(t.Context(), []string{"demo", "--quick"}, environment{in: strings.NewReader(""), out: &out, err: &errs, uid: os.Getuid(), getenv: func(name string) string {
		return map[string]string{"NIX_REMOTE": "unix:///nowhere"}[name]
	}})
	if code != report.ExitOK {
		t.Fatalf("%d\n%s%s", code, &out, &errs)
	}
	dir := regexp.MustCompile(`(?m)^all \d+ are true on this machine.*: (.*)$`).FindStringSubmatch(out.String())
	if len(dir) != 2 {
		t.Fatal(&out)
	}
	if _, err := os.Lstat(dir[1]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", dir[1], err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(readme), "$ go run ./cmd/flurry demo\n")
	shown, _, _ = strings.Cut(shown, "\n\n$ ")
	if got, want := demoWords(shown), demoWords(out.String()); !slices.Equal(got, want) {
		t.Errorf("README shows\n%s\nand it says\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// demoWords are the claims of a demo and what it names as next, which are the same in each run.
func demoWords(said string) (words []string) {
	claims, next, _ := strings.Cut(said, "\nnext: ")
	words = regexp.MustCompile(`(?m)^[ \d]\d  .{24}`).FindAllString(claims, -1)
	return append(words, strings.TrimSpace(next))
}
