package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flurry-nix/flurry/internal/spool"
)

func TestParseOutputs(t *testing.T) {
	const a, b = "/nix/store/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz-widget-1.4.2", "/nix/store/5sd9j5nkb7d3vxhj2chjpw4nc78k41xb-widget-1.4.2-dev"
	for text, want := range map[string]string{
		`Derive([("dev","` + b + `","",""),("out","` + a + `","","")],[("x"`: b + " " + a,
		`Derive([("out","` + a + `","r:sha256","00ff")],[`:                   a,
		`Derive([("out","","r:sha256","")],[`:                                "", // content-addressed: not known yet
		`Derive([("out","` + a + `","",""`:                                   "!",
		`Derive([("out","/etc/passwd","","")],`:                              "!",
		`Derive([`:                                                           "!",
		``:                                                                   "!",
		`DrvWithVersion("x",[("out","` + a + `","","")],`:                    "!",
	} {
		paths, err := parseOutputs(text)
		var got []string
		for _, p := range paths {
			got = append(got, p.String())
		}
		if (err != nil) != (want == "!") || err == nil && strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}

func TestQuoteShell(t *testing.T) {
	for word, want := range map[string]string{"/usr/bin/flurry": "/usr/bin/flurry", "a b": "'a b'", "it's": `'it'\''s'`, "$(x)": "'$(x)'", "": "''"} {
		if got := quoteShell(word); got != want {
			t.Errorf("%q: %s", word, got)
		}
	}
}

// TestHookInTime: whatever hangs, is missing, wrong or full, the hook exits with 0 within two seconds, says what is lost,
// and nothing else.
func TestHookInTime(t *testing.T) {
	const out = "/nix/store/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz-widget-1.4.2"
	mute := filepath.Join(t.TempDir(), "mute")
	l, err := net.Listen("unix", mute)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	noQueue, damaged, good := t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(noQueue, spool.Dir), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(damaged, spool.Dir, "0.queued"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		env  map[string]string
		args []string
		says string // "": nothing
	}{
		"nobody there":          {map[string]string{"OUT_PATHS": out, "FLURRY_STATE": good}, nil, ""},
		"a hanging daemon":      {map[string]string{"OUT_PATHS": out, "FLURRY_STATE": good, "FLURRY_SOCKET": mute}, nil, ""},
		"a damaged entry":       {map[string]string{"OUT_PATHS": out, "FLURRY_STATE": damaged}, nil, ""},
		"several":               {map[string]string{"OUT_PATHS": out + "  " + out, "FLURRY_STATE": good}, []string{"acme-1", "b"}, ""},
		"no queue":              {map[string]string{"OUT_PATHS": out, "FLURRY_STATE": noQueue}, nil, "no daemon at "},
		"no queue, and hanging": {map[string]string{"OUT_PATHS": out, "FLURRY_STATE": noQueue, "FLURRY_SOCKET": mute}, nil, "deadline"},
		"no state":              {map[string]string{"OUT_PATHS": out, "FLURRY_STATE": "/nonexistent/state"}, nil, "no such file"},
		"full":                  {map[string]string{"OUT_PATHS": out, "FLURRY_STATE": "/proc/self"}, nil, "no daemon at "},
		"no paths":              {map[string]string{"FLURRY_STATE": good}, nil, "neither OUT_PATHS nor DRV_PATH"},
		"no path":               {map[string]string{"OUT_PATHS": "/etc/passwd", "FLURRY_STATE": good}, nil, "/etc/passwd"},
		"no derivation":         {map[string]string{"DRV_PATH": out + ".drv", "FLURRY_STATE": good}, nil, "no such file"},
		"too many":              {map[string]string{"OUT_PATHS": strings.Repeat("x ", maxHookPaths+1), "FLURRY_STATE": good}, nil, "more than"},
		"a bad flag":            {map[string]string{"OUT_PATHS": out, "FLURRY_STATE": good}, []string{"--nonsense"}, "nonsense"},
		"a bad configuration":   {map[string]string{"OUT_PATHS": out, "FLURRY_STATE": good, "FLURRY_CONFIG": "/proc/self/cmdline"}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			code, s := runHere(t.Context(), "", func(e *environment) { e.getenv = func(name string) string { return test.env[name] } }, append([]string{"hook"}, test.args...)...)
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("it took %s", took)
			}
			if code != 0 || s.out.Len() > 0 {
				t.Errorf("exit code %d, stdout %q", code, &s.out)
			}
			said := s.err.String()
			if (said == "") != (test.says == "") || !strings.Contains(said, test.says) || strings.Count(said, "\n") > 1 {
				t.Errorf("it said %q", said)
			}
		})
	}
	q, err := spool.Open(good)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if names, err := q.Names(); err != nil || len(names) != 4 {
		t.Errorf("%d entries, %v", len(names), err)
	}
}

// TestHookHangs: when the disk itself hangs the hook ends all the same.
func TestHookHangs(t *testing.T) {
	root := t.TempDir()
	drv := filepath.Join(root, "nix/store/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz-x.drv")
	if err := os.MkdirAll(filepath.Dir(drv), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(drv, 0o644); err != nil {
		t.Fatal(err)
	}
	defer func() { // opening it ends what opened it in vain
		f, err := os.OpenFile(drv, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		stacks := make([]byte, 4<<20)
		for bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("enqueueBuilt")) { // it writes down that it ended
			time.Sleep(time.Millisecond)
		}
	}()
	env := map[string]string{"DRV_PATH": "/nix/store/" + filepath.Base(drv), "NIX_REMOTE": "local?root=" + root, "FLURRY_STATE": t.TempDir()}
	begun := time.Now()
	code, s := runHere(t.Context(), "", func(e *environment) { e.getenv = func(name string) string { return env[name] } }, "hook")
	if took := time.Since(begun); code != 0 || took > 2*time.Second || took < hookLimit/2 || !strings.Contains(s.err.String(), "deadline") {
		t.Errorf("exit code %d after %s: %s", code, took, &s.err)
	}
	if last, err := spool.LastHook(env["FLURRY_STATE"]); err != nil || last.Ended || last.Began.Before(begun) {
		t.Errorf("it is noted as %+v, %v", last, err)
	}
	well := map[string]string{"OUT_PATHS": "/nix/store/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz-widget-1.4.2", "FLURRY_STATE": env["FLURRY_STATE"]}
	if code, s := runHere(t.Context(), "", func(e *environment) { e.getenv = func(name string) string { return well[name] } }, "hook"); code != 0 || s.err.Len() > 0 {
		t.Errorf("exit code %d: %s", code, &s.err)
	}
	if last, err := spool.LastHook(env["FLURRY_STATE"]); err != nil || !last.Ended || last.Took <= 0 {
		t.Errorf("it is noted as %+v, %v", last, err)
	}
}

// FuzzOutputs: whatever a derivation says, what is taken from it are store paths, each of which it names.
func FuzzOutputs(f *testing.F) {
	f.Add(`Derive([("out","/nix/store/00000000000000000000000000000001-a","","")],[],[],"x","/bin/sh",[],[])`)
	f.Add(`Derive([("out","","r:sha256",""),("dev","/nix/store/00000000000000000000000000000002-a-dev","","")],`)
	f.Add(`Derive([]`)
	f.Add(`Derive([("o\\"ut","","","")]`)
	f.Fuzz(func(t *testing.T, text string) {
		paths, err := parseOutputs(text)
		if err != nil && len(paths) > 0 {
			t.Errorf("%v and %v", paths, err)
		}
		for _, p := range paths {
			if !strings.Contains(text, `"`+p.String()+`"`) {
				t.Errorf("it does not name %s", p)
			}
		}
	})
}
