package disk_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// tmpfs mounts a file system of size bytes, or skips the test where that is
// not allowed. FLURRY_REQUIRE_NIX=1, the mark of a machine that has all that
// tests can use, makes skipping a failure.
func tmpfs(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		if os.Getenv("FLURRY_REQUIRE_NIX") == "1" {
			t.Fatalf("mounting a tmpfs: %v", err)
		}
		t.Skipf("a full disk needs a tmpfs of its own, and so root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}
