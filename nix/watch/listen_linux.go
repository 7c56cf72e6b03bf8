package watch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// listening is two directories under the kernel's watch.
type listening struct {
	file  *os.File
	done  chan struct{}
	store int32
	db    int32 // -1: it may not be read
	hints *hints
}

const (
	ends      = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	inStore   = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_DELETE | ends
	inDB      = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MODIFY | ends
	itEnds    = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_UNMOUNT | unix.IN_IGNORED
	itCame    = unix.IN_CREATE | unix.IN_MOVED_TO
	theDB     = "db.sqlite"
	headBytes = unix.SizeofInotifyEvent
)

// listen has the kernel report to h what happens in the two directories. A database that may not be read is done
// without: the store's locks say enough.
func listen(store, db string, h *hints) (*listening, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	l := &listening{file: os.NewFile(uintptr(fd), "inotify"), done: make(chan struct{}), hints: h, db: -1}
	wd, err := unix.InotifyAddWatch(fd, store, inStore)
	if err != nil {
		return nil, errors.Join(&fs.PathError{Op: "watch", Path: store, Err: err}, l.file.Close())
	}
	l.store = int32(wd)
	switch wd, err := unix.InotifyAddWatch(fd, db, inDB); {
	case err == nil:
		l.db = int32(wd)
	case !errors.Is(err, fs.ErrPermission):
		return nil, errors.Join(&fs.PathError{Op: "watch", Path: db, Err: err}, l.file.Close())
	}
	go l.read()
	return l, nil
}

// close ends the watch, and waits for that.
func (l *listening) close() {
	l.file.Close()
	<-l.done
}

// read passes on what the kernel says until the file is closed.
func (l *listening) read() {
	defer close(l.done)
	buf := make([]byte, 64<<10)
	for {
		n, err := l.file.Read(buf)
		if err != nil {
			l.hints.lose()
			return
		}
		l.parse(buf[:n])
	}
}

// parse understands what one read brought: heads, each followed by a name that zeros fill up.
func (l *listening) parse(buf []byte) {
	for len(buf) >= headBytes {
		wd := int32(binary.NativeEndian.Uint32(buf))
		mask := binary.NativeEndian.Uint32(buf[4:])
		size := int(binary.NativeEndian.Uint32(buf[12:]))
		buf = buf[headBytes:]
		if size > len(buf) {
			break
		}
		name, _, _ := bytes.Cut(buf[:size], []byte{0})
		buf = buf[size:]
		l.event(wd, mask, string(name))
	}
	if len(buf) > 0 {
		l.hints.lose()
	}
}

func (l *listening) event(wd int32, mask uint32, name string) {
	switch {
	case mask&(unix.IN_Q_OVERFLOW|itEnds) != 0:
		l.hints.lose()
	case wd == l.store:
		l.hints.name(name, mask&unix.IN_DELETE != 0)
	case wd == l.db && name == theDB && mask&itCame != 0: // another database is in its place
		l.hints.lose()
	case wd == l.db && strings.HasPrefix(name, theDB):
		l.hints.database()
	}
}

// changed is a file's change time.
func changed(st *syscall.Stat_t) time.Time { return time.Unix(st.Ctim.Unix()) }
