package nix

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
)

// DumpNar writes the NAR of the file, link or directory at path, byte for byte
// what nix-store --dump writes. Symbolic links are data and never followed, the
// one at path neither. A file that changes its size while it is read, one that
// is neither file, link nor directory, and what no Nix could unpack, are
// errors; what was written by then is no NAR.
func DumpNar(w io.Writer, path string) error {
	d := dumper{narWriter: newNarWriter(w)}
	return d.dump(path)
}

// dumper writes a tree of the file system.
type dumper struct {
	*narWriter
	// skip, where it is not nil, is told of each file instead of its contents being written.
	skip func(path string, info fs.FileInfo) error
}

func (d dumper) dump(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	d.words(narMagic)
	if err := d.node(path, info.Mode().Type()); err != nil {
		return err
	}
	d.flush()
	return d.err
}

// node writes what is at path. The type is what the directory said; the file is
// asked again once it is open.
func (d dumper) node(path string, mode fs.FileMode) (err error) {
	if err := d.open(); err != nil {
		return fmt.Errorf("dump %s: %w", quote(path), err)
	}
	switch mode {
	case 0:
		err = d.file(path)
	case fs.ModeSymlink:
		err = d.link(path)
	case fs.ModeDir:
		err = d.directory(path)
	default:
		err = fmt.Errorf("dump %s: %v is neither a file, a link nor a directory", quote(path), mode)
	}
	if err != nil {
		return err
	}
	return d.close()
}

func (d dumper) link(path string) error {
	target, err := os.Readlink(path)
	if err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	if err := d.symlink(target); err != nil {
		return fmt.Errorf("dump %s: %w", quote(path), err)
	}
	return nil
}

func (d dumper) directory(path string) error {
	entries, err := readDirectory(path)
	if err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	d.words("directory")
	for _, entry := range entries {
		if err := d.openEntry(entry.Name()); err != nil {
			return fmt.Errorf("dump %s: %w", quote(path), err)
		}
		if err := d.node(path+"/"+entry.Name(), entry.Type()); err != nil {
			return err
		}
		d.closeEntry()
	}
	return nil
}

// readDirectory returns the entries in bytewise order of their names.
func readDirectory(path string) ([]fs.DirEntry, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

func (d dumper) file(path string) error {
	f, info, err := openRegular(path)
	if err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	defer f.Close()
	// Nix asks for the owner's bit alone.
	d.beginContents(info.Mode()&0o100 != 0, uint64(info.Size()))
	if d.skip != nil {
		err = d.skip(path, info)
	} else {
		err = d.contents(f, info.Size())
	}
	if err != nil {
		return fmt.Errorf("dump %s: %w", quote(path), err)
	}
	d.pad(uint64(info.Size()))
	return d.err
}

// openRegular opens a file, and nothing else: whatever came into its place since
// the directory was read, opening it neither follows a link nor waits for the
// other end of a pipe.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s was replaced while it was read", quote(path))
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// contents writes exactly size bytes of r, straight from r into the buffer. It
// asks for one byte more than it needs, so that a file that grew is noticed
// without a call of its own.
func (d dumper) contents(r io.Reader, size int64) error {
	for done := false; !done; {
		d.reserve(int(min(size+1, narBuffer)))
		free := d.buf[len(d.buf):cap(d.buf)]
		n, err := r.Read(free[:min(size+1, int64(len(free)))])
		switch {
		case d.err != nil:
			return d.err
		case int64(n) > size:
			return fmt.Errorf("it grew while it was read")
		case err == io.EOF && size > 0:
			return fmt.Errorf("it shrank while it was read, %d bytes are missing", size)
		case err != nil && err != io.EOF:
			return err
		}
		d.buf = d.buf[:len(d.buf)+n]
		size -= int64(n)
		done = size == 0 && (err == io.EOF || n < len(free))
	}
	return nil
}
