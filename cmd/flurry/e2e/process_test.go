package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/internal/netlab"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// binary is the flurry that all tests run, built once.
var binary struct {
	sync.Once
	file string
	err  error
}

// flurry returns the path of a binary built from this tree.
func flurry(t *testing.T) string {
	t.Helper()
	binary.Do(func() {
		dir, err := os.MkdirTemp("", "flurry-e2e-")
		if err != nil {
			binary.err = err
			return
		}
		binary.file = filepath.Join(dir, "flurry")
		out, err := exec.Command("go", "build", "-o", binary.file, "github.com/flurry-nix/flurry/cmd/flurry").CombinedOutput()
		if err != nil {
			binary.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.file
}

func TestMain(m *testing.M) {
	code := m.Run()
	if binary.file != "" {
		os.RemoveAll(filepath.Dir(binary.file))
	}
	os.Exit(code)
}

// process is one daemon.
type process struct {
	t      *testing.T
	name   string
	state  string
	config string
	args   []string
	host   *netlab.Host // what it runs on; nil: this machine

	cmd     *exec.Cmd
	stderr  *lockedBuffer
	gateway string // http://…
	key     string // flurry-local-1:…
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// daemon starts a flurry daemon with a state directory of its own and waits until it answers.
func daemon(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, state: filepath.Join(stateDir(t), name), config: os.DevNull, args: args}
	p.start()
	t.Cleanup(p.kill)
	return p
}

// stateDir is a directory for daemons' states, whatever the test is called: the path of a socket in it has at most 107 bytes.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "flurry-state-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// on is the command line that runs args where the process runs.
func (p *process) on(args ...string) []string {
	if p == nil || p.host == nil {
		return args
	}
	return p.host.Enter(args...)
}

// start runs the daemon on its state directory, and waits until it answers.
func (p *process) start() {
	p.t.Helper()
	p.begin()
	p.awaitAnswer()
}

// begin runs the daemon, with more in its environment.
func (p *process) begin(env ...string) {
	p.t.Helper()
	args := append([]string{flurry(p.t), "daemon", "--config", p.config, "--state", p.state, "--gateway", "127.0.0.1:0", "--lan=false", "-v"}, p.args...)
	if p.host == nil {
		args = append(args, "--loopback")
	}
	args = p.on(args...)
	p.cmd = exec.Command(args[0], args[1:]...)
	p.stderr = &lockedBuffer{}
	p.cmd.Stderr = p.stderr
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // not even a crashed test leaves it behind
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// awaitAnswer waits until the daemon's node answers.
func (p *process) awaitAnswer() {
	p.t.Helper()
	p.await("to answer", func() bool {
		var s report.Status
		if err := p.ask(&s, "status"); err != nil {
			return false
		}
		p.gateway, p.key = s.Gateway.URL, s.Gateway.Signer
		return true
	})
}

// await waits for a condition that the process brings about.
func (p *process) await(what string, ok func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: waited in vain for it %s; it said:\n%s", p.name, what, p.stderr)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// kill ends the daemon with SIGKILL, supervisor and node, as a crash of the machine would.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		p.cmd.Process.Kill()
		p.cmd.Wait()
	}
}

// stop ends the daemon as a service manager would, and fails the test if it does not end well.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			p.t.Errorf("%s ended badly: %v\n%s", p.name, err, p.stderr)
		}
	case <-time.After(60 * time.Second):
		p.cmd.Process.Signal(syscall.SIGQUIT)
		<-ended
		p.t.Fatalf("%s does not end:\n%s", p.name, p.stderr)
	}
}

// command is a flurry command for this daemon.
func (p *process) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, flurry(p.t), append([]string{"--socket", filepath.Join(p.state, "control.sock")}, args...)...)
	cmd.Env = append(os.Environ(), "FLURRY_KEY=")
	return cmd
}

// ask runs a command with --json and reads its answer into v.
func (p *process) ask(v any, args ...string) error {
	var out, errs bytes.Buffer
	cmd := p.command(p.t.Context(), append([]string{"--json"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("flurry %s: %w: %s%s", strings.Join(args, " "), err, out.Bytes(), errs.Bytes())
	}
	if v == nil {
		return nil
	}
	lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	return json.Unmarshal(lines[len(lines)-1], v) // progress, where there is any, stands before the outcome
}

// must is ask that has to go well.
func (p *process) must(v any, args ...string) {
	p.t.Helper()
	if err := p.ask(v, args...); err != nil {
		p.t.Fatalf("%s: %v\n%s", p.name, err, p.stderr)
	}
}

// exitCode is the exit code of a flurry command for this daemon.
func (p *process) exitCode(args ...string) int {
	p.t.Helper()
	err := p.command(p.t.Context(), args...).Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	p.t.Fatal(err)
	return -1
}

// peerPort is a TCP port of loopback that nobody has now, for --port, where others have to know it beforehand.
func peerPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// localKey is the public half of the daemon's own key, which its status does not name when it does not sign.
func (p *process) localKey() string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.state, "keys", "flurry-local-1.sec"))
	if err != nil {
		p.t.Fatal(err)
	}
	key, err := nix.ParseSecretKey(strings.TrimSpace(string(text)))
	if err != nil {
		p.t.Fatal(err)
	}
	return key.Public().String()
}
