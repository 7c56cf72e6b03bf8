package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// TestBarred: a socket in a directory that is others' alone is there, and refuses: that no daemon has it is not said.
func TestBarred(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "daemon-socket")
	if err := os.Mkdir(dir, 0); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		if os.Geteuid() == 0 { // who may look everywhere looks as somebody else, in this thread alone
			runtime.LockOSThread() // it is not given back: the thread ends with the goroutine
			const nobody = 65534
			if _, _, err := syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0); err != 0 {
				ended <- err
				return
			}
		}
		dial, err := Options{Socket: filepath.Join(dir, "socket")}.dialer()
		if err == nil {
			_, err = dial(t.Context())
		}
		ended <- err
	}()
	err := <-ended
	var down *DownError
	if !errors.As(err, &down) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v", err)
	}
}
