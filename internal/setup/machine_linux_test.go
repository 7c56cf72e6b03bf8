package setup

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestWholeFromTheStart: what gets its name has its mode and owner already: the kernel sees nothing but a rename of it.
func TestWholeFromTheStart(t *testing.T) {
	m := Real{t.TempDir()}
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if _, err := syscall.InotifyAddWatch(fd, m.Root, syscall.IN_CREATE|syscall.IN_ATTRIB|syscall.IN_MOVED_TO); err != nil {
		t.Fatal(err)
	}
	uid, gid := m.Owner()
	if uid == 0 {
		uid, gid = 12345, 54321
	}
	if err := m.Write("/file", File{Data: []byte("new"), Mode: 0o666, UID: uid, GID: gid}); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(m.At(Unfinished("/dir")), 0o700); err != nil { // a crash left it
		t.Fatal(err)
	}
	if err := m.MakeDir("/dir", 0o777, uid, gid); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/file", "/dir"} {
		info, err := os.Stat(m.At(name))
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); int(st.Uid) != uid || int(st.Gid) != gid || info.Mode().Perm()&0o666 != 0o666 {
			t.Errorf("%s is %v %d:%d", name, info.Mode(), st.Uid, st.Gid)
		}
	}
	var seen []string
	for _, event := range events(t, fd) {
		if !strings.HasPrefix(event, "file"+Unfinished("")) && !strings.HasPrefix(event, "dir"+Unfinished("")) {
			seen = append(seen, event)
		}
	}
	if want := []string{fmt.Sprintf("file %#x", syscall.IN_MOVED_TO), fmt.Sprintf("dir %#x", syscall.IN_MOVED_TO)}; !slices.Equal(seen, want) {
		t.Errorf("the kernel saw %q, and not %q", seen, want)
	}
	if left, err := filepath.Glob(m.At("/*" + Unfinished(""))); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// events are the names and masks that the kernel tells of.
func events(t *testing.T, fd int) (all []string) {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, err := syscall.Read(fd, buf)
	if err != nil {
		t.Fatal(err)
	}
	for buf = buf[:n]; len(buf) >= syscall.SizeofInotifyEvent; {
		mask, length := binary.NativeEndian.Uint32(buf[4:]), binary.NativeEndian.Uint32(buf[12:])
		name := strings.TrimRight(string(buf[syscall.SizeofInotifyEvent:syscall.SizeofInotifyEvent+int(length)]), "\x00")
		all = append(all, fmt.Sprintf("%s %#x", name, mask&^syscall.IN_ISDIR))
		buf = buf[syscall.SizeofInotifyEvent+int(length):]
	}
	return all
}
