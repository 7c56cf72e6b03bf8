package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/report"
)

// nixDaemon looks whether a Nix of many users answers.
func (e *examined) nixDaemon(ctx context.Context) {
	if e.found == "" || !e.multi {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	err := e.nixAnswers(ctx)
	var down *daemon.DownError
	if errors.As(err, &down) {
		try := []string{"sudo systemctl restart nix-daemon.socket nix-daemon"}
		if errors.Is(err, fs.ErrPermission) {
			try = mayAskNix(down)
		}
		e.add("nix.daemon", report.CheckFail, try, "%v", down)
		return
	}
	if err != nil {
		e.add("nix.daemon", report.CheckFail, []string{"sudo systemctl restart nix-daemon"}, "Nix does not answer: %v", reasonOf(err))
		return
	}
	e.ok("nix.daemon", "Nix answers")
}

// nixDaemonAnswers asks this machine's Nix who it is: its daemon, and for root without one the store itself.
func (sh *shell) nixDaemonAnswers(ctx context.Context) error {
	s, err := daemon.Open(ctx, sh.nixOptions())
	if err != nil {
		return err
	}
	return s.Close()
}

// nixDaemons are the processes of nix-daemon: the one that others are the children of, and those.
func (e *examined) nixDaemons() (pids []string) {
	all, err := os.ReadDir(e.site.real("/proc"))
	if err != nil {
		return nil
	}
	for _, p := range all {
		name, err := os.ReadFile(filepath.Join(e.site.real("/proc"), p.Name(), "comm"))
		if err == nil && strings.TrimSpace(string(name)) == "nix-daemon" {
			pids = append(pids, p.Name())
		}
	}
	return pids
}

const (
	// userHZ is the unit of times in /proc/PID/stat, the same on each architecture that Go runs on (proc_pid_stat(5)).
	userHZ = 100
	// startSlack is how far off a start time from /proc can be: the time of boot there is in whole seconds.
	startSlack = 2 * time.Second
)

// booted is when the kernel started, as the clock is now.
func (e *examined) booted() (time.Time, bool) {
	text, err := os.ReadFile(e.site.real("/proc/stat"))
	if err != nil {
		return time.Time{}, false
	}
	for line := range strings.Lines(string(text)) {
		if word, ok := strings.CutPrefix(line, "btime "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(word), 10, 64)
			return time.Unix(n, 0), err == nil
		}
	}
	return time.Time{}, false
}

// started is when a process was. The times of /proc/PID itself say when somebody first looked at it.
func (e *examined) started(pid string, booted time.Time) (time.Time, bool) {
	text, err := os.ReadFile(filepath.Join(e.site.real("/proc"), pid, "stat"))
	if err != nil {
		return time.Time{}, false
	}
	_, rest, _ := strings.Cut(string(text[bytes.LastIndexByte(text, ')')+1:]), " ") // the name before it may have blanks
	words := strings.Fields(rest)
	const startTime = 22 - 3 // the 22nd of all; the third is the first of these
	if len(words) <= startTime {
		return time.Time{}, false
	}
	ticks, err := strconv.ParseInt(words[startTime], 10, 64)
	return booted.Add(time.Duration(ticks) * (time.Second / userHZ)), err == nil
}

// nixDaemonAge looks whether the daemon has read the configuration as it is.
func (e *examined) nixDaemonAge(context.Context) {
	booted, ok := e.booted()
	if e.found == "" || !e.multi || !ok {
		return
	}
	var changed time.Time
	for _, name := range []string{"nix.conf", "nix.custom.conf", "flurry.conf"} {
		if info, err := os.Stat(e.site.real(filepath.Join(e.sh.nixConfDir(), name))); err == nil && info.ModTime().After(changed) {
			changed = info.ModTime()
		}
	}
	var oldest time.Time // others serve one client each
	for _, pid := range e.nixDaemons() {
		if at, ok := e.started(pid, booted); ok && (oldest.IsZero() || at.Before(oldest)) {
			oldest = at
		}
	}
	switch {
	case oldest.IsZero(): // it is started when somebody asks
	case changed.After(oldest.Add(startSlack)):
		e.add("nix.daemon-age", report.CheckFail, []string{"sudo systemctl restart nix-daemon"}, "nix-daemon was started before nix.conf changed (%s < %s): it does not know of that",
			dayAndTime(oldest, changed), dayAndTime(changed, oldest))
	default:
		e.ok("nix.daemon-age", "nix-daemon was started after nix.conf changed")
	}
}

// dayAndTime is a time of day, with its day if it is compared with another day's.
func dayAndTime(t, other time.Time) string {
	if t.Format(time.DateOnly) == other.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// nixProxy looks whether the daemon sends loopback to a proxy. As curl has it: http_proxy counts in lower case alone.
func (e *examined) nixProxy(context.Context) {
	for _, pid := range e.nixDaemons() {
		raw, err := os.ReadFile(filepath.Join(e.site.real("/proc"), pid, "environ"))
		if err != nil {
			continue // another user's
		}
		env := make(map[string]string)
		for word := range bytes.SplitSeq(raw, []byte{0}) {
			name, value, _ := strings.Cut(string(word), "=")
			env[name] = value
		}
		proxy := first(env["http_proxy"], env["all_proxy"], env["ALL_PROXY"])
		none := first(env["no_proxy"], env["NO_PROXY"])
		if proxy == "" || none == "*" || strings.Contains(none, "127.0.0.1") || strings.Contains(none, "127.0.0.0/8") {
			continue
		}
		e.add("nix.proxy", report.CheckFail, []string{"in its unit: Environment=no_proxy=127.0.0.1,localhost,::1        sudo systemctl edit nix-daemon"},
			"nix-daemon uses a proxy (%s), also for 127.0.0.1: it does not reach the gateway", proxyName(proxy))
		return
	}
}

// proxyName is a proxy without its password. Curl takes one without a scheme, too.
func proxyName(proxy string) string {
	if _, rest, ok := strings.Cut(proxy, "@"); ok {
		return fmt.Sprintf("…@%s", rest[strings.LastIndexByte(rest, '@')+1:])
	}
	return proxy
}
