package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/flurry-nix/flurry/nix"
)

// PathErrorKind says why an argument is not a path that Resolve takes.
type PathErrorKind int

const (
	NotAStorePath   PathErrorKind = iota + 1 // a file elsewhere: Found is where; or none that could be looked at: Err says why
	BadStorePath                             // in the store directory, at Found, but not of a store path's form; Err says so, and why
	OtherStore                               // of the form of a path of another store directory; Found is that
	FlakeRef                                 // needs to be evaluated
	BrokenLink                               // a symbolic link to what is gone; Found is what it points to
	DerivationGiven                          // the path of a recipe; Found is the path
)

// String returns the name that messages and JSON have for the kind.
func (k PathErrorKind) String() string {
	switch k {
	case NotAStorePath:
		return "not-a-store-path"
	case BadStorePath:
		return "bad-store-path"
	case OtherStore:
		return "other-store"
	case FlakeRef:
		return "flake-ref"
	case BrokenLink:
		return "broken-link"
	case DerivationGiven:
		return "derivation-given"
	}
	return fmt.Sprintf("PathErrorKind(%d)", int(k))
}

// PathError is the error of Resolve.
type PathError struct {
	Kind  PathErrorKind
	Arg   string // as given
	Found string // see Kind; "" if there is nothing
	Err   error  // the cause, where there is one
}

func (e *PathError) Error() string {
	switch e.Kind {
	case BadStorePath:
		if e.Arg == e.Found {
			return e.Err.Error()
		}
		return fmt.Sprintf("%q: %v", e.Arg, e.Err)
	case OtherStore:
		return fmt.Sprintf("%q is in the store %s: this network is for %s; a signature covers the directory, so the paths cannot be shared",
			e.Arg, e.Found, nix.StoreDir)
	case FlakeRef:
		return fmt.Sprintf("%q is a flake reference, and flurry does not evaluate Nix", e.Arg)
	case BrokenLink:
		return fmt.Sprintf("%q points to %s, which is gone", e.Arg, e.Found)
	case DerivationGiven:
		return fmt.Sprintf("%s is a recipe, not a build", e.Found)
	}
	if errors.Is(e.Err, fs.ErrNotExist) {
		return fmt.Sprintf("%q is not in the Nix store: there is no such file", e.Arg)
	}
	if e.Err != nil {
		return fmt.Sprintf("%q is not in the Nix store: %v", e.Arg, e.Err)
	}
	return fmt.Sprintf("%q is not in the Nix store (it is %s)", e.Arg, e.Found)
}

func (e *PathError) Unwrap() error { return e.Err }

// Resolve turns what a user calls a path into a store path: /nix/store/… or
// anything below it, or a symbolic link that leads there, such as ./result. It
// follows links only as far as the store directory: what a store path's own
// links point to is not meant. Whether the path is valid it does not ask.
//
// Every error is a *PathError. With one of kind DerivationGiven the path comes
// too, for those who can do something with a derivation.
func Resolve(arg string) (nix.StorePath, error) {
	return resolve(arg, func(p nix.StorePath) bool {
		_, err := os.Lstat(p.String())
		return !errors.Is(err, fs.ErrNotExist)
	})
}

func resolve(arg string, exists func(nix.StorePath) bool) (nix.StorePath, error) {
	if isFlakeRef(arg) {
		return nix.StorePath{}, &PathError{Kind: FlakeRef, Arg: arg}
	}
	abs, err := filepath.Abs(arg)
	if err == nil && arg == "" {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nix.StorePath{}, &PathError{Kind: NotAStorePath, Arg: arg, Err: err}
	}
	found, linked, err := followToStore(abs)
	base, ok := strings.CutPrefix(found, nix.StoreDir+"/")
	if !ok {
		return nix.StorePath{}, notInStore(arg, found, linked, err)
	}
	base, below, _ := strings.Cut(base, "/")
	at := nix.StoreDir + "/" + base
	p, err := nix.ParseStorePath(at)
	if err != nil {
		return nix.StorePath{}, &PathError{Kind: BadStorePath, Arg: arg, Found: at, Err: err}
	}
	if linked && !exists(p) {
		return nix.StorePath{}, &PathError{Kind: BrokenLink, Arg: arg, Found: p.String()}
	}
	if below == "" && strings.HasSuffix(p.Name(), ".drv") {
		return p, &PathError{Kind: DerivationGiven, Arg: arg, Found: p.String()}
	}
	return p, nil
}

// notInStore says what a path that leads elsewhere is.
func notInStore(arg, found string, linked bool, err error) *PathError {
	if store := otherStore(found); store != "" {
		return &PathError{Kind: OtherStore, Arg: arg, Found: store}
	}
	if linked && errors.Is(err, fs.ErrNotExist) {
		return &PathError{Kind: BrokenLink, Arg: arg, Found: found, Err: err}
	}
	if err != nil {
		return &PathError{Kind: NotAStorePath, Arg: arg, Err: err}
	}
	return &PathError{Kind: NotAStorePath, Arg: arg, Found: found}
}

// isFlakeRef recognises a reference to a flake where no file is so called: an
// attribute after a "#", or one of the schemes that flakes have.
func isFlakeRef(arg string) bool {
	if _, err := os.Lstat(arg); err == nil || inStore(arg) {
		return false
	}
	if strings.Contains(arg, "#") {
		return true
	}
	scheme, _, _ := strings.Cut(arg, ":")
	scheme, _, _ = strings.Cut(scheme, "+")
	switch scheme {
	case "flake", "path", "git", "hg", "github", "gitlab", "sourcehut", "tarball", "file", "http", "https":
		return scheme != arg
	}
	return false
}

// otherStore returns the store directory of a path that has the form of one in
// another, such as /gnu/store, or "".
func otherStore(path string) string {
	for dir := path; dir != "/" && dir != "."; dir = filepath.Dir(dir) {
		parent := filepath.Dir(dir)
		if _, err := nix.ParseBaseName(filepath.Base(dir)); err == nil && filepath.Base(parent) == "store" {
			return parent
		}
	}
	return ""
}

// followToStore replaces symbolic links from the left until the path lies in
// the store directory or has none left; it then looks at nothing more, so that
// a path in the store needs no store to be there. Linked says whether there
// were any. With an error found is the path that led nowhere.
func followToStore(path string) (found string, linked bool, err error) {
	for links := 0; !inStore(path); links++ {
		link, rest, err := firstLink(path)
		if err != nil || link == "" {
			return path, links > 0, err
		}
		if links == maxLinks {
			return path, true, fmt.Errorf("more than %d links", maxLinks)
		}
		target, err := os.Readlink(link)
		if err != nil {
			return path, links > 0, err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(link), target)
		}
		path, linked = filepath.Join(target, rest), true
	}
	return path, linked, nil
}

// firstLink finds the leftmost symbolic link of a clean absolute path and what
// comes after it; "" if there is none.
func firstLink(path string) (link, rest string, err error) {
	for end := 1; end < len(path); {
		next := strings.IndexByte(path[end:], '/')
		if next < 0 {
			next = len(path) - end
		}
		end += next
		info, err := os.Lstat(path[:end])
		if err != nil {
			return "", "", err
		}
		if info.Mode().Type() == fs.ModeSymlink {
			return path[:end], path[end:], nil
		}
		end++
	}
	return "", "", nil
}

func inStore(path string) bool { return strings.HasPrefix(path, nix.StoreDir+"/") }
