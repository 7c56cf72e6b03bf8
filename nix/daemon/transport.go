package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/flurry-nix/flurry/nix"
)

// Options say where this machine's Nix is. The zero value is right for an
// ordinary installation; the caller fills in what the environment says.
type Options struct {
	Socket   string // NIX_DAEMON_SOCKET_PATH; else StateDir/daemon-socket/socket
	StateDir string // NIX_STATE_DIR; else /nix/var/nix
	Remote   string // NIX_REMOTE: "", "auto", "daemon", "unix://PATH", "local" or "local?root=DIR"

	// RealDir is where the files of /nix/store lie: elsewhere for a store with
	// another root. Empty means what Remote says, or /nix/store.
	RealDir string

	// Command runs a Nix that speaks the protocol on its standard input and
	// output. Empty means nix-daemon --stdio, from PATH or an ordinary place.
	Command []string
}

const defaultStateDir = "/nix/var/nix"

// dialer opens connections of one kind.
type dialer func(ctx context.Context) (io.ReadWriteCloser, error)

// dialer decides once where the daemon is: at a socket if there is one, else in
// a process of our own.
func (o Options) dialer() (dialer, error) {
	kind, rest, _ := strings.Cut(o.Remote, "?")
	switch {
	case kind == "" || kind == "auto":
		if isSocket(o.socket()) || isBarred(o.socket()) {
			return dialSocket(o.socket()), nil
		}
		return o.process()
	case kind == "daemon" || kind == "unix://":
		return dialSocket(o.socket()), nil
	case strings.HasPrefix(kind, "unix://"):
		return dialSocket(strings.TrimPrefix(kind, "unix://")), nil
	case kind == "local":
		if _, err := url.ParseQuery(rest); err != nil {
			return nil, fmt.Errorf("NIX_REMOTE is %q: %w", o.Remote, err)
		}
		return o.process()
	}
	return nil, fmt.Errorf("NIX_REMOTE is %q: flurry reads the store of this machine alone", o.Remote)
}

// isBarred reports whether this user may not even look for a socket: a daemon has it, and is a group's alone.
func isBarred(name string) bool {
	_, err := os.Lstat(name)
	return errors.Is(err, fs.ErrPermission)
}

func (o Options) socket() string {
	switch {
	case o.Socket != "":
		return o.Socket
	case o.StateDir != "":
		return filepath.Join(o.StateDir, "daemon-socket/socket")
	}
	return filepath.Join(defaultStateDir, "daemon-socket/socket")
}

// StoreDir is the directory in which the files of /nix/store lie.
func (o Options) StoreDir() string { return o.realDir() }

// Database is the directory of the database in which Nix keeps what is valid. For a daemon elsewhere than it usually is
// that is a guess.
func (o Options) Database() string {
	_, rest, _ := strings.Cut(o.Remote, "?")
	if query, err := url.ParseQuery(rest); err == nil {
		if state := query.Get("state"); state != "" {
			return filepath.Join(state, "db")
		}
		if root := query.Get("root"); root != "" {
			return filepath.Join(root, defaultStateDir, "db")
		}
	}
	if o.StateDir != "" {
		return filepath.Join(o.StateDir, "db")
	}
	return filepath.Join(defaultStateDir, "db")
}

// realDir is where the files of /nix/store lie.
func (o Options) realDir() string {
	if o.RealDir != "" {
		return o.RealDir
	}
	_, rest, _ := strings.Cut(o.Remote, "?")
	if query, err := url.ParseQuery(rest); err == nil {
		if real := query.Get("real"); real != "" {
			return real
		}
		if root := query.Get("root"); root != "" {
			return filepath.Join(root, nix.StoreDir)
		}
	}
	return nix.StoreDir
}

func isSocket(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Type() == fs.ModeSocket
}

func dialSocket(path string) dialer {
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		c, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if err != nil {
			return nil, &DownError{Socket: path, Err: reason(err)}
		}
		return c, nil
	}
}

// reason takes what the system said out of a network error, which repeats the
// path.
func reason(err error) error {
	var system *os.SyscallError
	if errors.As(err, &system) {
		return system.Err
	}
	return err
}

func (o Options) process() (dialer, error) {
	command := o.Command
	if len(command) == 0 {
		command = []string{"nix-daemon", "--stdio"}
	}
	program, err := findProgram(command[0])
	if err != nil {
		return nil, fmt.Errorf("%w: no daemon at %s, and no %s", ErrNoNix, o.socket(), command[0])
	}
	return func(context.Context) (io.ReadWriteCloser, error) {
		cmd := exec.Command(program, command[1:]...)
		cmd.Env = append(cmd.Environ(), "NIX_REMOTE="+o.Remote)
		if o.StateDir != "" {
			cmd.Env = append(cmd.Env, "NIX_STATE_DIR="+o.StateDir)
		}
		return startProcess(cmd)
	}, nil
}

// findProgram looks where Nix installs itself, too: a service's PATH seldom has
// it.
func findProgram(name string) (string, error) {
	program, err := exec.LookPath(name)
	if err == nil || strings.Contains(name, "/") {
		return program, err
	}
	for _, dir := range []string{defaultStateDir + "/profiles/default/bin", "/run/current-system/sw/bin"} {
		if program, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return program, nil
		}
	}
	return "", err
}

// process is a daemon of our own as a stream.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout io.ReadCloser
	stderr *tail
}

func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, stderr: new(tail)}
	cmd.Stderr = p.stderr
	cmd.WaitDelay = stderrGrace
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if p.stdout, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

func (p *process) Write(b []byte) (int, error) { return p.stdin.Write(b) }

func (p *process) Read(b []byte) (int, error) { return p.stdout.Read(b) }

// Close ends the process and waits for its end. Killing it loses nothing: it
// only reads, and Nix clears away the temporary roots of processes that are
// gone. The error is what the process wrote to its standard error, if anything.
func (p *process) Close() error {
	p.stdin.Close()
	p.stdout.Close()
	p.cmd.Process.Kill()
	p.cmd.Wait() // its error is the kill
	if said := p.stderr.String(); said != "" {
		return fmt.Errorf("%s says: %s", filepath.Base(p.cmd.Path), said)
	}
	return nil
}

// tail keeps the last bytes written to it. It is read when the writer is done.
type tail struct {
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - maxStderr; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	return strings.TrimSpace(string(t.buf))
}
