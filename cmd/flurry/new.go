package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// defaultKeep is how long publications of a new namespace live.
const defaultKeep = 90 * 24 * time.Hour

func (sh *shell) newCommand() *cobra.Command {
	r := control.NewRequest{Keep: defaultKeep}
	var keyFile, rootTo string
	cmd := &cobra.Command{
		Use:        "new [NAME]",
		Short:      "make a namespace here, or adopt a Nix signing key as one",
		Args:       sh.args(0, 1),
		SuggestFor: []string{"create", "init", "generate"},
		Long: "With --key a Nix signing key that there is becomes the root key. Of a namespace that is here already it says\n" +
			"that there is a second copy of the root key, which flurry doctor asks for.",
		Example: "  flurry new acme-1 --root-to /media/stick/acme-1.sec\n  flurry new --key /etc/nix/acme-1.sec",
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (keyFile != "") {
				return usage("flurry new --help", "a namespace is made from a NAME or from --key FILE")
			}
			if rootTo != "" && keyFile != "" {
				return usage("flurry new NAME --root-to FILE", "--root-to is for a key that is made now; the one in --key is in a file already")
			}
			if r.Keep <= 0 || r.Keep > namespace.MaxLife {
				return usage("--keep 90d", "--keep: publications live for 1s to %s", days(namespace.MaxLife))
			}
			if keyFile != "" {
				key, err := readKeyFile(keyFile)
				if err != nil {
					return err
				}
				r.Key, r.From = key.Text(), placeOf(keyFile)
			} else if r.Name = args[0]; strings.Contains(r.Name, ":") {
				return badName(r.Name[:strings.Index(r.Name, ":")+1]+"…", "a name alone, no key; to adopt a key: flurry new --key FILE")
			}
			if rootTo != "" {
				return sh.newElsewhere(cmd, r, rootTo)
			}
			n, err := sh.daemon().New(cmd.Context(), r)
			if err != nil {
				return err
			}
			return sh.answer(n, n.PrintText)
		},
	}
	f := cmd.Flags()
	f.StringVar(&keyFile, "key", "", "adopt the Nix secret key in `FILE`")
	f.StringVar(&rootTo, "root-to", "", "write the root key to `FILE` alone, and leave a writer's key on this machine")
	f.StringVar(&r.About, "description", "", "say about it, in one line: `TEXT`")
	f.Var((*durationFlag)(&r.Keep), "keep", "publications live for `DURATION`")
	f.Lookup("keep").DefValue = days(defaultKeep)
	f.Var(wordFlag{&r.Share, []string{"lan", "all"}}, "share", "who is given it: `WHOM` is all, or lan: the local network, never announced beyond")
	f.Lookup("share").DefValue = "all"
	return cmd
}

// placeOf is where a file really is; empty: it is no file that lasts.
func placeOf(file string) string {
	at, err := filepath.EvalSymlinks(file)
	if err != nil {
		return ""
	}
	info, err := os.Lstat(at)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	if at, err = filepath.Abs(at); err != nil {
		return ""
	}
	return at
}

// newElsewhere makes a namespace whose root key is in a file of the person who asked, and nowhere else. The key is on the disk
// before anything is signed with it.
func (sh *shell) newElsewhere(cmd *cobra.Command, r control.NewRequest, file string) (err error) {
	if err := outsideStore(file); err != nil {
		return err
	}
	key, err := makeKey(r.Name)
	if err != nil {
		return err
	}
	if err := writeNewSecret(file, key); err != nil {
		try := "a file that can be written to: --root-to FILE"
		if errors.Is(err, fs.ErrExist) {
			try = "a file that is not there yet: --root-to FILE"
		}
		return usage(try, "--root-to: %v", err)
	}
	r.Name, r.Key, r.Elsewhere = "", key.Text(), true
	n, err := sh.daemon().New(cmd.Context(), r)
	var told *report.Problem
	if errors.As(err, &told) && told.ID != "timeout" && told.ID != "broke-off" && told.ID != "failed" {
		return errors.Join(err, os.Remove(file)) // nothing was signed with it
	}
	if err != nil { // perhaps it was
		sh.say("flurry: the root key is in %s; whether the namespace was made says: flurry show %s", file, key.Name())
		return err
	}
	if n.KeyFile, err = filepath.Abs(file); err != nil {
		return err
	}
	return sh.answer(n, n.PrintText)
}

// writeNewSecret writes a secret key to a new file that nobody else may read. It is on the disk when it returns.
func writeNewSecret(file string, key nix.SecretKey) (err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteString(key.Text() + "\n"); err != nil {
		return err
	}
	return f.Sync()
}

// days is a duration in whole days.
func days(d time.Duration) string { return fmt.Sprintf("%dd", d/(24*time.Hour)) }

// maxKeyFile is more than a key file can hold: a name of 128 characters and the base64 of 64 bytes.
const maxKeyFile = 1024

// readKeyFile reads a Nix secret key that the person who runs the command may read, and nobody else.
func readKeyFile(name string) (nix.SecretKey, error) {
	if err := outsideStore(name); err != nil {
		return nix.SecretKey{}, err
	}
	key, err := readSecret(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return key, usage("sudo, if the file is root's", "--key: %v", err)
	}
	return key, err
}

// outsideStore refuses a key file that lies in the Nix store, wherever the path to it begins.
func outsideStore(name string) error {
	at := name
	if real, err := filepath.EvalSymlinks(name); err == nil {
		at = real
	}
	if abs, err := filepath.Abs(at); err == nil {
		at = abs
	}
	if !strings.HasPrefix(filepath.Clean(at)+"/", nix.StoreDir+"/") && !strings.HasPrefix(filepath.Clean(name)+"/", nix.StoreDir+"/") {
		return nil
	}
	return &report.Problem{ID: "key-in-store", Exit: report.ExitUsage, Message: fmt.Sprintf("%s: a key in %s can be read by everybody, for ever", name, nix.StoreDir),
		Try: []string{"make a new one: flurry new NAME"}}
}

// readSecret reads one key. A file that others may read is refused: what it holds is no secret any more.
func readSecret(name string) (nix.SecretKey, error) {
	f, err := os.Open(name)
	if err != nil {
		return nix.SecretKey{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nix.SecretKey{}, err
	case info.IsDir():
		return nix.SecretKey{}, secretProblem(name, nil)
	case info.Mode().Perm()&0o077 != 0:
		return nix.SecretKey{}, &report.Problem{ID: "key-readable", Exit: report.ExitFailed,
			Message: fmt.Sprintf("%s is readable by others (%04o); not used", name, info.Mode().Perm()), Try: []string{"chmod 600 " + name}}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nix.SecretKey{}, err
	}
	key, err := nix.ParseSecretKey(strings.TrimSpace(string(text)))
	if err != nil {
		return key, secretProblem(name, err)
	}
	return key, nil
}
