package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

const keyCopySchema = "flurry/key-copy/1"

// maxKeyCopy bounds what is read of the note on a copy, in bytes: a key, a file name and a time.
const maxKeyCopy = 8192

// keyCopy is the note that a second copy of a root key was seen.
type keyCopy struct {
	Schema string    `json:"schema"`
	Key    string    `json:"key"`  // the public half
	File   string    `json:"file"` // where the copy was
	Seen   time.Time `json:"seen"`
}

// copyFile is where the note on a key is.
func copyFile(dir, name string) string { return filepath.Join(dir, name+".copied") }

// noteCopy notes that a key was read from a file besides the one here. One in the state directory is lost with it, and is no copy.
func (k *keyring) noteCopy(key nix.PublicKey, file string, now time.Time) (noted bool, err error) {
	state, err := filepath.EvalSymlinks(filepath.Dir(k.dir))
	if err != nil {
		return false, err
	}
	if !filepath.IsAbs(file) || strings.HasPrefix(filepath.Clean(file), state+"/") {
		return false, nil
	}
	text, err := json.Marshal(keyCopy{Schema: keyCopySchema, Key: key.String(), File: filepath.Clean(file), Seen: now.UTC().Truncate(time.Second)})
	if err != nil || len(text) >= maxKeyCopy {
		return false, err
	}
	return true, durable.WriteFile(durable.OS{}, copyFile(k.dir, key.Name), append(text, '\n'), 0o600)
}

// readCopy reads the note on a key. An fs.ErrNotExist: there is none.
func readCopy(dir string, key nix.PublicKey) (keyCopy, error) {
	f, err := os.OpenFile(copyFile(dir, key.Name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return keyCopy{}, err
	}
	defer f.Close() // it is only read
	text, err := io.ReadAll(io.LimitReader(f, maxKeyCopy))
	if err != nil {
		return keyCopy{}, err
	}
	var c keyCopy
	if err := json.Unmarshal(text, &c); err != nil {
		return keyCopy{}, err
	}
	if c.Schema != keyCopySchema || c.Key != key.String() { // another key had the name
		return keyCopy{}, fs.ErrNotExist
	}
	return c, nil
}

// keyBackups looks whether there is a second copy of each root key that the daemon keeps.
func (e *examined) keyBackups(context.Context) {
	if e.down != nil {
		return
	}
	dir := e.keyDir()
	for _, n := range e.status.Namespaces {
		key, err := nix.ParsePublicKey(n.Key)
		if err != nil || !namespace.AddressOf(key).CanPublish() {
			continue
		}
		file := filepath.Join(dir, key.Name+".sec")
		if here, err := readSecret(e.site.real(file)); err != nil || here.Public() != key {
			continue // elsewhere, or not to be read: keyFiles says so
		}
		switch c, err := readCopy(e.site.real(dir), key); {
		case errors.Is(err, fs.ErrNotExist):
			e.add("keys.backup", report.CheckWarn, []string{fmt.Sprintf("copy it to another disk, and show the copy: flurry new --key /media/stick/%s.sec", key.Name)},
				"the root key of %s is in %s, and no second copy was ever seen: nobody can make it again", n.Alias, file)
		case err != nil:
			e.add("keys.backup", report.CheckSkip, nil, "whether there is a second copy of the root key of %s cannot be read: %v", n.Alias, err)
		default:
			e.ok("keys.backup", "a second copy of the root key of %s was seen %s, in %s", n.Alias, c.Seen.Local().Format(time.DateOnly), c.File)
		}
	}
}
