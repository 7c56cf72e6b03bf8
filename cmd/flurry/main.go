// Command flurry is a peer-to-peer binary cache for Nix: the daemon, its command line, and the demo.
//
// It owns the wiring: it reads flags, files, keys and the environment, opens disks, sockets and the libp2p host, and
// builds everything else from them, by hand, top to bottom (instance.go). What flurry does is in the packages below.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/flurry-nix/flurry/internal/setup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	code := run(ctx, os.Args[1:], environment{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv, uid: os.Getuid(),
		machine: setup.Real{Root: "/"}, program: os.Executable, clock: time.Now,
		inTerminal: isTerminal(os.Stdin), outTerminal: isTerminal(os.Stdout), errTerminal: isTerminal(os.Stderr),
	})
	stop()
	os.Exit(code)
}

// environment is what a command has of the world it runs in.
type environment struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
	uid      int              // the user's id; 0 is root
	clock    func() time.Time // what a node goes by; nil: the machine's

	inTerminal  bool // somebody can be asked
	outTerminal bool // the screen can be drawn anew
	errTerminal bool // progress bars can be drawn

	machine setup.Machine          // what setup changes and doctor looks at
	program func() (string, error) // the file that this process was started from
}
