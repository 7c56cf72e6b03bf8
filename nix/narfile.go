package nix

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"
)

// ErrManyFiles says that a path has too many files for its NAR to be read at any
// place.
var ErrManyFiles = errors.New("too many files")

// NarFile is the NAR of a path on this machine, read at any place without being
// written anywhere. It keeps what is not the contents of a file in memory, at
// most MaxNarFrame bytes and 40 more a file, and no file open. It never changes,
// and so any number of goroutines may use it.
//
// Nothing proves that the files stay what they were: the caller compares hashes.
type NarFile struct {
	frame []byte    // all but the contents of files
	files []narPart // in the order of their places
	size  int64
}

// narPart is where the contents of a file are in the NAR.
type narPart struct {
	path   string
	start  int64 // in the NAR
	before int   // bytes of frame before it
	size   int64
}

// IndexNar looks at the file, link or directory at path, and returns its NAR. It
// reads no file. What [DumpNar] refuses it refuses as well.
func IndexNar(path string) (*NarFile, error) {
	n := &NarFile{}
	d := dumper{narWriter: newNarWriter((*narFrame)(n))}
	d.skip = func(path string, info fs.FileInfo) error {
		if d.flush(); d.err != nil {
			return d.err
		}
		n.files = append(n.files, narPart{path, n.size, len(n.frame), info.Size()})
		n.size += info.Size()
		return nil
	}
	if err := d.dump(path); err != nil {
		return nil, err
	}
	return n, nil
}

// narFrame gathers what is written, up to its bound.
type narFrame NarFile

func (f *narFrame) Write(p []byte) (int, error) {
	if len(f.frame)+len(p) > MaxNarFrame {
		return 0, ErrManyFiles
	}
	f.frame = append(f.frame, p...)
	f.size += int64(len(p))
	return len(p), nil
}

// Size is the NAR's length in bytes.
func (n *NarFile) Size() int64 { return n.size }

// Cost is about how many bytes of memory n takes.
func (n *NarFile) Cost() int {
	cost := cap(n.frame) + 48*cap(n.files)
	for i := range n.files {
		cost += len(n.files[i].path)
	}
	return cost
}

// ReadAt reads len(p) bytes from off. It opens the files that it needs, and
// closes them again. A file that has another size now is an error, as is one that
// is gone.
func (n *NarFile) ReadAt(p []byte, off int64) (done int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("a place of %d in a NAR", off)
	}
	for next := n.partAt(off); done < len(p); {
		at := off + int64(done)
		// The frame goes on until the next file begins, or to the end.
		before, start, end := len(n.frame), n.size, n.size
		if next < len(n.files) {
			f := &n.files[next]
			before, start, end = f.before, f.start, f.start+f.size
		}
		switch {
		case at < start:
			from := before - int(start-at)
			done += copy(p[done:], n.frame[from:before])
		case at < end:
			some := p[done:min(int64(len(p)), int64(done)+end-at)]
			if err := n.files[next].readAt(some, at-start); err != nil {
				return done, err
			}
			done += len(some)
		case next == len(n.files):
			return done, io.EOF
		default:
			next++
		}
	}
	return done, nil
}

// partAt is the first file whose contents end after off.
func (n *NarFile) partAt(off int64) int {
	return sort.Search(len(n.files), func(i int) bool { return n.files[i].start+n.files[i].size > off })
}

func (f *narPart) readAt(p []byte, off int64) error {
	file, info, err := openRegular(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	if info.Size() != f.size {
		return fmt.Errorf("%s has %d bytes, and had %d", quote(f.path), info.Size(), f.size)
	}
	_, err = file.ReadAt(p, off)
	if err == io.EOF {
		err = fmt.Errorf("%s shrank while it was read", quote(f.path))
	}
	return err
}
