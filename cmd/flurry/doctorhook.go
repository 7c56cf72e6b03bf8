package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/flurry-nix/flurry/internal/spool"
	"github.com/flurry-nix/flurry/report"
)

const (
	// slowHook is when a hook is called slow: a build waits for it.
	slowHook = time.Second
	// hookRuns is for how long a hook may be under way: what has not ended by then never will.
	hookRuns = 5 * time.Second
)

// nixHook looks whether the hook that Nix runs after each build is there, and how long the last build waited for it: a missing one
// fails every build.
func (e *examined) nixHook(context.Context) {
	hook := e.nix.hook
	if hook == "" {
		return
	}
	if other := e.nix.displaced; other != "" {
		e.add("nix.hook", report.CheckWarn, []string{"a script that runs both, and its name as the one post-build-hook"}, "nix.conf names %s as post-build-hook, and before it %s: Nix runs the last alone", hook, other)
	}
	info, err := os.Stat(e.site.real(hook))
	text, _ := os.ReadFile(e.site.real(hook))
	switch {
	case err != nil || info.Mode()&0o111 == 0:
		e.add("nix.hook", report.CheckFail, []string{"flurry hook --script | sudo install -m 755 /dev/stdin " + hook, "or take post-build-hook out of nix.conf"}, "post-build-hook names %s, which cannot be run: every build fails", hook)
	case bytes.Contains(text, []byte("flurry")):
		e.lastHook(hook, time.Now())
	default:
		e.ok("nix.hook", "%s is another program's hook", hook)
	}
}

// lastHook looks how long the last build waited for flurry's hook.
func (e *examined) lastHook(hook string, now time.Time) {
	last, err := spool.LastHook(e.site.real(e.stateDir()))
	when := dayAndTime(last.Began.Local(), now)
	const slow = "what is slow is the disk that has the state: another one, by state in the configuration file"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.ok("nix.hook", "%s tells flurry what is built; it has not been run yet", hook)
	case err != nil: // another user's, or just being written
		e.ok("nix.hook", "%s tells flurry what is built", hook)
	case !last.Ended && now.Sub(last.Began) > hookRuns:
		e.add("nix.hook", report.CheckWarn, []string{slow}, "%s was stopped at %s, after two seconds for which a build waited: what was built is perhaps not published", hook, when)
	case last.Ended && last.Took > slowHook:
		e.add("nix.hook", report.CheckWarn, []string{slow}, "%s took %.1f s at %s: a build waited for it", hook, last.Took.Seconds(), when)
	case last.Ended:
		e.ok("nix.hook", "%s tells flurry what is built, in %d ms at %s", hook, last.Took.Milliseconds(), when)
	default:
		e.ok("nix.hook", "%s tells flurry what is built, at this moment", hook)
	}
}
