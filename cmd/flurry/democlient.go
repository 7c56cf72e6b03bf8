package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
)

// client is who copies paths through a gateway, and makes sure that they are right.
type client interface {
	name() string
	// copy brings paths, dependencies first, from the cache at url into dir, trusting key alone.
	copy(ctx context.Context, url string, key nix.PublicKey, dir string, paths []daemon.PathInfo) error
}

// findClient is the Nix on PATH, else a client of our own.
func (d *demo) findClient(ctx context.Context) client {
	file, err := exec.LookPath("nix")
	if err != nil {
		return &httpClient{}
	}
	out, err := exec.CommandContext(ctx, file, "--version").Output()
	if err != nil {
		return &httpClient{}
	}
	words := strings.Fields(string(out))
	return &nixClient{file: file, version: "Nix " + words[len(words)-1]}
}

// nixClient is a real Nix that copies into a store of its own below dir.
type nixClient struct{ file, version string }

func (c *nixClient) name() string { return c.version }

func (c *nixClient) copy(ctx context.Context, url string, key nix.PublicKey, dir string, paths []daemon.PathInfo) error {
	if err := os.MkdirAll(filepath.Join(dir, "home"), 0o755); err != nil {
		return err
	}
	root := filepath.Join(dir, "root")
	args := []string{"--extra-experimental-features", "nix-command", "copy", "--from", url, "--to", "local?root=" + root,
		"--option", "trusted-public-keys", key.String(), "--option", "narinfo-cache-negative-ttl", "0"}
	for _, p := range paths {
		args = append(args, p.Path.String())
	}
	cmd := exec.CommandContext(ctx, c.file, args...)
	home := filepath.Join(dir, "home")
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+home, "XDG_CONFIG_HOME="+home, "NIX_USER_CONF_FILES=", "NIX_CONFIG=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("nix copy: %w: %s", err, bytes.TrimSpace(out))
	}
	for _, p := range paths {
		sum := sha256.New()
		if err := nix.DumpNar(sum, filepath.Join(root, p.Path.String())); err != nil {
			return err
		}
		if nix.NarHash(sum.Sum(nil)) != p.NarHash {
			return fmt.Errorf("%s arrived changed", p.Path.Base())
		}
	}
	return nil
}

// httpClient does what Nix does, in the same order, and keeps nothing.
type httpClient struct{}

func (*httpClient) name() string { return "net/http" }

func (c *httpClient) copy(ctx context.Context, url string, key nix.PublicKey, _ string, paths []daemon.PathInfo) error {
	for _, p := range paths {
		if err := c.one(ctx, url, key, p); err != nil {
			return fmt.Errorf("%s: %w", p.Path.Base(), err)
		}
	}
	return nil
}

func (c *httpClient) one(ctx context.Context, url string, key nix.PublicKey, want daemon.PathInfo) error {
	var text bytes.Buffer
	if err := fetch(ctx, url+"/"+want.Path.Hash().String()+".narinfo", &text); err != nil {
		return err
	}
	info, err := nix.ParseNarInfo(text.Bytes())
	if err != nil {
		return err
	}
	signed := false
	for _, s := range info.Sigs {
		signed = signed || key.Verify(info.Fingerprint(), s)
	}
	if !signed || info.StorePath != want.Path {
		return fmt.Errorf("the narinfo is not signed by %s", key.Name)
	}
	sum := sha256.New()
	if err := fetch(ctx, url+"/"+info.URL, sum); err != nil {
		return err
	}
	if got := nix.NarHash(sum.Sum(nil)); got != info.NarHash || got != want.NarHash {
		return fmt.Errorf("arrived changed: %s instead of %s", got, want.NarHash)
	}
	return nil
}

// fetch writes what is at url to w.
func fetch(ctx context.Context, url string, w io.Writer) error {
	resp, err := get(ctx, url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	_, err = io.Copy(w, resp.Body)
	return err
}

// status is the status code of a GET of url.
func status(ctx context.Context, url string) (int, error) {
	resp, err := get(ctx, url)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

func get(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(req)
}
