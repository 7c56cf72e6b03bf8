package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// memory measures what a daemon has resident: idle, and at most while it publishes, serves and fetches one large NAR.
func (b *bench) memory(ctx context.Context) error {
	idle, err := b.daemon(ctx, "memory-idle", "--peer", "127.0.0.1:1")
	if err != nil {
		return err
	}
	time.Sleep(3 * time.Second) // until what starting needed is given back
	rss, err := idle.resident("VmRSS")
	if err != nil {
		return err
	}
	b.alone("resident, idle, on the wire", rss, "MB", "")
	if err := idle.drop(); err != nil {
		return err
	}
	path, err := b.large(ctx)
	if err != nil {
		return err
	}
	size := fmt.Sprintf("a NAR of %.1f GB", float64(b.big)/1e9)
	alice, address, err := b.publisher(ctx, "memory-alice", []string{path})
	if err != nil {
		return err
	}
	if err := b.peak(alice, "most resident while publishing", size); err != nil {
		return err
	}
	bob, err := b.consumer(ctx, "memory-bob", alice, address, 1)
	if err != nil {
		return err
	}
	took, err := timed(func() error { return readNar(ctx, bob.gateway, path) })
	if err != nil {
		return err
	}
	if err := b.peak(bob, "most resident while fetching and giving it", size); err != nil {
		return err
	}
	if err := b.peak(alice, "most resident while sending it to the peer", size); err != nil {
		return err
	}
	b.alone("fetching and giving it", float64(b.big)/1e6/took, "MB/s", "")
	if took, err = timed(func() error { return readNar(ctx, bob.gateway, path) }); err != nil {
		return err
	}
	if err := b.peak(bob, "most resident while serving it again", size); err != nil {
		return err
	}
	b.alone("giving it again", float64(b.big)/1e6/took, "MB/s", "")
	return errors.Join(bob.drop(), alice.drop(), exec.CommandContext(ctx, "nix-store", "--delete", path).Run())
}

func (b *bench) peak(d *daemon, what, of string) error {
	most, err := d.resident("VmHWM")
	if err != nil {
		return err
	}
	b.alone(what, most, "MB", of)
	return nil
}

// resident reads a field of the process's status, in MB.
func (d *daemon) resident(field string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(field + `:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("no %s in the process's status", field)
	}
	kb, err := strconv.ParseFloat(string(m[1]), 64)
	return kb * 1024 / 1e6, err
}

// large adds a path of b.big bytes, half of which compress, to the Nix store.
func (b *bench) large(ctx context.Context) (string, error) {
	name := filepath.Join(b.dir, "large")
	f, err := os.Create(name)
	if err != nil {
		return "", err
	}
	noise, err := os.Open("/dev/urandom")
	if err != nil {
		return "", err
	}
	defer noise.Close()
	block := make([]byte, 1<<20)
	for done := int64(0); done < b.big; done += int64(len(block)) {
		if _, err := io.ReadFull(noise, block[:len(block)/2]); err != nil {
			return "", err
		}
		copy(block[len(block)/2:], bytes.Repeat([]byte(strconv.FormatInt(done, 10)+" "), len(block)/2)[:len(block)/2])
		if _, err := f.Write(block); err != nil {
			return "", err
		}
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "nix-store", "--add", name).Output()
	return strings.TrimSpace(string(out)), errors.Join(err, os.Remove(name))
}

// readNar reads the NAR of path from a gateway to its end.
func readNar(ctx context.Context, gateway, path string) error {
	text, err := body(ctx, gateway+"/"+filepath.Base(path)[:32]+".narinfo")
	if err != nil {
		return fmt.Errorf("narinfo: %w", err)
	}
	m := regexp.MustCompile(`(?m)^URL: (.*)$`).FindSubmatch(text)
	if m == nil {
		return fmt.Errorf("a narinfo without URL: %s", text)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, gateway+"/"+string(m[1]), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
