package stream

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/flurry-nix/flurry/internal/durable"
)

// maxKeyFile is more than a key file has: 68 bytes.
const maxKeyFile = 1 << 10

// identity reads the node's key from a file, which it makes if there is none.
// The key is all that a peer id stands for: a file that others can read is an
// error, and so is one that is damaged, rather than a reason for a new key.
func identity(file string) (crypto.PrivKey, error) {
	raw, err := readPrivate(file)
	if errors.Is(err, fs.ErrNotExist) {
		return newIdentity(file)
	}
	if err != nil {
		return nil, fmt.Errorf("the node's key: %w", err)
	}
	k, err := crypto.UnmarshalPrivateKey(raw)
	if err != nil {
		return nil, fmt.Errorf("the node's key: %s is damaged: %w", file, err)
	}
	if k.Type() != crypto.Ed25519 {
		return nil, fmt.Errorf("the node's key: %s is of type %v, not Ed25519", file, k.Type())
	}
	return k, nil
}

func readPrivate(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return nil, fmt.Errorf("%s is not a file", file)
	case mode.Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s can be read by others (%04o); try: chmod 600 %s", file, mode.Perm(), file)
	case info.Size() > maxKeyFile:
		return nil, fmt.Errorf("%s has %d bytes, at most %d", file, info.Size(), maxKeyFile)
	}
	return os.ReadFile(file)
}

func newIdentity(file string) (crypto.PrivKey, error) {
	k, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the node's key: %w", err)
	}
	raw, err := crypto.MarshalPrivateKey(k)
	if err != nil {
		return nil, fmt.Errorf("making the node's key: %w", err)
	}
	if err := durable.WriteFile(durable.OS{}, file, raw, 0o600); err != nil {
		return nil, fmt.Errorf("keeping the node's key: %w", err)
	}
	return k, nil
}
