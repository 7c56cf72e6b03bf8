package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// deadlockProgram is a flurry whose clock does not answer while the file exists that deadlockFile names: whatever asks it what time it is,
// as each narinfo does, waits, and all else goes on.
const (
	deadlockProgram = "flurry-deadlock"
	deadlockFile    = "FLURRY_TEST_DEADLOCK"
)

func deadlocking() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	file := os.Getenv(deadlockFile)
	os.Exit(run(ctx, os.Args[1:], environment{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv, uid: os.Getuid(), clock: func() time.Time {
		for {
			if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				return time.Now()
			}
			time.Sleep(10 * time.Millisecond)
		}
	}}))
}

// TestDeadlock: a node that answers nothing any more, although its process lives and pulses, is noticed soon: the standby answers what was
// asked of it, and what is asked then; and when it goes on it is given its clients back.
func TestDeadlock(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "deadlock")
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "daemon", "--config", os.DevNull, "--state", filepath.Join(dir, "state"), "--gateway", "127.0.0.1:0", "--lan=false", "--wan=false", "--loopback", "--json")
	cmd.Args[0] = deadlockProgram
	cmd.Env = append(os.Environ(), deadlockFile+"="+file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = waitTime
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = os.Remove(file) // else it does not hear that it is to end
		_ = cmd.Cancel()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	var d report.Daemon
	if err := json.NewDecoder(out).Decode(&d); err != nil {
		t.Fatal(err)
	}
	// What a deadlock takes to be noticed by design is 2.4 s, and without what this is about 26 s.
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (int, error) {
		resp, err := client.Get(d.Gateway[0] + path)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	health := func(want int) {
		t.Helper()
		for end := time.Now().Add(waitTime); ; time.Sleep(10 * time.Millisecond) {
			status, err := get("/health")
			if err == nil && status == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("/health says %d, %v, want %d", status, err, want)
			}
		}
	}
	narinfo := "/" + strings.Repeat("0", len(nix.PathHash{}.String())) + ".narinfo"
	health(http.StatusOK)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if status, err := get(narinfo); err != nil || status != http.StatusNotFound {
		t.Fatalf("a narinfo that a node was asked for which does nothing: %d, %v", status, err)
	}
	t.Logf("noticed after %v", time.Since(began))
	health(http.StatusServiceUnavailable)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	health(http.StatusOK)
	if status, err := get(narinfo); err != nil || status != http.StatusNotFound {
		t.Errorf("when it goes on: %d, %v", status, err)
	}
}
