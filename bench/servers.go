package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/flurry-nix/flurry/internal/netlab"
	"github.com/flurry-nix/flurry/report"
)

// freePort is a TCP port of loopback that nobody has now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// daemon is a running flurry.
type daemon struct {
	b       *bench
	host    *netlab.Host // what it runs on; nil: this machine
	cmd     *exec.Cmd
	state   string
	gateway string
	key     string
	port    string
}

// daemon starts a flurry on a state directory called name.
func (b *bench) daemon(ctx context.Context, name string, args ...string) (*daemon, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	d := &daemon{b: b, state: filepath.Join(b.dir, name), port: port}
	config := filepath.Join(b.dir, "daemon.toml")
	// What is measured is what lies in flurry's store: the closure is in this machine's Nix store as well.
	if err := os.WriteFile(config, []byte("[share]\nin_place = false\n"), 0o644); err != nil {
		return nil, err
	}
	return d, d.start(ctx, append([]string{"--config", config, "--loopback"}, args...)...)
}

// settled waits until the daemon has taken into its store what it put aside.
func (d *daemon) settled(ctx context.Context) error {
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		var s report.Status
		if err := d.ask(ctx, &s, "status"); err != nil || s.Store.Aside == 0 {
			return err
		}
	}
	return errors.New("the daemon does not come to rest")
}

// start runs the daemon where it belongs, and waits until it answers.
func (d *daemon) start(ctx context.Context, args ...string) error {
	line := on(d.host, append([]string{d.b.flurry, "daemon", "--state", d.state, "--gateway", "127.0.0.1:0", "--port", d.port,
		"--lan=false", "--quota", "100GiB", "-q", "--no-supervisor"}, args...)...)
	d.cmd = exec.CommandContext(ctx, line[0], line[1:]...)
	d.cmd.Stderr = os.Stderr
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		return err
	}
	var s report.Status
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		err := d.ask(ctx, &s, "status")
		if err == nil {
			d.gateway, d.key = s.Gateway.URL, s.Gateway.Signer
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the daemon on %s does not answer: %w", d.state, err)
		}
	}
}

// on is the command line that runs args on a host; nil: on this machine.
func on(h *netlab.Host, args ...string) []string {
	if h == nil {
		return args
	}
	return h.Enter(args...)
}

// stop ends the daemon and waits for it.
func (d *daemon) stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return d.cmd.Wait()
}

// drop ends the daemon and removes its state.
func (d *daemon) drop() error {
	if err := d.stop(); err != nil {
		return err
	}
	return os.RemoveAll(d.state)
}

// ask runs a flurry command for the daemon and reads its JSON into v.
func (d *daemon) ask(ctx context.Context, v any, args ...string) error {
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, d.b.flurry, append([]string{"--socket", filepath.Join(d.state, "control.sock"), "--json"}, args...)...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("flurry %s: %w: %s%s", args[0], err, out, errs.Bytes())
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(out, v)
}

// publisher is a daemon that has published paths to acme-1; address is the namespace's.
func (b *bench) publisher(ctx context.Context, name string, paths []string) (d *daemon, address string, err error) {
	if d, err = b.daemon(ctx, name); err != nil {
		return nil, "", err
	}
	var made report.New
	if err := d.ask(ctx, &made, "new", "acme-1"); err != nil {
		return nil, "", err
	}
	return d, made.Address, d.ask(ctx, nil, append([]string{"publish", "acme-1", "--full"}, paths...)...)
}

// consumer is a daemon that uses the namespace of a publisher and knows its catalog.
func (b *bench) consumer(ctx context.Context, name string, from *daemon, address string, paths int) (*daemon, error) {
	d, err := b.daemon(ctx, name, "--peer", "127.0.0.1:"+from.port)
	if err != nil {
		return nil, err
	}
	if err := d.ask(ctx, nil, "use", address); err != nil {
		return nil, err
	}
	return d, d.lists(ctx, paths)
}

// lists waits until the daemon's one namespace has that many paths.
func (d *daemon) lists(ctx context.Context, paths int) error {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var s report.Status
		if err := d.ask(ctx, &s, "status"); err != nil {
			return err
		}
		if len(s.Namespaces) > 0 && s.Namespaces[0].Paths >= paths {
			return nil
		}
	}
	return fmt.Errorf("%d paths were not listed in time", paths)
}

// nginx serves a directory until stop is called.
func (b *bench) nginx(ctx context.Context, root string) (url string, stop func() error, err error) {
	port, err := freePort()
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "nginx-")
	if err != nil {
		return "", nil, err
	}
	conf := fmt.Sprintf("daemon off; worker_processes auto; pid %[1]s/pid; error_log %[1]s/error.log;\nevents { worker_connections 1024; }\n"+
		"http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; open_file_cache max=10000 inactive=60s; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;\n"+
		"server { listen 127.0.0.1:%[2]s; root %[3]s; } }\n", dir, port, root)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o644); err != nil {
		return "", nil, err
	}
	if err := exec.CommandContext(ctx, "chmod", "-R", "a+rX", b.dir).Run(); err != nil { // its workers are nobody
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, "nginx", "-c", filepath.Join(dir, "nginx.conf"), "-e", filepath.Join(dir, "error.log"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	url = "http://127.0.0.1:" + port
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		resp, err := http.Get(url + "/nix-cache-info")
		if err == nil {
			resp.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			return "", nil, fmt.Errorf("nginx does not answer: %w", err)
		}
	}
	return url, func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		return cmd.Wait()
	}, nil
}

// nix runs a Nix command with a home of its own.
func (b *bench) nix(ctx context.Context, args ...string) error { return b.nixOn(ctx, nil, args...) }

// nixOn does so on a host.
func (b *bench) nixOn(ctx context.Context, h *netlab.Host, args ...string) error {
	home, err := os.MkdirTemp(b.dir, "home-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	line := on(h, append([]string{"nix", "--extra-experimental-features", "nix-command", "--option", "substituters", ""}, args...)...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+home, "XDG_CONFIG_HOME="+home, "NIX_CONFIG=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nix %s: %w: %s", args[0], err, out)
	}
	return nil
}

// copyFrom is how long nix copy takes to bring paths from url into an empty store.
func (b *bench) copyFrom(ctx context.Context, url, key string, paths []string) (float64, error) {
	return b.copyOn(ctx, nil, url, key, paths)
}

// copyOn is copyFrom on a host.
func (b *bench) copyOn(ctx context.Context, h *netlab.Host, url, key string, paths []string) (float64, error) {
	root, err := os.MkdirTemp(b.dir, "root-")
	if err != nil {
		return 0, err
	}
	args := []string{"copy", "--from", url, "--to", "local?root=" + root}
	if key == "" {
		args = append(args, "--no-check-sigs")
	} else {
		args = append(args, "--option", "trusted-public-keys", key)
	}
	took, err := timed(func() error { return b.nixOn(ctx, h, append(args, paths...)...) })
	if err != nil {
		return 0, err
	}
	return took, removeAll(root)
}

// narBytes is the sum of the NAR sizes of paths.
func narBytes(ctx context.Context, paths []string) (sum int64) {
	out, err := exec.CommandContext(ctx, "nix-store", append([]string{"--query", "--size"}, paths...)...).Output()
	if err != nil {
		return 0
	}
	for _, line := range strings.Fields(string(out)) {
		var n int64
		if _, err := fmt.Sscan(line, &n); err == nil {
			sum += n
		}
	}
	return sum
}
