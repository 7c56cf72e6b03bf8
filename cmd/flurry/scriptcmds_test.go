package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/flurry-nix/flurry/control"
)

// cmdExits runs a command that has to end with an exit code: exits 2 flurry use x
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("exit code %d, not %d", code, want)
	}
}

// waitTime is how long a daemon may take to start on a busy machine.
const waitTime = 60 * time.Second

// cmdWaitFor waits until a daemon's node answers at a control socket: waitfor $SOCKET
func cmdWaitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfor SOCKET")
	}
	deadline := time.Now().Add(waitTime)
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		_, err := control.Dial(ts.MkAbs(args[0])).Status(ctx, control.StatusRequest{})
		cancel()
		if err == nil {
			tick.Stop()
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("nobody answers at %s: %v", args[0], err)
		}
	}
}

// cmdCapture puts what a group of a pattern matches in stdout into a variable: capture ADDRESS 'address +(\S+)'
func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture VARIABLE PATTERN")
	}
	m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) < 2 {
		ts.Fatalf("stdout has no match of %q", args[1])
	}
	ts.Setenv(args[0], m[1])
}

// cmdJSON checks that stdout is JSON objects, one a line, each with a schema or an error first, and stderr nothing:
// json LINES, or json + for any number above none.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: json LINES")
	}
	if said := ts.ReadFile("stderr"); said != "" {
		ts.Fatalf("stderr is not empty: %s", said)
	}
	text := ts.ReadFile("stdout")
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if !strings.HasSuffix(text, "\n") || args[0] != "+" && args[0] != strconv.Itoa(len(lines)) {
		ts.Fatalf("%d lines, not %s: %q", len(lines), args[0], text)
	}
	for _, line := range lines {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			ts.Fatalf("%q: %v", line, err)
		}
		if !strings.HasPrefix(line, `{"schema":"flurry/`) && !strings.HasPrefix(line, `{"error":{"id":`) {
			ts.Fatalf("neither schema nor error comes first: %s", line)
		}
	}
}

// cmdMode checks permissions: mode 0600 FILE…
func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mode OCTAL FILE…")
	}
	want, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	for _, pattern := range args[1:] {
		files, err := filepath.Glob(ts.MkAbs(pattern))
		ts.Check(err)
		if len(files) == 0 {
			ts.Fatalf("there is no %s", pattern)
		}
		for _, file := range files {
			info, err := os.Lstat(file)
			ts.Check(err)
			if got := info.Mode().Perm(); got != fs.FileMode(want) {
				ts.Fatalf("%s has mode %04o, not %04o", file, got, want)
			}
		}
	}
}

// cmdHidden checks that no part of a secret key was printed, or stands in one of the files: hidden SECRET [FILE…]
func cmdHidden(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: hidden SECRET [FILE…]")
	}
	_, data, _ := strings.Cut(args[0], ":")
	seed := data[:min(len(data), 43)] // the base64 of the 32 bytes that are the secret
	for _, name := range append([]string{"stdout", "stderr"}, args[1:]...) {
		text := ts.ReadFile(name)
		for at := 0; at+8 <= len(seed); at++ {
			if strings.Contains(text, seed[at:at+8]) {
				ts.Fatalf("%s repeats a part of the secret: %s", name, text)
			}
		}
	}
}

// cmdListen takes a port of loopback, TCP, until the script ends: listen PORT
func cmdListen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: listen VARIABLE")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}

// cmdReachable lets other users reach the script's directory and a copy of flurry in it: reachable
func cmdReachable(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: reachable")
	}
	work := ts.Getenv("WORK")
	for _, dir := range []string{filepath.Dir(work), work} {
		ts.Check(os.Chmod(dir, 0o711))
	}
	program, err := exec.LookPath("flurry")
	ts.Check(err)
	copied := filepath.Join(work, "flurry")
	if os.Link(program, copied) != nil {
		text, err := os.ReadFile(program)
		ts.Check(err)
		ts.Check(os.WriteFile(copied, text, 0o755))
	}
	ts.Check(os.Chmod(copied, 0o755))
}

// cmdNixBuild has Nix build attributes of a file, and puts their paths into variables: nixbuild FILE NAME=ATTRIBUTE…
// The file is a function of an argument that is never the same, so that the paths are this script's alone.
func cmdNixBuild(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: nixbuild FILE NAME=ATTRIBUTE…")
	}
	salt := fmt.Sprintf("%s-%d", filepath.Base(ts.Getenv("WORK")), time.Now().UnixNano())
	var built []string
	for _, word := range args[1:] {
		name, attribute, _ := strings.Cut(word, "=")
		ts.Check(ts.Exec("nix-build", "--no-out-link", "--option", "sandbox", "false", "--option", "substitute", "false", "--argstr", "salt", salt, "-A", attribute, ts.MkAbs(args[0])))
		path := strings.TrimSpace(ts.ReadFile("stdout"))
		ts.Setenv(name, path)
		built = append(built, path)
	}
	slices.Reverse(built)
	ts.Defer(func() {
		for _, path := range built { // what is still needed by another stays, and is deleted after that
			_ = exec.Command("nix-store", "--delete", path).Run()
		}
	})
}

// cmdDamage flips a bit in the middle of the largest file that a pattern matches: damage st/packs/*
func cmdDamage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage PATTERN")
	}
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	largest, size := "", int64(0)
	for _, file := range files {
		info, err := os.Stat(file)
		ts.Check(err)
		if info.Mode().IsRegular() && info.Size() > size {
			largest, size = file, info.Size()
		}
	}
	if largest == "" {
		ts.Fatalf("nothing to damage matches %s", args[0])
	}
	f, err := os.OpenFile(largest, os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	one := make([]byte, 1)
	_, err = f.ReadAt(one, size/2)
	ts.Check(err)
	one[0] ^= 1
	_, err = f.WriteAt(one, size/2)
	ts.Check(err)
}

// cmdScreen checks that stdout fits on a screen: screen LINES COLUMNS
func cmdScreen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: screen LINES COLUMNS")
	}
	lines, err := strconv.Atoi(args[0])
	ts.Check(err)
	columns, err := strconv.Atoi(args[1])
	ts.Check(err)
	text := strings.Split(strings.TrimSuffix(ts.ReadFile("stdout"), "\n"), "\n")
	if len(text) > lines {
		ts.Fatalf("%d lines", len(text))
	}
	for _, l := range text {
		if n := len([]rune(l)); n > columns {
			ts.Fatalf("%d columns: %s", n, l)
		}
	}
}

// cmdExpand replaces the variables in files: expand FILE…
func cmdExpand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand FILE…")
	}
	for _, file := range args {
		text := os.Expand(ts.ReadFile(file), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o644))
	}
}

// cmdMute opens a unix socket at which nobody answers: mute SOCKET
func cmdMute(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: mute SOCKET")
	}
	l, err := net.Listen("unix", ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { l.Close() })
}

// ownBuild builds a derivation of that name in a Nix store below root, which is nobody else's: what is built there no other
// script sees, and what is collected there none misses. The path is as it stands in /nix/store.
func ownBuild(root, name, needs string, environ []string, options ...string) (string, error) {
	script := "echo $needs $name > $out"
	expression := fmt.Sprintf(`{ needs }: derivation { name = %q; needs = if needs == "" then "" else builtins.storePath needs; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" %q ]; }`, name, script)
	args := []string{"--no-out-link", "--option", "sandbox", "true", "--option", "sandbox-paths", "/bin /usr /lib /lib64", "--option", "build-users-group", "",
		"--option", "substituters", "", "--argstr", "needs", needs, "-E", expression}
	cmd := exec.Command("nix-build", append(args, options...)...)
	cmd.Env = append(append(os.Environ(), environ...), "NIX_REMOTE=local?root="+root)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("nix-build in a store of its own: %w: %s", err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// cmdOwnBuild builds in the script's own Nix store, $WORK/own, and puts the path into a variable:
// ownbuild VARIABLE NAME [NEEDS] [-- NIX-BUILD-OPTIONS…]
func cmdOwnBuild(ts *testscript.TestScript, neg bool, args []string) {
	var options []string
	if at := slices.Index(args, "--"); at >= 0 {
		args, options = args[:at], args[at+1:]
	}
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: ownbuild VARIABLE NAME [NEEDS] [-- OPTIONS…]")
	}
	needs := ""
	if len(args) == 3 {
		needs = args[2]
	}
	path, err := ownBuild(filepath.Join(ts.Getenv("WORK"), "own"), args[1], needs, []string{"XDG_CACHE_HOME=" + ts.Getenv("XDG_CACHE_HOME"), "HOME=" + ts.Getenv("HOME")}, options...)
	ts.Check(err)
	ts.Setenv(args[0], path)
}

// cmdUntil runs a command again and again until its output matches: until PATTERN PROGRAM ARGS…
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN PROGRAM ARGS…")
	}
	want := regexp.MustCompile("(?m)" + args[0])
	deadline := time.Now().Add(waitTime)
	for tick := time.NewTicker(300 * time.Millisecond); ; <-tick.C {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if want.MatchString(ts.ReadFile("stdout")) {
			tick.Stop()
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("in vain was waited for %q", args[0])
		}
	}
}
