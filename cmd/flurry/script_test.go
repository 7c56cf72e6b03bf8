package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"flurry": main, deadlockProgram: deadlocking})
}

// TestScripts runs testdata/script: flurry as a user meets it. There is a script for each message, named by its id.
//
// Scripts find a configuration that keeps daemons off the network and off fixed ports, a state directory of their own, and
// keys: ACME is the public key of acme-1, whose secret one is in acme-1.sec; OTHER is that of another acme-1.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUpScript,
		Condition:           conditions(t),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     cmdExits,
			"waitfor":   cmdWaitFor,
			"capture":   cmdCapture,
			"json":      cmdJSON,
			"mode":      cmdMode,
			"hidden":    cmdHidden,
			"listen":    cmdListen,
			"reachable": cmdReachable,
			"nixbuild":  cmdNixBuild,
			"ownbuild":  cmdOwnBuild,
			"until":     cmdUntil,
			"damage":    cmdDamage,
			"screen":    cmdScreen,
			"expand":    cmdExpand,
			"mute":      cmdMute,
			"crash":     cmdCrash,
			"down":      cmdDown,
		},
	})
}

const scriptConfig = `[gateway]
listen = ["127.0.0.1:0"]
[network]
port = 0
lan = false
wan = false
[store]
reserve = "1MiB"
`

func setUpScript(env *testscript.Env) error {
	acme, other := scriptKey("acme-1", 1), scriptKey("acme-1", 2)
	for name, text := range map[string]string{"test.toml": scriptConfig, "acme-1.sec": acme.secret + "\n"} {
		if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	env.Vars = append(env.Vars,
		"HOME="+filepath.Join(env.WorkDir, "home"),
		"XDG_CACHE_HOME="+filepath.Join(env.WorkDir, "cache"),
		"FLURRY_CONFIG="+filepath.Join(env.WorkDir, "test.toml"),
		"FLURRY_STATE="+filepath.Join(env.WorkDir, "st"),
		"SOCKET="+filepath.Join(env.WorkDir, "st", "control.sock"),
		"ACME="+acme.public, "ACME_SECRET="+acme.secret, "OTHER="+other.public, "OTHER_SECRET="+other.secret,
		"GORACE=atexit_sleep_ms=0", // a race detector that waits a second at each exit would take minutes
		"GONE=/nix/store/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz-widget-1.4.2",
	)
	return nil
}

// pair is a key as Nix writes it.
type pair struct{ public, secret string }

// scriptKey is a key that is the same in every run.
func scriptKey(name string, seed byte) pair {
	key := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+seed)), ed25519.SeedSize)))
	text := func(raw []byte) string { return name + ":" + base64.StdEncoding.EncodeToString(raw) }
	return pair{public: text(key[ed25519.SeedSize:]), secret: text(key)}
}

// conditions knows [nix], a Nix that this user can build with, [ownnix], one with which they can in a store of a script's
// own, and [root].
func conditions(t *testing.T) func(string) (bool, error) {
	nix := sync.OnceValue(func() error { return tryNix(t) })
	own := sync.OnceValue(func() error {
		_, err := ownBuild(t.TempDir(), "probe", "", nil)
		return err
	})
	return func(cond string) (bool, error) {
		switch cond {
		case "root":
			return os.Getuid() == 0, nil
		case "nix", "ownnix":
			err := nix()
			if cond == "ownnix" && err == nil {
				err = own()
			}
			if err != nil && os.Getenv("FLURRY_REQUIRE_NIX") == "1" {
				return false, fmt.Errorf("FLURRY_REQUIRE_NIX=1, and %w", err)
			}
			return err == nil, nil
		}
		return false, fmt.Errorf("unknown condition %q", cond)
	}
}

// tryNix says why this user cannot work with a Nix here.
func tryNix(t *testing.T) error {
	if _, err := exec.LookPath("nix-store"); err != nil {
		return err
	}
	probe := filepath.Join(t.TempDir(), "flurry-test-probe")
	if err := os.WriteFile(probe, []byte(probe), 0o600); err != nil {
		return err
	}
	out, err := exec.Command("nix-store", "--add", probe).Output()
	if err != nil {
		return fmt.Errorf("nix-store: %w", err)
	}
	_ = exec.Command("nix-store", "--delete", strings.TrimSpace(string(out))).Run() // else Nix collects it one day
	return nil
}

// TestEveryProblemHasAScript: a message without a test does not exist.
func TestEveryProblemHasAScript(t *testing.T) {
	ids := regexp.MustCompile(`(?:Problem\{ID: |p\.ID = )"([a-z-]+)"`)
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../../control/*.go")
	if err != nil || len(more) == 0 {
		t.Fatal(err)
	}
	for _, file := range append(files, more...) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range ids.FindAllStringSubmatch(string(text), -1) {
			script := filepath.Join("testdata", "script", m[1]+".txt")
			if _, err := os.Stat(script); errors.Is(err, os.ErrNotExist) && !testedElsewhere(m[1]) {
				t.Errorf("%s: there is no %s", file, script)
			}
		}
	}
}

// testedElsewhere are the ids that no command line brings about at will.
func testedElsewhere(id string) bool {
	switch id {
	case "failed", "bad-request", "broke-off", // control's tests
		"late",                              // httpgateway's
		"store-corrupt",                     // node's
		"document-expired", "document-fork", // TestDocumentWarnings
		"clock-skew",                                                        // TestClockSkew
		"not-root", "setup-failed", "configured", "nix-conf", "hook-in-use", // TestSetupRefuses and TestSetupStops: they are about a whole machine
		"setup-busy", "user-taken", // TestSetupBusy, TestSetupOthersUser
		"demo": // the demo is its own test
		return true
	}
	return false
}
