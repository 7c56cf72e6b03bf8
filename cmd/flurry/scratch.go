package main

import (
	"errors"
	"os"
	"path/filepath"
)

// scratchPattern is what files are called for the moment until nothing names them any more.
const scratchPattern = ".aside-*"

// openScratch opens an empty file in the state directory that has no name: it is gone when it is closed, and after a crash.
func openScratch(state string) (*os.File, error) {
	f, err := os.CreateTemp(state, scratchPattern)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// tidyScratch removes files whose daemon was killed before it could take their names away. They are empty.
func tidyScratch(state string) error {
	left, err := filepath.Glob(filepath.Join(state, scratchPattern))
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}
