package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/flurry-nix/flurry/internal/durable"
)

// File is a file as it is or is to be.
type File struct {
	Data     []byte
	Mode     fs.FileMode // permissions
	UID, GID int
}

// Machine is what is changed.
type Machine interface {
	// At is the name under which this process finds a file of the machine.
	At(name string) string
	// Read reads a regular file. One that is not there is an fs.ErrNotExist; what is no file is an error.
	Read(name string) (File, error)
	// Write replaces a file, whole and durably: it never has what is new and a mode or an owner that are not f's. Until it has
	// its name it is called Unfinished(name).
	Write(name string, f File) error
	// Remove removes a file durably. One that is gone is no error.
	Remove(name string) error
	// IsDir reports whether a directory is there, or a link to one.
	IsDir(name string) bool
	// MakeDir makes a directory whose parent is there, under the name Unfinished(name) at first, as Write does.
	MakeDir(name string, mode fs.FileMode, uid, gid int) error
	// RemoveDir removes a directory if it is empty. One that is not, or that is gone, is no error.
	RemoveDir(name string) error
	// Lock locks a directory against all others, until unlock or the end of the process. It never waits: what another holds is
	// a durable.ErrLocked, and a directory that is not there (any more) an fs.ErrNotExist.
	Lock(dir string) (unlock func() error, err error)
	// Owner is who runs this.
	Owner() (uid, gid int)
	// Run runs a program and returns what it said.
	Run(ctx context.Context, command ...string) (string, error)
}

// Real is the machine that this process runs on or, with a root other than "/", one whose files lie there.
type Real struct{ Root string }

var _ Machine = Real{}

// Unfinished is what a file or directory is called that is not yet what it is to be.
func Unfinished(name string) string { return name + ".flurry-tmp" }

// At implements Machine.
func (m Real) At(name string) string { return filepath.Join(m.Root, name) }

// Read implements Machine.
func (m Real) Read(name string) (File, error) {
	info, err := os.Lstat(m.At(name))
	if err != nil {
		return File{}, err
	}
	if !info.Mode().IsRegular() {
		return File{}, fmt.Errorf("%s is no regular file: %w", name, errors.ErrUnsupported)
	}
	data, err := os.ReadFile(m.At(name))
	f := File{Data: data, Mode: info.Mode().Perm()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		f.UID, f.GID = int(st.Uid), int(st.Gid)
	}
	return f, err
}

// Write implements Machine.
func (m Real) Write(name string, f File) error {
	return durable.WriteOwned(durable.OS{}, m.At(name), m.At(Unfinished(name)), f.Data, f.Mode, f.UID, f.GID)
}

// Remove implements Machine.
func (m Real) Remove(name string) error {
	err := os.Remove(m.At(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, durable.OS{}.SyncDir(filepath.Dir(m.At(name))))
}

// IsDir implements Machine.
func (m Real) IsDir(name string) bool {
	info, err := os.Stat(m.At(name))
	return err == nil && info.IsDir()
}

// Owner implements Machine.
func (m Real) Owner() (uid, gid int) { return os.Geteuid(), os.Getegid() }

// MakeDir implements Machine.
func (m Real) MakeDir(name string, mode fs.FileMode, uid, gid int) error {
	made, tmp := m.At(name), m.At(Unfinished(name))
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	if err := errors.Join(os.Chown(tmp, uid, gid), os.Chmod(tmp, mode)); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	if err := os.Rename(tmp, made); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return durable.OS{}.SyncDir(filepath.Dir(made))
}

// Lock implements Machine.
func (m Real) Lock(dir string) (unlock func() error, err error) {
	l, err := durable.TryLockDir(m.At(dir))
	if err != nil {
		return nil, err
	}
	return l.Unlock, nil
}

// RemoveDir implements Machine.
func (m Real) RemoveDir(name string) error {
	err := os.Remove(m.At(name))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) {
		return nil
	}
	return err
}

// Run implements Machine.
func (m Real) Run(ctx context.Context, command ...string) (string, error) {
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	said := strings.TrimSpace(string(out))
	if err != nil {
		if said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return said, fmt.Errorf("%s: %w", strings.Join(command, " "), err)
	}
	return said, nil
}
