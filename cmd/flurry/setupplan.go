package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/flurry-nix/flurry/internal/setup"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/report"
)

// units are the service manager's files, for the program at installedBinary.
//
//go:embed systemd
var units embed.FS

const (
	installedBinary = "/usr/local/bin/flurry"
	serviceUser     = "flurry"
	includeLine     = "!include flurry.conf"
	// negativeTTL is for how many seconds Nix is to remember "not here": an hour, its default, is too long for what is
	// published while people work.
	negativeTTL = 60
)

// site is where setup puts things.
type site struct {
	machine                                          setup.Machine
	user                                             bool
	self, binary, config, state, units, nix, journal string
	systemctl                                        []string
}

// hook is the script that nix.conf may name as post-build-hook.
func (s site) hook() string { return filepath.Join(s.nix, "flurry-hook") }

// real is a file's name for this process.
func (s site) real(name string) string { return s.machine.At(name) }

func (sh *shell) site(f setupFlags) (site, error) {
	self, err := sh.program()
	if err != nil {
		return site{}, err
	}
	s := site{machine: sh.machine, self: self, binary: installedBinary, config: systemConfig, state: systemState, units: "/etc/systemd/system",
		nix: sh.nixConfDir(), systemctl: []string{"systemctl"}}
	if f.user {
		home := sh.home()
		s.user, s.config, s.state = true, home.config, home.state
		s.binary = filepath.Join(sh.getenv("HOME"), ".local/bin/flurry")
		s.units = filepath.Join(sh.userDir("XDG_CONFIG_HOME", ".config"), "systemd/user")
		s.nix = filepath.Join(sh.userDir("XDG_CONFIG_HOME", ".config"), "nix")
		s.systemctl = append(s.systemctl, "--user")
	}
	for _, dir := range []string{"/usr/bin/", "/usr/local/bin/", "/bin/"} { // installed by somebody else
		if strings.HasPrefix(self, dir) {
			s.binary = self
		}
	}
	s.journal = filepath.Join(filepath.Dir(s.config), "setup")
	return s, nil
}

// plan is what is to be done.
type plan struct {
	sh    *shell
	site  site
	flags setupFlags

	head      string
	steps     []setup.Step // all that is to be done
	first     int          // how many of them have to be done before the others are known: the user's id, the key; 0: they are
	notes     []string
	asksShare bool
	module    string // for NixOS, where it is all that there is to do

	uid, gid int
	restarts bool       // the service has to be started anew
	resocket bool       // and its sockets, which are others
	past     setup.Past // what setups before this one did
}

// owes reports whether a command is left to run.
func (p *plan) owes(command []string) bool {
	return slices.ContainsFunc(p.past.Owed, func(o []string) bool { return slices.Equal(o, command) })
}

func (p *plan) report() report.Setup {
	r := report.Setup{Schema: "flurry/setup/1", Head: p.head, Steps: []report.SetupStep{}, Notes: p.notes, Undo: p.flags.command() + " --undo", Next: "flurry use NAMESPACE        flurry doctor"}
	if r.Notes == nil {
		r.Notes = []string{}
	}
	for _, s := range p.steps {
		if s.Verb != "" {
			r.Steps = append(r.Steps, report.SetupStep{Verb: s.Verb, What: s.What, Lines: s.Lines})
		}
	}
	if p.flags.seed {
		r.Next = "flurry seed KEY --quota SIZE"
	}
	return r
}

// byHand is how the daemon is started where nobody does it: as the unit would, as the same user, in the same places.
func (p *plan) byHand(ctx context.Context) (string, error) {
	if p.site.user {
		return p.site.binary + " daemon", nil
	}
	group, err := p.nixGroup(ctx)
	if group != "" {
		group = fmt.Sprintf("sudo usermod -aG %s %s && ", group, serviceUser)
	}
	run := filepath.Dir(systemSocket)
	return fmt.Sprintf("%ssudo install -d -o %s %s && sudo -u %s %s daemon --config %s --state %s --socket %s", group, serviceUser, run, serviceUser, p.site.binary, p.site.config, p.site.state, systemSocket), err
}

// plan finds out what is to be done: what is done already is not in it.
func (sh *shell) plan(ctx context.Context, site site, f setupFlags) (*plan, error) {
	p := &plan{sh: sh, site: site, flags: f}
	if _, err := sh.machine.Read("/etc/NIXOS"); err == nil && !site.user {
		return p, p.nixOS()
	}
	systemd := sh.machine.IsDir("/run/systemd/system")
	version, multi := sh.nixFound(ctx)
	p.head = planHead(version, multi, systemd)
	var err error
	if p.past, err = setup.Look(sh.machine, site.journal); err != nil {
		return nil, err
	}
	for _, part := range []func(context.Context) error{p.program, p.account, p.files, p.key, p.configuration} {
		if err := part(ctx); err != nil {
			return nil, err
		}
	}
	if systemd {
		if err := p.service(ctx); err != nil {
			return nil, err
		}
		p.start(ctx) // before Nix asks it, and stopped when Nix asks no more
	} else {
		by, err := p.byHand(ctx)
		if err != nil {
			return nil, err
		}
		p.notes = append(p.notes, "There is no systemd here: start it yourself, at each boot: "+by)
	}
	switch {
	case f.noNix || f.seed:
	case version == "":
		p.notes = append(p.notes, "There is no Nix here. It is connected by running this again once there is.")
	default:
		before := len(p.steps)
		if err := p.connect(ctx, systemd && multi); err != nil {
			return nil, err
		}
		if !systemd && multi && !site.user && len(p.steps) > before {
			p.notes = append(p.notes, "And start nix-daemon anew afterwards: it reads nix.conf when it starts.")
		}
	}
	if !slices.ContainsFunc(p.steps, func(s setup.Step) bool { return s.Verb != "" }) {
		p.steps, p.first = nil, 0
		p.head = "flurry is installed, and this machine's Nix is connected"
		if f.noNix || f.seed || version == "" {
			p.head = "flurry is installed"
		}
	}
	return p, nil
}

// planHead is what a plan begins with: what was found.
func planHead(nixVersion string, multi, systemd bool) string {
	found := []string{"no Nix"}
	if nixVersion != "" {
		found[0] = "Nix " + nixVersion
		if multi {
			found = append(found, "multi-user")
		}
	}
	if systemd {
		found = append(found, "systemd")
	} else {
		found = append(found, "no systemd")
	}
	return fmt.Sprintf("flurry %s will do this (%s):", version, strings.Join(found, ", "))
}

// nixFound is the version of this machine's Nix, empty without one, and whether it has a daemon.
func (sh *shell) nixFound(ctx context.Context) (version string, multi bool) {
	said, err := sh.machine.Run(ctx, "nix-store", "--version")
	if words := strings.Fields(said); err == nil && len(words) > 0 {
		version = words[len(words)-1]
	} else if sh.machine.IsDir("/nix/store") {
		version = "(of unknown version)"
	}
	return version, sh.machine.IsDir(nixSocketDir)
}

// add adds a step unless it is done. Of a file that somebody else made what it is it is told what becomes of that.
func (p *plan) add(s setup.Step) bool {
	if s.Done(p.sh.machine) {
		return false
	}
	if s.Path != "" && s.Line == "" && s.Path != p.site.binary { // another program there is what setup is run for
		switch p.past.Whose(s.Path) {
		case setup.Before:
			s.What += " (the one that is there is kept for --undo)"
		case setup.Changed:
			s.What += " (it was changed since the last setup: that is lost)"
		}
	}
	p.steps = append(p.steps, s)
	return true
}

// file is a file of whoever runs this. Who is not root only looks at what root would do.
func (p *plan) file(data []byte, mode fs.FileMode) setup.File {
	uid, gid := p.sh.machine.Owner()
	if !p.site.user && p.sh.uid != 0 {
		uid, gid = 0, 0
	}
	return setup.File{Data: data, Mode: mode, UID: uid, GID: gid}
}

// dirs makes a directory and those above it that are missing.
func (p *plan) dirs(name string) {
	if name == "/" || p.sh.machine.IsDir(name) {
		return
	}
	p.dirs(filepath.Dir(name))
	p.add(setup.Step{Dir: name, File: p.file(nil, 0o755)})
}

// program puts the program where it stays.
func (p *plan) program(context.Context) error {
	if p.site.self == p.site.binary {
		return nil
	}
	data, err := os.ReadFile(p.site.self)
	if err != nil {
		return err
	}
	p.dirs(filepath.Dir(p.site.binary))
	if p.add(setup.Step{Verb: "copy", What: p.site.self + " -> " + p.site.binary, Path: p.site.binary, File: p.file(data, 0o755)}) {
		p.restarts = true
	}
	return nil
}

// flurryUser is the user that the service runs as.
func (sh *shell) flurryUser(ctx context.Context) (ids [2]int, there bool) {
	for i, flag := range []string{"-u", "-g"} {
		said, err := sh.machine.Run(ctx, "id", flag, serviceUser)
		if err != nil {
			return ids, false
		}
		if ids[i], err = strconv.Atoi(said); err != nil {
			return ids, false
		}
	}
	return ids, true
}

// account makes the user that the service runs as. It stays, since what it owns does; --purge removes it.
func (p *plan) account(ctx context.Context) error {
	if p.site.user {
		p.uid, p.gid = p.sh.machine.Owner()
		return nil
	}
	ids, there := p.sh.flurryUser(ctx)
	p.uid, p.gid = ids[0], ids[1]
	if there {
		if home, err := p.sh.flurryHome(ctx); err == nil && home != systemState {
			return &report.Problem{ID: "user-taken", Exit: report.ExitFailed, Message: fmt.Sprintf("the user %s is somebody's, with %s as home: who is that user could read this machine's key", serviceUser, home),
				Try: []string{"the service for that user alone: flurry setup --user"}}
		}
	}
	if !there {
		p.steps = append(p.steps, setup.Step{Verb: "user", What: serviceUser + " (system user, no shell, member of no other group)",
			Run: []string{"useradd", "--system", "--user-group", "--no-create-home", "--home-dir", systemState, "--shell", "/usr/sbin/nologin", serviceUser}})
		p.first = len(p.steps)
	}
	return nil
}

// files makes the state directory.
func (p *plan) files(context.Context) error {
	p.dirs(filepath.Dir(p.site.config))
	p.dirs(filepath.Dir(p.site.state))
	p.add(setup.Step{Dir: p.site.state, File: setup.File{Mode: 0o755, UID: p.uid, GID: p.gid}})
	return nil
}

// localKey is the public half of this machine's key. An fs.ErrNotExist: it has none yet.
func (s site) localKey() (nix.PublicKey, error) {
	key, err := readSecret(s.real(filepath.Join(s.state, "keys", localKeyName+".sec")))
	if err != nil {
		return nix.PublicKey{}, err
	}
	return key.Public(), nil
}

// key makes this machine's own key, which stays when setup is undone, as all of the state does.
func (p *plan) key(context.Context) error {
	file := filepath.Join(p.site.state, "keys", localKeyName+".sec")
	if p.sh.uid != 0 && !p.site.user && p.sh.machine.IsDir(filepath.Dir(file)) {
		return nil // only looked at, and not by root, who alone sees what is in it
	}
	if p.ownsKey(file) {
		return nil
	}
	lines := []string{"Nix will trust it, and it vouches only for what a namespace you use has signed.",
		"Whoever can read it can feed your Nix: it is readable by the service alone."}
	p.steps = append(p.steps, setup.Step{Verb: "key", What: "this machine's own key, " + file, Lines: lines, Do: p.makeKey})
	if p.first == 0 {
		p.first = len(p.steps)
	}
	return nil
}

// ownsKey reports whether the key is there and is the service's, which could not read it otherwise.
func (p *plan) ownsKey(file string) bool {
	for _, name := range []string{filepath.Dir(file), file} {
		info, err := os.Lstat(p.site.real(name))
		if err != nil || !ownedBy(info, p.uid) {
			return false
		}
	}
	return true
}

func ownedBy(info fs.FileInfo, uid int) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return !ok || int(st.Uid) == uid
}

func (p *plan) makeKey() error {
	dir := p.site.real(filepath.Join(p.site.state, "keys"))
	keys, err := openKeyring(dir, nil, nil)
	if err != nil {
		return err
	}
	if _, err := keys.local(); err != nil {
		return err
	}
	return errors.Join(os.Lchown(dir, p.uid, p.gid), os.Lchown(keys.file(localKeyName), p.uid, p.gid))
}

// sharing is who is given what is merely used: what was asked for, or what a configuration that is there says. Empty: neither.
func (p *plan) sharing() (share string, configured bool, err error) {
	there, err := loadConfig(p.site.real(p.site.config), true)
	if err != nil {
		return "", false, err
	}
	share = p.flags.share
	if p.flags.seed && share == "" {
		share = "all"
	}
	if _, err := os.Lstat(p.site.real(p.site.config)); err != nil {
		return share, false, nil
	}
	if share != "" && there.config.Share.String() != share {
		return "", true, &report.Problem{ID: "configured", Exit: report.ExitUsage, Message: fmt.Sprintf("%s says [share] mode = %q, and not %q", p.site.config, there.config.Share, share),
			Try: []string{"change it there, and then: flurry setup"}}
	}
	return there.config.Share.String(), true, nil
}

// configText is a configuration that differs from the defaults in what was asked for; empty: in nothing.
func (p *plan) configText(share string) string {
	switch {
	case p.flags.seed:
		return fmt.Sprintf("[share]\nmode   = %q\nupload = \"0\"    # no limit\n", share)
	case share != "" && share != "lan":
		return fmt.Sprintf("[share]\nmode = %q\n", share)
	}
	return ""
}

// configuration writes what differs from the defaults, into a file that is not there yet.
func (p *plan) configuration(context.Context) error {
	share, configured, err := p.sharing()
	if err != nil || configured {
		return err
	}
	// Who was asked and wanted the default has no file of it: the units are written after the answer.
	_, unasked := os.Lstat(p.site.real(filepath.Join(p.site.units, "flurry.service")))
	p.asksShare = share == "" && unasked != nil
	if text := p.configText(share); text != "" {
		p.restarts = true
		p.add(setup.Step{Verb: "write", What: p.site.config, Lines: strings.Split(strings.TrimSpace(text), "\n"), Path: p.site.config, File: p.file([]byte(text), 0o644)})
	}
	return nil
}

// gateways are the addresses that Nix is to ask at, as the configuration has them.
func (p *plan) gateways() ([]string, error) {
	there, err := loadConfig(p.site.real(p.site.config), true)
	return there.config.Gateway, err
}

// service writes the units.
func (p *plan) service(ctx context.Context) error {
	listen, err := p.gateways()
	if err != nil {
		return err
	}
	kind := "system"
	if p.site.user {
		kind = "user"
	}
	group, err := p.nixGroup(ctx)
	if err != nil {
		return err
	}
	p.dirs(p.site.units)
	reload := append(slices.Clone(p.site.systemctl), "daemon-reload")
	p.steps = append(p.steps, setup.Step{Undo: reload})
	wrote := false
	for _, name := range []string{"flurry.socket", "flurry.service"} {
		text, err := units.ReadFile("systemd/" + kind + "/" + name)
		if err != nil {
			return err
		}
		text = bytes.ReplaceAll(text, []byte(installedBinary), []byte(p.site.binary))
		file := filepath.Join(p.site.units, name)
		var lines []string
		if own := []byte("Group=" + serviceUser + "\n"); group != "" && bytes.Contains(text, own) {
			text = bytes.Replace(text, own, fmt.Appendf(own, "SupplementaryGroups=%s\n", group), 1)
			lines = []string{"also in the group " + group + ", which alone may ask nix-daemon"}
		}
		if p.add(setup.Step{Verb: "unit", What: file, Lines: lines, Path: file, File: p.file(listening(text, listen), 0o644)}) {
			wrote = true
			p.resocket = p.resocket || name == "flurry.socket"
		}
	}
	if wrote || p.owes(reload) {
		p.steps = append(p.steps, setup.Step{Run: reload})
		p.restarts = true
	}
	return nil
}

// nixSocketDir is where nix-daemon's socket is.
const nixSocketDir = "/nix/var/nix/daemon-socket"

// nixGroup is the group that alone may ask nix-daemon, as with Debian's packages: the service has to be in it. Empty: everybody
// may, or there is no nix-daemon, or root alone may.
func (p *plan) nixGroup(ctx context.Context) (string, error) {
	info, err := os.Stat(p.site.real(nixSocketDir))
	if p.site.user || err != nil {
		return "", nil
	}
	of, ok := info.Sys().(*syscall.Stat_t)
	if mode := info.Mode().Perm(); !ok || mode&0o001 != 0 || mode&0o010 == 0 || of.Gid == 0 {
		return "", nil
	}
	said, err := p.sh.machine.Run(ctx, "getent", "group", strconv.FormatUint(uint64(of.Gid), 10))
	if err != nil {
		return "", fmt.Errorf("who may ask nix-daemon: %w", err)
	}
	name, _, _ := strings.Cut(said, ":")
	return name, nil
}

// listening puts the gateway's addresses into a socket unit.
func listening(unit []byte, addrs []string) []byte {
	var out []byte
	put := false
	for line := range bytes.Lines(unit) {
		if !bytes.HasPrefix(line, []byte("ListenStream=127.")) && !bytes.HasPrefix(line, []byte("ListenStream=[")) {
			out = append(out, line...)
			continue
		}
		if !put {
			for _, a := range addrs {
				out = fmt.Appendf(out, "ListenStream=%s\n", a)
			}
			put = true
		}
	}
	return out
}

// knownKey is the public key that Nix was given, for who may not read the secret one.
func (s site) knownKey(otherwise string) string {
	var c nixConf
	c.read(s.real(filepath.Join(s.nix, "flurry.conf")), 0)
	for _, word := range c.extra {
		if key, err := nix.ParsePublicKey(word); err == nil && key.Name == localKeyName {
			return word
		}
	}
	return otherwise
}

// nixLines are what nix.conf needs.
func (p *plan) nixLines() (string, error) {
	listen, err := p.gateways()
	if err != nil {
		return "", err
	}
	word := localKeyName + ":…" // in a plan that makes it
	switch key, err := p.site.localKey(); {
	case err == nil:
		word = key.String()
	case errors.Is(err, fs.ErrPermission) && p.flags.print:
		word = p.site.knownKey(word)
	case !errors.Is(err, fs.ErrNotExist) || p.first == 0:
		return "", err // Nix stops with a key that is none
	}
	return fmt.Sprintf("extra-substituters = http://%s\nextra-trusted-public-keys = %s\nnarinfo-cache-negative-ttl = %d\n", listen[0], word, negativeTTL), nil
}

// connect has Nix ask the gateway.
func (p *plan) connect(ctx context.Context, managed bool) error {
	lines, err := p.nixLines()
	if err != nil {
		return err
	}
	if err := p.barred(ctx); p.site.user && err != nil {
		p.notes = append(p.notes, fmt.Sprintf("You may not ask this machine's Nix: %v.\nRoot has to put you into the group of %s. Then log in again, and run this again.", err, filepath.Dir(err.Socket)))
		return nil
	}
	if p.site.user && !p.sh.takesSettings(ctx, p.site.real(p.sh.nixConfDir())) {
		p.notes = append(p.notes, "This machine's Nix does not take settings like these from you. Root has to add to /etc/nix/nix.conf:\n  "+strings.ReplaceAll(strings.TrimSpace(lines), "\n", "\n  ")+"\nor, to let you: trusted-users = root "+p.sh.getenv("USER"))
		return nil
	}
	restart := []string{"systemctl", "try-restart", "nix-daemon.service"}
	if managed && !p.site.user {
		p.steps = append(p.steps, setup.Step{Undo: restart})
	}
	before := len(p.steps)
	p.dirs(p.site.nix)
	conf := filepath.Join(p.site.nix, "flurry.conf")
	p.add(setup.Step{Verb: "write", What: conf, Lines: strings.Split(strings.TrimSpace(lines), "\n"), Path: conf, File: p.file([]byte(lines), 0o644)})
	if err := p.include(); err != nil {
		return err
	}
	if (len(p.steps) > before || p.owes(restart)) && managed && !p.site.user {
		p.steps = append(p.steps, setup.Step{Verb: "restart", What: "nix-daemon (running builds finish first)", Run: restart})
	}
	if !p.site.user {
		hook := p.site.hook()
		p.add(setup.Step{Verb: "write", What: hook + " (used only if nix.conf names it as post-build-hook)", Path: hook, File: p.file([]byte(hookText(p.site.binary, "hook")), 0o755)})
	}
	return nil
}

// barred is why this user may not ask Nix at all; nil: they may, or nobody answers.
func (p *plan) barred(ctx context.Context) *daemon.DownError {
	s, err := daemon.Open(ctx, p.sh.nixOptions())
	if err == nil {
		s.Close() // it was only greeted
	}
	var down *daemon.DownError
	if errors.As(err, &down) && errors.Is(err, fs.ErrPermission) {
		return down
	}
	return nil
}

// include has nix.conf read the file. Where another program writes nix.conf, and reads nix.custom.conf from it, that is where it
// goes.
func (p *plan) include() error {
	name := filepath.Join(p.site.nix, "nix.conf")
	if f, err := p.sh.machine.Read(name); err == nil && hasLine(f.Data, "!include nix.custom.conf") {
		name = filepath.Join(p.site.nix, "nix.custom.conf")
	}
	f, err := p.sh.machine.Read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f = p.file(nil, 0o644)
	case err != nil:
		there := "!include " + filepath.Join(p.site.nix, "flurry.conf")
		if text, err := os.ReadFile(p.site.real(name)); err == nil && hasLine(text, there) {
			return nil // whoever makes it has added it
		}
		return &report.Problem{ID: "nix-conf", Exit: report.ExitFailed, Message: name + " cannot be changed: " + err.Error(),
			Try: []string{"where it is made, add the line: " + there, "and then, once more: flurry setup"}}
	}
	if hasLine(f.Data, includeLine) {
		return nil
	}
	data := slices.Clone(f.Data)
	if len(data) > 0 && data[len(data)-1] != '\n' {
		data = append(data, '\n')
	}
	f.Data = append(data, includeLine+"\n"...)
	p.add(setup.Step{Verb: "edit", What: fmt.Sprintf("%s: one line added at the end, %q", name, includeLine), Path: name, File: f, Line: includeLine})
	return nil
}

func hasLine(text []byte, want string) bool {
	for line := range bytes.Lines(text) {
		if string(bytes.TrimSpace(line)) == want {
			return true
		}
	}
	return false
}

// start has the service manager run it, now and from now on.
func (p *plan) start(ctx context.Context) {
	ctl := func(words ...string) []string { return append(slices.Clone(p.site.systemctl), words...) }
	enable, restart, all := ctl("enable", "--now", "flurry.socket", "flurry.service"), ctl("try-restart", "flurry.service"), ctl("try-restart", "flurry.socket", "flurry.service")
	_, err := p.sh.machine.Run(ctx, ctl("is-enabled", "--quiet", "flurry.service")...)
	switch {
	case err != nil || p.owes(enable):
		p.steps = append(p.steps, setup.Step{Verb: "start", What: "flurry, now and whenever this machine starts",
			Run: enable, Undo: ctl("disable", "--now", "flurry.service", "flurry.socket")})
	case p.resocket || p.owes(all): // a socket that is open stays as it is otherwise
		p.steps = append(p.steps, setup.Step{Verb: "restart", What: "flurry and its sockets (what it is giving out is given first)", Run: all})
	case p.restarts || p.owes(restart):
		p.steps = append(p.steps, setup.Step{Verb: "restart", What: "flurry (what it is giving out is given first)", Run: restart})
	}
}

// printNixConf prints what nix.conf needs, for a service that writes it into a file; the key is made if it is missing.
func (sh *shell) printNixConf(site site) error {
	p := &plan{sh: sh, site: site}
	p.uid, p.gid = sh.machine.Owner()
	if _, err := site.localKey(); errors.Is(err, fs.ErrNotExist) {
		if err := p.makeKey(); err != nil {
			return err
		}
	}
	lines, err := p.nixLines()
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(sh.out, lines)
	return err
}
