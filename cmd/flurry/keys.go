package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/trust"
)

// localKeyName is the name of the node's own key in every nix.conf: the same everywhere, since a host name would leak
// with every signature that Nix carries onward.
const localKeyName = "flurry-local-1"

// keyring is the directory of secret keys, one file a key, as Nix writes them.
type keyring struct {
	dir string
	// policy gives the document that says who the writers of a namespace are; false: none is known.
	policy func(namespace.Address) (*trust.Policy, bool)
}

// openKeyring makes the directory if need be.
func openKeyring(dir string, policy func(namespace.Address) (*trust.Policy, bool)) (*keyring, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &keyring{dir: dir, policy: policy}, nil
}

// Signer returns the root key of a, or the key of a writer in a's document.
func (k *keyring) Signer(a namespace.Address) (nix.SecretKey, error) {
	if key, err := k.read(a.Name()); err == nil && key.Public() == a.Key() {
		return key, nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nix.SecretKey{}, err
	}
	writers := k.writers(a)
	names, err := os.ReadDir(k.dir)
	if err != nil {
		return nix.SecretKey{}, err
	}
	for _, file := range names {
		name, isKey := strings.CutSuffix(file.Name(), ".sec")
		if !isKey || name == localKeyName {
			continue
		}
		key, err := k.read(name)
		if err != nil {
			return nix.SecretKey{}, err
		}
		if key.Public() == a.Key() || slices.Contains(writers, key.Public()) {
			return key, nil
		}
	}
	return nix.SecretKey{}, notAWriter(a)
}

// writers are the keys that a's document lets publish.
func (k *keyring) writers(a namespace.Address) []nix.PublicKey {
	policy, ok := k.policy(a)
	if !ok {
		return nil
	}
	d, ok := policy.Document()
	if !ok {
		return nil
	}
	var keys []nix.PublicKey
	for _, w := range d.Value().Writers {
		keys = append(keys, w.Key)
	}
	return keys
}

func notAWriter(a namespace.Address) error {
	return &report.Problem{ID: "not-a-writer", Exit: report.ExitRefused,
		Message: fmt.Sprintf("this machine may not publish to %s: it has no key of the root or of a writer", a.Name()),
		Try:     []string{"where the root key is, add this machine's key as a writer", "or FLURRY_KEY=…"}}
}

func (k *keyring) file(name string) string { return filepath.Join(k.dir, name+".sec") }

// read reads one key. A file that others may read is refused: what it holds is no secret any more.
func (k *keyring) read(name string) (nix.SecretKey, error) {
	info, err := os.Stat(k.file(name))
	if err != nil {
		return nix.SecretKey{}, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nix.SecretKey{}, &report.Problem{ID: "key-readable", Exit: report.ExitFailed,
			Message: fmt.Sprintf("%s is readable by others (%04o); not used", k.file(name), info.Mode().Perm()),
			Try:     []string{"chmod 600 " + k.file(name)}}
	}
	text, err := os.ReadFile(k.file(name))
	if err != nil {
		return nix.SecretKey{}, err
	}
	key, err := nix.ParseSecretKey(strings.TrimSpace(string(text)))
	if err != nil {
		return nix.SecretKey{}, fmt.Errorf("%s: %w", k.file(name), err)
	}
	return key, nil
}

// add keeps key under its name. A file of that name with another key is left alone, and an error.
func (k *keyring) add(key nix.SecretKey) error {
	have, err := k.read(key.Name())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return durable.WriteFile(durable.OS{}, k.file(key.Name()), []byte(key.Text()+"\n"), 0o600)
	case err != nil:
		return err
	case have.Public() != key.Public():
		return &report.Problem{ID: "alias-taken", Exit: report.ExitUsage,
			Message: fmt.Sprintf("%q already means another key here (%s)", key.Name(), have.Public()),
			Try:     []string{"another name, or move " + k.file(key.Name()) + " away"}}
	}
	return nil
}

// local returns the node's own key, made at the first start.
func (k *keyring) local() (nix.SecretKey, error) {
	key, err := k.read(localKeyName)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = nix.NewSecretKey(localKeyName, rand.Reader); err != nil {
		return key, err
	}
	return key, k.add(key)
}
