package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/flurry-nix/flurry/internal/durable"
)

// The names in a store's directory.
const (
	formatName  = "format"
	lockName    = "lock"
	packsName   = "packs"
	indexName   = "index"
	ballastName = "ballast"
	rebuildName = "rebuild-index" // there: the index is not to be used again
)

// formatNumber is the version of everything in the directory that is not
// versioned by itself. A later one may add to it; what this one cannot read
// gets a new number.
const (
	formatPrefix = "flurry store "
	formatNumber = 1
)

// checkFormat makes sure that dir is of this format, and says so there when it
// is new.
func checkFormat(fsys durable.FS, dir string) error {
	path := filepath.Join(dir, formatName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return durable.WriteFile(fsys, path, []byte(formatPrefix+strconv.Itoa(formatNumber)+"\n"), 0o644)
	}
	if err != nil {
		return err
	}
	digits, ok := strings.CutPrefix(strings.TrimSuffix(string(b), "\n"), formatPrefix)
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 {
		return fmt.Errorf("%s: %.40q is not a store's format", path, b)
	}
	if n > formatNumber {
		return &NewerError{Dir: dir, Have: n, Want: formatNumber}
	}
	return nil
}
