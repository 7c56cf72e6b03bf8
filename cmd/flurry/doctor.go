package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/report"
)

// doctorTime is how long one question of doctor's may take: a cache that is slower is told to be slow.
const doctorTime = 3 * time.Second

func (sh *shell) doctorCommand() *cobra.Command {
	var fix bool
	cmd := &cobra.Command{
		Use:               "doctor",
		Short:             "whether everything is as it should be, and what to do where it is not",
		Args:              sh.args(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		SuggestFor:        []string{"check", "health", "diagnose"},
		Long: "It looks at Nix, the gateway, keys, namespaces, the network and the disk, and changes nothing.\n" +
			"The exit code is 1 if something fails.",
		Example: "  flurry doctor\n  sudo flurry doctor --fix",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return sh.doctor(cmd.Context(), fix)
		},
	}
	cmd.Flags().BoolVar(&fix, "fix", false, "mend what can be mended, after asking")
	return cmd
}

func (sh *shell) doctor(ctx context.Context, fix bool) error {
	e, err := sh.examine(ctx)
	if err != nil {
		return err
	}
	d := e.checkAll(ctx)
	if fix && len(e.fixes) == 0 {
		sh.say("flurry: there is nothing that doctor can mend")
	}
	if fix && len(e.fixes) > 0 {
		if !sh.json {
			d.PrintText(sh.out)
		}
		if err := e.mend(ctx); err != nil {
			return err
		}
		if e, err = sh.examine(ctx); err != nil {
			return err
		}
		d = e.checkAll(ctx)
	}
	if err := sh.answer(d, d.PrintText); err != nil {
		return err
	}
	return exit(d.Exit())
}

// mend does what can be done, each after asking. Setup's words are talk here: doctor's answer is what it finds afterwards.
func (e *examined) mend(ctx context.Context) error {
	if e.sh.json {
		talk := *e.sh
		talk.json, talk.out = false, e.sh.err
		e.sh = &talk
	}
	var fixes []fixing
	for _, f := range e.fixes {
		if !slices.ContainsFunc(fixes, func(o fixing) bool { return o.what == f.what }) {
			fixes = append(fixes, f)
		}
	}
	slices.SortStableFunc(fixes, func(a, b fixing) int { return strings.Compare(a.what, b.what) }) // chmod before setup, which reads the key
	for _, f := range fixes {
		if err := e.sh.confirm("Mend it: "+f.what+"?", "flurry doctor --fix"); err != nil {
			return err
		}
		if err := f.do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// fixing is something that can be mended.
type fixing struct {
	what string
	do   func(ctx context.Context) error
}

// examined is what doctor looks at.
type examined struct {
	sh     *shell
	site   site
	conf   parsed                 // the configuration
	wrong  *report.Problem        // what is wrong with its file, in whose place conf is the usual one; nil: nothing
	status report.Status          // of the daemon
	down   error                  // why there is no status
	shown  map[string]report.Show // what is known of each namespace, by alias
	nix    nixConf                // what nix.conf says
	found  string                 // the version of this machine's Nix; empty: there is none
	multi  bool
	http   *http.Client
	here   string // the directory that the user is in

	nixAnswers func(context.Context) error // asks nix-daemon
	takes      func(context.Context) bool  // whether Nix takes settings from this user
	ignored    bool                        // it does not, and needs them
	writers    func(ctx context.Context, alias string) (report.Writers, error)
	diskKind   func(dir string) (uint32, error)
	interfaces func() ([]net.Interface, error)

	checks []report.DoctorCheck
	fixes  []fixing
}

func (sh *shell) examine(ctx context.Context) (*examined, error) {
	site, err := sh.site(setupFlags{user: sh.uid != 0 && sh.isUsers()})
	if err != nil {
		return nil, err
	}
	e := &examined{sh: sh, site: site, http: &http.Client{Timeout: doctorTime, Transport: &http.Transport{DisableKeepAlives: true}}, here: ".", writers: sh.writersOf, nixAnswers: sh.nixDaemonAnswers,
		diskKind: diskKind, interfaces: net.Interfaces}
	e.takes = func(ctx context.Context) bool { return sh.takesSettings(ctx, site.real(sh.nixConfDir())) }
	name, named := sh.configFile()
	if !named {
		name = site.real(site.config)
	}
	if e.conf, err = loadNamed(name, named); err != nil {
		e.wrong = sh.problem(err)
		if e.conf, err = parseConfig(name, nil); err != nil { // as without the file
			return nil, err
		}
		e.conf.file.State = readPlaces(name).State
	}
	asking, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	e.status, e.down = sh.daemon().Status(asking, control.StatusRequest{Peers: true})
	e.shown = make(map[string]report.Show)
	for _, n := range e.status.Namespaces {
		if s, err := sh.daemon().Show(asking, control.ShowRequest{Namespace: n.Alias, Writers: true}); err == nil {
			e.shown[n.Alias] = s
		}
	}
	e.found, e.multi = sh.nixFound(ctx)
	e.nix = nixConf{trusted: []string{defaultNixKey}, substituters: []string{defaultNixCache}, negativeTTL: defaultNegativeTTL}
	e.nix.read(filepath.Join(site.real(sh.nixConfDir()), "nix.conf"), 0)
	if site.user {
		e.nix.read(filepath.Join(site.real(site.nix), "nix.conf"), 0)
	}
	return e, nil
}

// isUsers reports whether the daemon that commands find is the user's own.
func (sh *shell) isUsers() bool {
	return sh.socketPath() != systemSocket
}

// checkAll makes every check.
func (e *examined) checkAll(ctx context.Context) report.Doctor {
	for _, check := range []func(context.Context){e.nixVersion, e.nixDaemon, e.nixUser, e.nixSubstituter, e.nixMany, e.nixLeak, e.nixKey, e.nixDaemonAge, e.nixProxy, e.nixTTL, e.nixHook,
		e.configuration, e.gatewayURL, e.gatewayHost, e.gatewayStandby, e.keyFiles, e.keyBackups, e.namespaces, e.writerKeys, e.reach, e.clock, e.buffers, e.files, e.multicast, e.storeRoom, e.storeDisk, e.others} {
		check(ctx)
	}
	d := report.Doctor{Checks: e.checks}
	d.Complete()
	return d
}

func (e *examined) add(id string, status report.CheckStatus, try []string, format string, args ...any) {
	e.checks = append(e.checks, report.DoctorCheck{ID: id, Status: status, Text: fmt.Sprintf(format, args...), Try: try})
}

func (e *examined) ok(id, format string, args ...any) {
	e.add(id, report.CheckOK, nil, format, args...)
}

// bySetup is add of something that setup mends.
func (e *examined) bySetup(id string, status report.CheckStatus, format string, args ...any) {
	f := setupFlags{user: e.site.user}
	command := f.command()
	e.add(id, status, []string{command}, format, args...)
	e.checks[len(e.checks)-1].Fix = command
	e.fixes = append(e.fixes, fixing{command, func(ctx context.Context) error { return e.sh.setup(ctx, f) }})
}

// configuration says what the daemon will refuse when it starts, or is told to read its file anew.
func (e *examined) configuration(context.Context) {
	if p := e.wrong; p != nil {
		e.add("gateway.config", report.CheckFail, append(slices.Clone(p.Try), "correct it, then: sudo systemctl reload flurry"), "%s", strings.Join(append([]string{p.Message}, p.Found...), "; "))
	}
}

// keyDir is where this machine's keys are.
func (e *examined) keyDir() string {
	return filepath.Join(e.stateDir(), "keys")
}

// stateDir is the daemon's state directory.
func (e *examined) stateDir() string {
	return first(e.sh.state, e.sh.getenv("FLURRY_STATE"), e.conf.file.State, e.site.state)
}

// keyFiles looks at who can read secret keys.
func (e *examined) keyFiles(context.Context) {
	dir := e.keyDir()
	real := e.site.real(dir)
	all, err := os.ReadDir(real)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.ok("keys.mode", "no keys yet")
		return
	case err != nil:
		e.add("keys.mode", report.CheckSkip, []string{"sudo flurry doctor"}, "who can read the keys in %s is for its owner to see", dir)
		return
	}
	bad := 0
	for _, entry := range all {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || !strings.HasSuffix(entry.Name(), ".sec") || info.Mode().Perm()&0o077 == 0 {
			continue
		}
		bad++
		file := filepath.Join(dir, entry.Name())
		command := "chmod 600 " + file
		e.add("keys.mode", report.CheckFail, []string{command}, "%s is readable by others (%04o): flurry does not use it", file, info.Mode().Perm())
		e.checks[len(e.checks)-1].Fix = command
		e.fixes = append(e.fixes, fixing{command, func(context.Context) error { return closeFile(filepath.Join(real, entry.Name())) }})
	}
	for a, file := range e.conf.config.KeyFiles {
		if strings.HasPrefix(file, "/nix/store/") {
			bad++
			e.add("keys.store", report.CheckFail, []string{"flurry new NAME        a key elsewhere, and a new namespace for it"}, "the key of %s is in /nix/store, where everybody can read it, for ever", a.Name())
		}
	}
	if bad == 0 {
		e.ok("keys.mode", "secret keys are readable by their owner alone")
	}
}

// closeFile takes a file from all but its owner. It follows no link: the directory is the service's, and root is asking.
func closeFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close() // it was only read
	return f.Chmod(0o600)
}
