package e2e

import (
	native "encoding/binary"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// needRoot skips a test that only root can run, and fails it where such tests are required.
func needRoot(t *testing.T, what string) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("FLURRY_REQUIRE_NIX") == "1" {
		t.Fatal("not root, and FLURRY_REQUIRE_NIX=1")
	}
	t.Skip("not root: " + what)
}

// disk is a directory whose files can be made to hang, as those do of a disk that answers nothing: whoever opens or reads one waits.
// The kernel asks before each (fanotify(7), permission events), and is answered or not.
type disk struct {
	t       *testing.T
	watcher *os.File
	asked   sync.WaitGroup
	answers sync.Mutex // held while nothing is answered
	hanging bool
}

// newDisk watches a directory, which is there already. It has to come before whoever opens its files: the kernel asks about those alone
// that were watched when they were opened.
func newDisk(t *testing.T, dir string) *disk {
	t.Helper()
	needRoot(t, "only root is asked by the kernel before files are read")
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK|unix.FAN_UNLIMITED_QUEUE, unix.O_RDONLY|unix.O_CLOEXEC)
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL):
		t.Skip("this kernel asks nobody before files are read: it was built without permission events of fanotify")
	case err != nil:
		t.Fatalf("fanotify: %v", err)
	}
	d := &disk{t: t, watcher: os.NewFile(uintptr(fd), "fanotify")}
	d.asked.Go(d.answer)
	t.Cleanup(func() {
		d.goesOn()
		if err := d.watcher.Close(); err != nil {
			t.Error(err)
		}
		d.asked.Wait()
	})
	err = filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return unix.FanotifyMark(fd, unix.FAN_MARK_ADD, unix.FAN_OPEN_PERM|unix.FAN_ACCESS_PERM|unix.FAN_EVENT_ON_CHILD, unix.AT_FDCWD, name)
	})
	if err != nil {
		t.Fatalf("watch %s: %v", dir, err)
	}
	return d
}

// answer lets everything happen, when it does not hang.
func (d *disk) answer() {
	buf := make([]byte, 4096)
	for {
		n, err := d.watcher.Read(buf)
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				d.t.Errorf("fanotify: %v", err)
			}
			return
		}
		for events := buf[:n]; len(events) > 0; events = events[native.NativeEndian.Uint32(events):] {
			file := int32(native.NativeEndian.Uint32(events[16:])) // of struct fanotify_event_metadata
			response := native.NativeEndian.AppendUint32(native.NativeEndian.AppendUint32(nil, uint32(file)), unix.FAN_ALLOW)
			d.answers.Lock()
			_, err := d.watcher.Write(response)
			d.answers.Unlock()
			if err != nil && !errors.Is(err, os.ErrClosed) && !errors.Is(err, unix.ENOENT) { // whoever waited was killed
				d.t.Errorf("fanotify: %v", err)
			}
			unix.Close(int(file))
		}
	}
}

func (d *disk) hangs() {
	d.answers.Lock()
	d.hanging = true
}

func (d *disk) goesOn() {
	if d.hanging {
		d.hanging = false
		d.answers.Unlock()
	}
}

// TestDiskHangs: a daemon whose files cannot be read any more, all of a sudden or when it has just started, answers in time, and gives what it
// has when they can be read again.
func TestDiskHangs(t *testing.T) {
	needRoot(t, "only root can have the kernel ask before files are read")
	paths := small(t, "disk-hangs")
	config := filepath.Join(t.TempDir(), "flurry.toml")
	if err := os.WriteFile(config, []byte("[share]\nin_place = false\n"), 0o644); err != nil { // nor is it read from /nix/store
		t.Fatal(err)
	}
	p := &process{t: t, name: "holder", state: filepath.Join(t.TempDir(), "holder"), config: config}
	p.start()
	t.Cleanup(p.kill)
	p.must(nil, "new", "acme-1")
	p.must(nil, "publish", "acme-1", paths[len(paths)-1].String())
	p.must(nil, "use", "acme-1")
	p.stop()
	disk := newDisk(t, p.state)
	p.start() // nothing of it is in memory
	p.afterGrace()
	disk.hangs()
	p.withinBudget("while its files cannot be read", paths)
	if err := realise(t, p, p.gateway, p.key, paths); err == nil {
		t.Error("all was given although the files cannot be read")
	}
	for range 3 {
		if status, err := askOnce(strings.TrimPrefix(p.gateway, "http://"), "/nix-cache-info"); err != nil || status != http.StatusOK {
			t.Fatalf("nix-cache-info: %d, %v", status, err)
		}
	}
	disk.goesOn()
	p.await("to give what it has", func() bool {
		_, given := p.wave("/" + paths[0].Hash().String() + ".narinfo")
		return given == 1
	})
	if err := realise(t, p, p.gateway, p.key, paths); err != nil {
		t.Fatal(err)
	}

	// It hangs for longer than the supervisor looks on, who answers in the node's place then, at once.
	p.stop()
	p.start()
	p.afterGrace()
	disk.hangs()
	p.withinBudget("while its files cannot be read", paths[:5])
	p.await("to be taken for one that hangs", func() bool {
		resp, err := http.Get(p.gateway + "/health")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusServiceUnavailable
	})
	if took, given := p.wave("/"+paths[2].Hash().String()+".narinfo", "/"+paths[3].Hash().String()+".narinfo"); given > 0 || took > wanBudget/2+slack {
		t.Errorf("the standby gave %d paths, after %v", given, took)
	}
	disk.goesOn()
	p.await("to give what it has", func() bool {
		_, given := p.wave("/" + paths[1].Hash().String() + ".narinfo")
		return given == 1
	})
	if err := realise(t, p, p.gateway, p.key, paths); err != nil {
		t.Fatal(err)
	}
	p.stop()
}
