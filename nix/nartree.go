package nix

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// NarNode is a small tree in memory that can be written as a NAR: for tests, a
// demonstration, a fake store.
type NarNode struct {
	Type    byte                // 'f' file, 'x' executable file, 'l' symbolic link, 'd' directory
	Data    []byte              // of a file
	Target  string              // of a link
	Entries map[string]*NarNode // of a directory
}

// WriteNar writes the tree as a NAR. What a NAR cannot hold is an error that
// names the path in the tree.
func (n *NarNode) WriteNar(w io.Writer) error {
	nw := newNarWriter(w)
	nw.words(narMagic)
	if err := n.write(nw, "/"); err != nil {
		return err
	}
	nw.flush()
	return nw.err
}

func (n *NarNode) write(nw *narWriter, path string) error {
	if n == nil {
		return fmt.Errorf("NAR of %s: no node", quote(path))
	}
	if err := nw.open(); err != nil {
		return fmt.Errorf("NAR of %s: %w", quote(path), err)
	}
	switch n.Type {
	case 'f', 'x':
		nw.beginContents(n.Type == 'x', uint64(len(n.Data)))
		for part := range slices.Chunk(n.Data, narBuffer) {
			nw.reserve(len(part))
			nw.buf = append(nw.buf, part...)
		}
		nw.pad(uint64(len(n.Data)))
	case 'l':
		if err := nw.symlink(n.Target); err != nil {
			return fmt.Errorf("NAR of %s: %w", quote(path), err)
		}
	case 'd':
		nw.words("directory")
		for _, name := range slices.Sorted(maps.Keys(n.Entries)) {
			if err := nw.openEntry(name); err != nil {
				return fmt.Errorf("NAR of %s: %w", quote(path), err)
			}
			if err := n.Entries[name].write(nw, path+name+"/"); err != nil {
				return err
			}
			nw.closeEntry()
		}
	default:
		return fmt.Errorf("NAR of %s: type %q is none of f, x, l, d", quote(path), n.Type)
	}
	return nw.close()
}
