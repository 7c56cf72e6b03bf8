//go:build !linux

package disk_test

import "testing"

// tmpfs would mount a small file system; there is none here.
func tmpfs(t *testing.T, _ int) string {
	t.Helper()
	t.Skip("a full disk needs a tmpfs of its own, and so Linux")
	return ""
}
