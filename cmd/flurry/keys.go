package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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
	// elsewhere are the keys of namespaces that the configuration has in other files.
	elsewhere map[namespace.Address]string
	// policy gives the document that says who the writers of a namespace are; false: none is known.
	policy func(namespace.Address) (*trust.Policy, bool)
}

// openKeyring makes the directory if need be, for its owner alone.
func openKeyring(dir string, elsewhere map[namespace.Address]string, policy func(namespace.Address) (*trust.Policy, bool)) (*keyring, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return nil, err
		}
	}
	return &keyring{dir: dir, elsewhere: elsewhere, policy: policy}, nil
}

// Signer returns a key that may publish to a: the one that the configuration names, the root key, or a writer's. When
// there is none, but a file that may hold one cannot be used, the error says why it cannot.
func (k *keyring) Signer(a namespace.Address) (nix.SecretKey, error) {
	var unused error
	for _, file := range k.candidates(a) {
		key, err := readSecret(file)
		switch {
		case errors.Is(err, fs.ErrNotExist) && file != k.elsewhere[a]:
		case err != nil:
			if unused == nil {
				unused = err
			}
		case k.maySign(a, key.Public()):
			return key, nil
		}
	}
	if unused != nil {
		return nix.SecretKey{}, unused
	}
	return nix.SecretKey{}, notAWriter(a)
}

// Root returns the root key of a, if it is here.
func (k *keyring) Root(a namespace.Address) (nix.SecretKey, error) {
	var unused error
	for _, file := range k.candidates(a) {
		key, err := readSecret(file)
		switch {
		case err == nil && key.Public() == a.Key():
			return key, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist) && unused == nil:
			unused = err
		}
	}
	if unused != nil {
		return nix.SecretKey{}, unused
	}
	return nix.SecretKey{}, noRootKey(a.Name())
}

// givenSecret is the secret key in FLURRY_KEY, "" if there is none. Files end in a newline, and so do variables made of them.
func (sh *shell) givenSecret() string { return strings.TrimSpace(sh.getenv("FLURRY_KEY")) }

// noRootKey says that what was asked for needs the root key, and that it is elsewhere.
func noRootKey(space string) error {
	return &report.Problem{ID: "no-root-key", Exit: report.ExitRefused, Message: "the root key of " + space + " is not on this machine",
		Try: []string{"where it is: the same command", "or FLURRY_KEY=\"$(cat /media/stick/" + space + ".sec)\", in the environment of this command"}}
}

// candidates are the files that may hold a key for a, the likeliest first.
func (k *keyring) candidates(a namespace.Address) []string {
	var files []string
	if file, ok := k.elsewhere[a]; ok {
		files = append(files, file)
	}
	files = append(files, k.file(a.Name()))
	all, err := os.ReadDir(k.dir)
	if err != nil {
		return files
	}
	for _, e := range all {
		file := filepath.Join(k.dir, e.Name())
		if name, ok := strings.CutSuffix(e.Name(), ".sec"); ok && name != localKeyName && !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	return files
}

// maySign reports whether key is the root key of a or one of its writers'.
func (k *keyring) maySign(a namespace.Address, key nix.PublicKey) bool {
	if key == a.Key() {
		return true
	}
	policy, ok := k.policy(a)
	if !ok {
		return false
	}
	d, ok := policy.Document()
	return ok && slices.ContainsFunc(d.Value().Writers, func(w namespace.Writer) bool { return w.Key == key })
}

func notAWriter(a namespace.Address) error {
	return &report.Problem{ID: "not-a-writer", Exit: report.ExitRefused,
		Message: fmt.Sprintf("this machine may not publish to %s: it has no key of the root or of a writer", a.Name()),
		Try: []string{fmt.Sprintf("here: flurry writer key thismachine-1        then, where the root key is: flurry writer add %s thismachine-1:…", a.Name()),
			"or FLURRY_KEY=…, in the environment of this command"}}
}

func (k *keyring) file(name string) string { return filepath.Join(k.dir, name+".sec") }

// unusable says which files in the places for keys are none, since others can read them, or for whatever else, and what to do. That of a
// namespace which the configuration names has to be there; what somebody else owns in the directory is no business of this process.
func (k *keyring) unusable() (found []report.Problem) {
	files := make(map[string]bool) // whether it has to be readable
	if all, err := os.ReadDir(k.dir); err == nil {
		for _, e := range all {
			if strings.HasSuffix(e.Name(), ".sec") {
				files[filepath.Join(k.dir, e.Name())] = false
			}
		}
	}
	for _, file := range k.elsewhere {
		files[file] = true
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		var p *report.Problem
		_, err := readSecret(file)
		switch placed := outsideStore(file); {
		case errors.As(placed, &p), err == nil, errors.As(err, &p):
		case files[file]:
			p = &report.Problem{ID: "bad-key", Exit: report.ExitFailed, Message: fmt.Sprintf("%s, which the configuration names, cannot be read: %v", file, reasonOf(err)),
				Try: []string{"ls -l " + file, "key_file in the configuration: where the key is"}}
		}
		if p != nil {
			found = append(found, *p)
		}
	}
	return found
}

// add keeps key under its name. A file of that name with another key is left alone, and an error.
func (k *keyring) add(key nix.SecretKey) error {
	file := k.file(key.Name())
	have, err := readSecret(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return durable.WriteFile(durable.OS{}, file, []byte(key.Text()+"\n"), 0o600)
	case err != nil:
		return err
	case have.Public() != key.Public():
		return aliasTaken(key.Name(), namespace.AddressOf(have.Public()), "another name, or move "+file+" away")
	}
	return nil
}

// local returns the node's own key, made at the first start.
func (k *keyring) local() (nix.SecretKey, error) {
	key, err := readSecret(k.file(localKeyName))
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = nix.NewSecretKey(localKeyName, rand.Reader); err != nil {
		return key, err
	}
	return key, k.add(key)
}
