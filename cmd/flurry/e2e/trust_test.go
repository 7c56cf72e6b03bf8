package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestUntrustedUser: `setup --user` connects nobody whose settings nix-daemon leaves out, whether it says so or not, and says what
// root has to do.
func TestUntrustedUser(t *testing.T) {
	needNix(t)
	if os.Getuid() != 0 {
		if os.Getenv("FLURRY_REQUIRE_NIX") == "1" {
			t.Fatal("not root, and FLURRY_REQUIRE_NIX=1")
		}
		t.Skip("this test needs root: it becomes another user")
	}
	dir, err := os.MkdirTemp("", "trust")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	binary, err := os.ReadFile(flurry(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"flurry": binary, "conf/nix.conf": nil} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	for _, test := range []struct {
		conf    string
		trusted bool
	}{{"", false}, {"trusted-users = root\n", false}, {"trusted-users = root nobody\n", true}} {
		if err := os.WriteFile(filepath.Join(dir, "conf/nix.conf"), []byte(test.conf), 0o644); err != nil {
			t.Fatal(err)
		}
		stop := nixDaemon(t, dir, socket)
		cmd := exec.CommandContext(t.Context(), "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", filepath.Join(dir, "flurry"), "setup", "--user", "--print")
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir + "/home", "USER=nobody", "NIX_REMOTE=unix://" + socket, "NIX_CONF_DIR=" + dir + "/conf"}
		out, err := cmd.CombinedOutput()
		stop()
		if err != nil {
			t.Fatalf("%q: %v\n%s", test.conf, err, out)
		}
		text := string(out)
		if connects := strings.Contains(text, "/home/.config/nix/nix.conf"); connects != test.trusted {
			t.Errorf("with %q nix.conf is edited: %v\n%s", test.conf, connects, text)
		}
		if told := strings.Contains(text, "does not take settings like these from you") && strings.Contains(text, "trusted-users = root nobody"); told == test.trusted {
			t.Errorf("with %q the user is told: %v\n%s", test.conf, told, text)
		}
	}
}

// nixDaemon runs a nix-daemon with a state of its own below dir, until stop.
func nixDaemon(t *testing.T, dir, socket string) (stop func()) {
	t.Helper()
	cmd := exec.Command("nix-daemon")
	cmd.Env = append(os.Environ(), "NIX_DAEMON_SOCKET_PATH="+socket, "NIX_STATE_DIR="+dir+"/var", "NIX_CONF_DIR="+dir+"/conf", "NIX_REMOTE=", "NIX_CONFIG=", "NIX_USER_CONF_FILES=", "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		cmd.Process.Kill()
		cmd.Wait()
		os.Remove(socket)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			return stop
		}
		if time.Now().After(end) {
			stop()
			t.Fatal("nix-daemon does not answer")
		}
	}
}
