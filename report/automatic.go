package report

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Automatic is what is published to a namespace without being named.
type Automatic struct {
	Schema    string   `json:"schema"` // flurry/automatic/1
	Namespace string   `json:"namespace"`
	When      string   `json:"when"` // manual, hook, always
	Exclude   []string `json:"exclude"`
	LeaveOut  []string `json:"leave_out"`
	MaxSize   uint64   `json:"max_size,omitempty"`
	Full      bool     `json:"full,omitempty"`
	Share     string   `json:"share"`   // who is given it
	Waiting   int      `json:"waiting"` // paths in the queue
}

// PrintText writes what happens from now on, and how it ends.
func (a Automatic) PrintText(w io.Writer) {
	switch a.When {
	case "always":
		fmt.Fprintf(w, "%s: what this machine's Nix builds, for whichever user, is published from now on.\n", a.Namespace)
		fmt.Fprintln(w, "  not what a remote builder built: there, or for that, a hook is needed (flurry publish --help)")
	case "hook":
		fmt.Fprintf(w, "%s: what a post-build-hook gives is published from now on.\n", a.Namespace)
	default:
		fmt.Fprintf(w, "%s: nothing is published any more without being named.\n", a.Namespace)
		return
	}
	for _, f := range []struct {
		what  string
		globs []string
	}{{"exclude", a.Exclude}, {"leave out", a.LeaveOut}} {
		if len(f.globs) > 0 {
			fmt.Fprintf(w, "  %s: %s\n", f.what, strings.Join(f.globs, ", "))
		}
	}
	if a.MaxSize > 0 {
		fmt.Fprintf(w, "  exclude: larger than %s\n", size(a.MaxSize))
	}
	if a.When == "hook" {
		fmt.Fprintln(w, "  next: flurry hook --script | sudo install -m 755 /dev/stdin /etc/nix/flurry-hook")
		fmt.Fprintln(w, "        and in nix.conf: post-build-hook = /etc/nix/flurry-hook")
	}
	fmt.Fprintf(w, "  it ends with: flurry publish %s --%s=off\n", a.Namespace, a.When)
}

// Queued says that paths wait to be published.
type Queued struct {
	Schema string `json:"schema"` // flurry/queued/1
	Paths  int    `json:"paths"`
}

// Queue is what waits to be published by itself.
type Queue struct {
	Waiting int        `json:"waiting"` // paths
	Oldest  *time.Time `json:"oldest,omitempty"`
	Left    []Left     `json:"left,omitempty"` // the last that left the queue unpublished, and why
}

// print writes what waits, and what was given up lately; nothing, if there is neither.
func (q *Queue) print(w io.Writer, now time.Time) {
	if q == nil || q.Waiting == 0 && len(q.Left) == 0 {
		return
	}
	said := "nothing waits"
	if q.Waiting > 0 {
		said = count(q.Waiting, "path waits", "paths wait") + " to be published"
		if q.Oldest != nil {
			said += ", the oldest for " + span(now.Sub(*q.Oldest))
		}
	}
	fmt.Fprintf(w, "queue    %s\n", said)
	for _, l := range q.Left[max(0, len(q.Left)-shownLeft):] {
		fmt.Fprintf(w, "         not published: %s: %s\n", l.Path, l.Why)
	}
}

// shownLeft is how many of the paths that were given up people are shown.
const shownLeft = 3

// Watch is the first object of `flurry publish --watch`.
type Watch struct {
	Schema    string `json:"schema"` // flurry/watch/1
	Event     string `json:"event"`  // watching, or ended
	Namespace string `json:"namespace"`
	Published int    `json:"published"` // paths, in all
	Waiting   int    `json:"waiting"`   // built, and not published when it ended
}

// PrintText writes that it begins, or how it ended.
func (r Watch) PrintText(w io.Writer) {
	if r.Event == "watching" {
		fmt.Fprintf(w, "%s: what this machine's Nix builds is published until Ctrl-C\n", r.Namespace)
		return
	}
	fmt.Fprintf(w, "%s: %s published", r.Namespace, count(r.Published, "path was", "paths were"))
	if r.Waiting > 0 {
		fmt.Fprintf(w, "; %s built and not published", count(r.Waiting, "more was", "more were"))
	}
	fmt.Fprintln(w)
}
