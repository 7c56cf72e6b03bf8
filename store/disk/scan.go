package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/flurry-nix/flurry/store"
)

// scan finds the records with mark m from offset from up to size, and calls
// found for each whose checksums are right. The frame's data is valid during
// the call. It returns the end of the last of them, or from when there is none.
//
// What is not a whole record is passed over: damaged data by the length that
// its header gives, a damaged header by looking for the next mark. A record
// that goes beyond size is a torn end, and nothing can follow it.
func scan(ctx context.Context, r io.ReaderAt, m mark, from, size int64, found func(record, int64, store.Frame) error) (end int64, err error) {
	w := window{r: r, size: size}
	end = from
	for off := from; off < size; {
		if err := ctx.Err(); err != nil {
			return end, err
		}
		rec, err := w.header(off, m)
		if errors.Is(err, store.ErrCorrupt) {
			if off, err = w.find(m, off+1); err != nil {
				return end, err
			}
			continue
		}
		if err != nil {
			return end, err
		}
		f, err := w.frame(off, rec)
		if err == nil {
			err = found(rec, off, f)
			end = off + rec.size()
		}
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			return end, err
		}
		off += rec.size()
	}
	return end, nil
}

// findMark learns the mark of pack number id from its header or, where that is
// damaged, from its first record that is whole. ok is false when there is
// neither.
func findMark(ctx context.Context, r io.ReaderAt, id uint32, size int64) (m mark, ok bool, err error) {
	head := make([]byte, min(packHeader, size))
	if err := readThrough(r, head, 0); err != nil {
		return mark{}, false, fmt.Errorf("read header: %w", err)
	}
	if m, err := parsePackHeader(head, id); err == nil {
		return m, true, nil
	}
	w := window{r: r, size: size}
	for off := int64(0); off+recordHeader < size; off++ {
		if off%readAhead == 0 && ctx.Err() != nil {
			return mark{}, false, ctx.Err()
		}
		b, err := w.at(off, recordHeader)
		if err != nil {
			return mark{}, false, err
		}
		if b[10] != 0 || b[11] != 0 || !store.Kind(b[8]).Valid() {
			continue // spares most places the checksum
		}
		m, rec, err := parseRecord(b)
		if err != nil || off+rec.size() > size {
			continue
		}
		if _, err := w.frame(off, rec); err == nil {
			return m, true, nil
		}
	}
	return mark{}, false, nil
}

// window is the part of a file that a scan holds in memory.
type window struct {
	r    io.ReaderAt
	size int64 // of the file, bytes
	off  int64 // where buf begins
	buf  []byte
}

// header reads the header of the record at off.
func (w *window) header(off int64, m mark) (record, error) {
	b, err := w.at(off, recordHeader)
	if err != nil {
		return record{}, err
	}
	got, rec, err := parseRecord(b)
	if err != nil {
		return record{}, err
	}
	if got != m {
		return record{}, fmt.Errorf("%w: a record with mark %x in a pack with mark %x", store.ErrCorrupt, got, m)
	}
	return rec, nil
}

// frame reads the data of the record at off.
func (w *window) frame(off int64, rec record) (store.Frame, error) {
	whole, err := w.at(off, int(rec.size()))
	if err != nil {
		return store.Frame{}, err
	}
	return rec.frame(whole[recordHeader:])
}

// find is the first offset from off on where m stands, or the size of the file.
func (w *window) find(m mark, off int64) (int64, error) {
	for off < w.size {
		if _, err := w.at(off, markSize); err != nil {
			return 0, err
		}
		b := w.buf[off-w.off:]
		if i := bytes.Index(b, m[:]); i >= 0 {
			return off + int64(i), nil
		}
		off += max(int64(len(b))-(markSize-1), 1)
	}
	return w.size, nil
}

// at returns n bytes from off, or fewer where the file ends. They are valid
// until the next call.
func (w *window) at(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), w.size-off))
	if off >= w.off && off+int64(n) <= w.off+int64(len(w.buf)) {
		return w.buf[off-w.off:][:n], nil
	}
	want := int(min(int64(max(n, readAhead)), w.size-off))
	if cap(w.buf) < want {
		w.buf = make([]byte, want)
	}
	w.off, w.buf = off, w.buf[:want]
	if err := readThrough(w.r, w.buf, off); err != nil {
		w.buf = w.buf[:0]
		return nil, fmt.Errorf("read %d bytes at %d: %w", want, off, err)
	}
	return w.buf[:n], nil
}

// readThrough fills b from off. What the disk cannot read it leaves as zeros,
// block by block, so that one bad sector costs the records in it and no more:
// their checksums tell.
func readThrough(r io.ReaderAt, b []byte, off int64) error {
	const block = 4096
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if !errors.Is(err, syscall.EIO) {
		return err
	}
	for len(b) > 0 {
		part := b[:min(len(b), block-int(off%block))]
		if n, err := r.ReadAt(part, off); n < len(part) {
			if !errors.Is(err, syscall.EIO) {
				return err
			}
			clear(part)
		}
		b, off = b[len(part):], off+int64(len(part))
	}
	return nil
}
