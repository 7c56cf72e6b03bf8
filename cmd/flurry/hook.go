package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/internal/spool"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

const (
	// hookLimit is how long a hook may take in all, whatever hangs: Nix waits for it. The process itself needs the rest of
	// two seconds to start and to end.
	hookLimit = 1500 * time.Millisecond
	// hookAsks is how long a daemon may take to answer one that could not write into the queue.
	hookAsks = time.Second
)

// hookCommand is what Nix runs after each build. It never fails, and says something only when what was built is lost.
func (sh *shell) hookCommand() *cobra.Command {
	var script bool
	cmd := &cobra.Command{
		Use:    "hook [NAMESPACE…]",
		Short:  "Nix's post-build-hook: have what was built published, soon",
		Hidden: true,
		Args:   cobra.ArbitraryArgs,
		Long: "What Nix says in OUT_PATHS, or in DRV_PATH, is put into a queue on the disk, and published by the daemon when it\n" +
			"runs: to NAMESPACE, or to all that take what a hook gives (flurry publish NAMESPACE --hook). It exits with 0\n" +
			"within two seconds, whatever is wrong.",
		Example: "  flurry hook --script | sudo install -m 755 /dev/stdin /etc/nix/flurry-hook\n  OUT_PATHS=/nix/store/… flurry hook acme-1",
		RunE: func(cmd *cobra.Command, args []string) error {
			if script {
				return sh.hookScript(args)
			}
			sh.hook(cmd.Context(), args)
			return nil
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		sh.hookSays("%v", err)
		return &exitError{report.ExitOK}
	})
	cmd.Flags().BoolVar(&script, "script", false, "print the script that post-build-hook in nix.conf names")
	return cmd
}

// hookScript prints the script that Nix runs. It is well also when flurry is gone.
func (sh *shell) hookScript(namespaces []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	words := []string{self, "hook"}
	if state, _ := sh.hookPlaces(); state != sh.home().state {
		if state, err = filepath.Abs(state); err != nil {
			return err
		}
		words = append(words, "--state", state)
	}
	_, err = io.WriteString(sh.out, hookText(append(words, namespaces...)...))
	return err
}

// hookText is the script that runs the command.
func hookText(command ...string) string {
	words := make([]string, len(command))
	for i, w := range command {
		words[i] = quoteShell(w)
	}
	return fmt.Sprintf("#!/bin/sh\n# Nix's post-build-hook. It must never fail or delay a build, not even when flurry is gone.\n[ -x %s ] && timeout -s KILL 2 %s \"$@\"\nexit 0\n",
		words[0], strings.Join(words, " "))
}

// plainWord is what a shell takes as it stands.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

func quoteShell(w string) string {
	if plainWord.MatchString(w) {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

// hookPlaces are the state directory and the control socket. A configuration that is wrong is no reason not to find them.
func (sh *shell) hookPlaces() (state, socket string) {
	name, _ := sh.configFile()
	state, _ = sh.locate(readPlaces(name), sh.home())
	return state, sh.socketPath()
}

// hook puts what was built into the queue. It returns in time, also when the disk hangs: what is under way ends with the
// process.
func (sh *shell) hook(ctx context.Context, namespaces []string) {
	ctx, cancel := context.WithTimeout(ctx, hookLimit)
	defer cancel()
	done := make(chan error, 1)
	began := time.Now()
	go func() { done <- sh.enqueueBuilt(ctx, began, namespaces) }()
	err := context.DeadlineExceeded
	select {
	case err = <-done:
	case <-ctx.Done():
		select { // both may have come
		case err = <-done:
		default:
		}
	}
	if err != nil {
		sh.hookSays("%v", err)
	}
}

// hookSays tells whoever builds that what was built is not published. It is talk, and a line of it.
func (sh *shell) hookSays(format string, args ...any) {
	why := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")
	fmt.Fprintf(sh.err, "flurry: what was built is not published: %s\n", why)
}

// enqueueBuilt queues what Nix says was built.
func (sh *shell) enqueueBuilt(ctx context.Context, began time.Time, namespaces []string) error {
	state, socket := sh.hookPlaces()
	noteHook(state, spool.HookRun{Began: began})
	defer func() { noteHook(state, spool.HookRun{Began: began, Took: time.Since(began), Ended: true}) }()
	paths, err := sh.built()
	if err != nil || len(paths) == 0 {
		return err
	}
	for some := range slices.Chunk(paths, spool.MaxPaths) {
		e := spool.Entry{Time: time.Now(), Why: "hook", Namespaces: namespaces, Paths: some}
		if err := addTo(state, e); err != nil {
			if asked := askToQueue(ctx, socket, e); asked != nil {
				return fmt.Errorf("%w; and %w", err, asked)
			}
		}
	}
	if sh.verbose > 0 {
		fmt.Fprintf(sh.err, "flurry: %d built paths wait to be published\n", len(paths))
	}
	return nil
}

// noteHook notes how this hook runs, for doctor. Who may not write there notes nothing.
func noteHook(state string, h spool.HookRun) {
	q, err := spool.Open(state)
	if err != nil {
		return // adding what was built says why
	}
	_ = q.NoteHook(h) // the hook does its work without
	_ = q.Close()
}

// addTo puts an entry into the queue of a state directory. No daemon is needed for that.
func addTo(state string, e spool.Entry) error {
	q, err := spool.Open(state)
	if err != nil {
		return err
	}
	return errors.Join(q.Add(e), q.Close())
}

// askToQueue has the daemon do the same: for users who may not write there.
func askToQueue(ctx context.Context, socket string, e spool.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, hookAsks)
	defer cancel()
	r := control.QueueRequest{Namespaces: e.Namespaces}
	for _, p := range e.Paths {
		r.Paths = append(r.Paths, p.String())
	}
	_, err := control.Dial(socket).Queue(ctx, r)
	return err
}

// maxHookPaths bounds what one build is believed to have made.
const maxHookPaths = 10_000

// built is what Nix says in its hook's environment was built. Nix 2.8.0 leaves OUT_PATHS empty; then the derivation says.
func (sh *shell) built() (paths []nix.StorePath, err error) {
	words := strings.Fields(sh.getenv("OUT_PATHS"))
	if len(words) == 0 {
		drv := sh.getenv("DRV_PATH")
		if drv == "" {
			return nil, errors.New("neither OUT_PATHS nor DRV_PATH says what it is: is this Nix's post-build-hook?")
		}
		return outputsOf(sh.nixOptions().StoreDir(), drv)
	}
	if len(words) > maxHookPaths {
		return nil, fmt.Errorf("OUT_PATHS has %d paths, more than %d", len(words), maxHookPaths)
	}
	for _, w := range words {
		p, err := nix.ParseStorePath(w)
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(p.Name(), ".drv") {
			paths = append(paths, p)
		}
	}
	return paths, nil
}

// oneOutput is an output in the list with which a derivation begins: ("out","/nix/store/…","","")
var oneOutput = regexp.MustCompile(`^\("[^"\\]+","([^"\\]*)","[^"\\]*","[^"\\]*"\)`)

// outputsOf are the outputs of a derivation that are there, in the directory in which store paths lie.
func outputsOf(store, name string) (paths []nix.StorePath, err error) {
	drv, err := nix.ParseStorePath(name)
	if err != nil {
		return nil, fmt.Errorf("DRV_PATH: %w", err)
	}
	f, err := os.Open(filepath.Join(store, drv.Base()))
	if err != nil {
		return nil, fmt.Errorf("DRV_PATH: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxDerivation))
	if err != nil {
		return nil, fmt.Errorf("DRV_PATH: %w", err)
	}
	all, err := parseOutputs(string(text))
	if err != nil {
		return nil, fmt.Errorf("DRV_PATH: %s: %w", drv, err)
	}
	return slices.DeleteFunc(all, func(p nix.StorePath) bool {
		_, err := os.Lstat(filepath.Join(store, p.Base()))
		return errors.Is(err, fs.ErrNotExist)
	}), nil
}

// parseOutputs reads the outputs with which the text of a derivation begins. Those whose path is not known are left out.
func parseOutputs(text string) (paths []nix.StorePath, err error) {
	rest, ok := strings.CutPrefix(text, "Derive([")
	for ok {
		m := oneOutput.FindStringSubmatch(rest)
		if m == nil {
			break
		}
		if m[1] != "" {
			p, err := nix.ParseStorePath(m[1])
			if err != nil {
				return nil, err
			}
			paths = append(paths, p)
		}
		rest = rest[len(m[0]):]
		if strings.HasPrefix(rest, "]") {
			return paths, nil
		}
		rest, ok = strings.CutPrefix(rest, ",")
	}
	return nil, errors.New("it does not say what it makes")
}
