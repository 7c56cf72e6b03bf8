package nix

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// A NAR is a tree written as strings, each a length (64 bits, little-endian),
// its bytes, and zeros up to a multiple of 8 (libutil/archive.cc):
//
//	archive   = "nix-archive-1" node
//	node      = "(" "type" ( regular | symlink | directory ) ")"
//	regular   = "regular" [ "executable" "" ] "contents" BYTES
//	symlink   = "symlink" "target" TARGET
//	directory = "directory" *( "entry" "(" "name" NAME "node" node ")" )
//
// The entries of a directory are in bytewise order of their names, so that one
// tree has one NAR.
const (
	narMagic = "nix-archive-1"

	// caseHack marks names that Nix on macOS invents on disk for files whose
	// names differ in case alone. In a NAR it has no business: what carries it
	// would come back under another name there.
	caseHack = "~nix~case~hack~"
)

// checkEntryName accepts what may stand as a name in a directory of a NAR.
func checkEntryName(name string) error {
	switch {
	case name == "" || len(name) > MaxNarName:
		return fmt.Errorf("a name of %d bytes, allowed are 1 to %d", len(name), MaxNarName)
	case name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || strings.Contains(name, caseHack):
		return fmt.Errorf("the name %s is not allowed", quote(name))
	}
	return nil
}

// checkTarget accepts what may stand as the target of a symbolic link.
func checkTarget(target string) error {
	if target == "" || len(target) > MaxNarTarget {
		return fmt.Errorf("a link target of %d bytes, allowed are 1 to %d", len(target), MaxNarTarget)
	}
	if strings.IndexByte(target, 0) >= 0 {
		return fmt.Errorf("a NUL in the link target %s", quote(target))
	}
	return nil
}

// padding is how many zeros follow n bytes of a string.
func padding(n uint64) int { return int(-n & 7) }

// narWriter spells a NAR into a buffer and writes that on when it is full. The
// first error of the writer below stays and ends everything after it.
type narWriter struct {
	w     io.Writer
	buf   []byte // gathered and not yet written; never grows beyond its capacity
	depth int    // nodes that are open
	err   error
}

func newNarWriter(w io.Writer) *narWriter {
	return &narWriter{w: w, buf: make([]byte, 0, narBuffer)}
}

// flush writes on what was gathered.
func (nw *narWriter) flush() {
	if nw.err == nil && len(nw.buf) > 0 {
		_, nw.err = nw.w.Write(nw.buf)
	}
	nw.buf = nw.buf[:0]
}

// reserve makes room for n more bytes, at most narBuffer.
func (nw *narWriter) reserve(n int) {
	if cap(nw.buf)-len(nw.buf) < n {
		nw.flush()
	}
}

// words appends strings, each at most MaxNarTarget long.
func (nw *narWriter) words(list ...string) {
	for _, s := range list {
		nw.reserve(8 + len(s) + 7)
		nw.buf = binary.LittleEndian.AppendUint64(nw.buf, uint64(len(s)))
		nw.buf = append(nw.buf, s...)
		nw.pad(uint64(len(s)))
	}
}

// pad appends the zeros that follow n bytes.
func (nw *narWriter) pad(n uint64) {
	const zeros = "\x00\x00\x00\x00\x00\x00\x00"
	nw.reserve(len(zeros))
	nw.buf = append(nw.buf, zeros[:padding(n)]...)
}

// open begins a node; close ends it.
func (nw *narWriter) open() error {
	if nw.depth++; nw.depth > MaxNarDepth {
		return fmt.Errorf("more than %d levels", MaxNarDepth)
	}
	nw.words("(", "type")
	return nw.err
}

func (nw *narWriter) close() error {
	nw.depth--
	nw.words(")")
	return nw.err
}

// beginContents writes what stands before size bytes of a file.
func (nw *narWriter) beginContents(executable bool, size uint64) {
	nw.words("regular")
	if executable {
		nw.words("executable", "")
	}
	nw.words("contents")
	nw.reserve(8)
	nw.buf = binary.LittleEndian.AppendUint64(nw.buf, size)
}

func (nw *narWriter) symlink(target string) error {
	if err := checkTarget(target); err != nil {
		return err
	}
	nw.words("symlink", "target", target)
	return nw.err
}

// openEntry begins an entry of a directory; its node follows, then closeEntry.
func (nw *narWriter) openEntry(name string) error {
	if err := checkEntryName(name); err != nil {
		return err
	}
	nw.words("entry", "(", "name", name, "node")
	return nw.err
}

func (nw *narWriter) closeEntry() { nw.words(")") }
