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
	// Read reads a regular file. One that is not there is an fs.ErrNotExist; what is no file is an error.
	Read(name string) (File, error)
	// Write replaces a file, whole and durably.
	Write(name string, f File) error
	// Remove removes a file durably. One that is gone is no error.
	Remove(name string) error
	// IsDir reports whether a directory is there, or a link to one.
	IsDir(name string) bool
	// MakeDir makes a directory whose parent is there.
	MakeDir(name string, mode fs.FileMode, uid, gid int) error
	// RemoveDir removes a directory if it is empty. One that is not, or that is gone, is no error.
	RemoveDir(name string) error
	// Owner is who runs this.
	Owner() (uid, gid int)
	// Run runs a program and returns what it said.
	Run(ctx context.Context, command ...string) (string, error)
}

// Real is the machine that this process runs on or, with a root other than "/", one whose files lie there.
type Real struct{ Root string }

var _ Machine = Real{}

func (m Real) at(name string) string { return filepath.Join(m.Root, name) }

// Read implements Machine.
func (m Real) Read(name string) (File, error) {
	info, err := os.Lstat(m.at(name))
	if err != nil {
		return File{}, err
	}
	if !info.Mode().IsRegular() {
		return File{}, fmt.Errorf("%s is no regular file: %w", name, errors.ErrUnsupported)
	}
	data, err := os.ReadFile(m.at(name))
	f := File{Data: data, Mode: info.Mode().Perm()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		f.UID, f.GID = int(st.Uid), int(st.Gid)
	}
	return f, err
}

// Write implements Machine.
func (m Real) Write(name string, f File) error {
	if err := durable.WriteFile(durable.OS{}, m.at(name), f.Data, f.Mode); err != nil {
		return err
	}
	if err := os.Chown(m.at(name), f.UID, f.GID); err != nil {
		return err
	}
	return os.Chmod(m.at(name), f.Mode) // whatever the umask
}

// Remove implements Machine.
func (m Real) Remove(name string) error {
	err := os.Remove(m.at(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, durable.OS{}.SyncDir(filepath.Dir(m.at(name))))
}

// IsDir implements Machine.
func (m Real) IsDir(name string) bool {
	info, err := os.Stat(m.at(name))
	return err == nil && info.IsDir()
}

// Owner implements Machine.
func (m Real) Owner() (uid, gid int) { return os.Geteuid(), os.Getegid() }

// MakeDir implements Machine.
func (m Real) MakeDir(name string, mode fs.FileMode, uid, gid int) error {
	if err := os.Mkdir(m.at(name), mode); err != nil {
		return err
	}
	return errors.Join(os.Chown(m.at(name), uid, gid), os.Chmod(m.at(name), mode), durable.OS{}.SyncDir(filepath.Dir(m.at(name))))
}

// RemoveDir implements Machine.
func (m Real) RemoveDir(name string) error {
	err := os.Remove(m.at(name))
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
