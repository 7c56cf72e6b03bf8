package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// client is a Nix to test with, and the root directory of the system that it is installed in.
type client struct {
	name string // as it says of itself: 2.8.0
	root string
}

// clients are this machine's Nix, and those in the directories that FLURRY_NIX_ROOTS lists, as PATH does: each holds a small system
// with Nix in it, as .ci/nix-roots makes them.
func clients(t *testing.T) []client {
	t.Helper()
	needNix(t)
	if os.Getuid() != 0 {
		if os.Getenv("FLURRY_REQUIRE_NIX") == "1" {
			t.Fatal("not root, and FLURRY_REQUIRE_NIX=1")
		}
		t.Skip("not root: a Nix with a store of its own needs a mount namespace")
	}
	var all []client
	for _, root := range append([]string{"/"}, filepath.SplitList(os.Getenv("FLURRY_NIX_ROOTS"))...) {
		c := client{root: root}
		out, err := c.sh(t, nil, "nix --version")
		if err != nil {
			t.Fatalf("there is no Nix in %s: %v", root, err)
		}
		words := strings.Fields(out)
		c.name = words[len(words)-1]
		all = append(all, c)
	}
	return all
}

// machine is what mounts a store and a home of its own below the root $1, and runs the script $2 in there. All of it is gone with
// the mount namespace.
const machine = `set -e
mkdir -p "$1/nix"
mount -t tmpfs tmpfs "$1/nix"
if [ "$1" != / ]; then
	mount -t proc proc "$1/proc"
	mount --rbind /dev "$1/dev"
fi
mkdir "$1/nix/home"
exec chroot "$1" /bin/sh -ec "$2"`

// sh runs a script on a machine of its own, with an empty store and this host's loopback, and returns what it prints. settings are
// lines of nix.conf.
func (c client) sh(t *testing.T, settings []string, script string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--propagation", "private", "sh", "-c", machine, "sh", c.root, script)
	conf := append([]string{"experimental-features = nix-command", "sandbox = false", "build-users-group ="}, settings...)
	cmd.Env = append(os.Environ(), "HOME=/nix/home", "TMPDIR=/tmp", "XDG_CACHE_HOME=/nix/home/cache", "XDG_CONFIG_HOME=/nix/home/config", "NIX_USER_CONF_FILES=", "NIX_CONFIG="+strings.Join(conf, "\n"),
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GC_INITIAL_HEAP_SIZE=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("Nix %s: %w: %s", c.name, err, errs.Bytes())
	}
	return out.String(), nil
}

// clientTime ends a client that hangs.
const clientTime = 2 * time.Minute
