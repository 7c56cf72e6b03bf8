package httpgateway

import (
	"strings"

	"github.com/flurry-nix/flurry/nix"
)

// kind says which of the gateway's answers a request path is for.
type kind byte

const (
	kindPage      kind = iota // not Nix's: a page, for people
	kindNowhere               // Nix's, but nothing that is ever here
	kindCacheInfo             // nix-cache-info
	kindNarInfo               // HASH.narinfo
	kindNar                   // nar/NARHASH-HASH.nar
)

// target is a request path, understood.
type target struct {
	kind kind
	view string       // NAME of /ns/NAME/, or "" for all namespaces in use
	hash nix.PathHash // of kindNarInfo and kindNar
	nar  nix.NarHash  // of kindNar
}

const (
	viewPrefix    = "/ns/"
	cacheInfoName = "nix-cache-info"
	narInfoSuffix = ".narinfo"
	narPrefix     = "nar/"
	narSuffix     = ".nar"

	hash32 = 32                     // characters of a path hash
	nar32  = 52                     // characters of a NAR hash
	narLen = nar32 + 1 + hash32 + 4 // NARHASH-HASH.nar
)

// parseTarget reads the decoded path of a request. It compares, and joins and
// cleans nothing, so a path has one spelling and ".." is a name like any other.
func parseTarget(path string) target {
	view, rest, ok := splitView(path)
	if !ok {
		return target{kind: kindPage}
	}
	t := parseName(rest)
	switch {
	case t.kind == kindPage || t.kind == kindNowhere:
		return target{kind: t.kind}
	case view != "" && !validView(view):
		return target{kind: kindNowhere}
	}
	t.view = view
	return t
}

// splitView cuts "/ns/NAME/rest" and "/rest".
func splitView(path string) (view, rest string, ok bool) {
	if after, is := strings.CutPrefix(path, viewPrefix); is {
		view, rest, ok = strings.Cut(after, "/")
		return view, rest, ok && view != ""
	}
	rest, ok = strings.CutPrefix(path, "/")
	return "", rest, ok
}

// parseName reads the part of a path that follows the address of a cache.
func parseName(name string) target {
	if hash, ok := strings.CutSuffix(name, narInfoSuffix); ok {
		h, err := nix.ParsePathHash(hash)
		if err != nil {
			return target{kind: kindNowhere}
		}
		return target{kind: kindNarInfo, hash: h}
	}
	if file, ok := strings.CutPrefix(name, narPrefix); ok {
		return parseNar(file)
	}
	if name == cacheInfoName {
		return target{kind: kindCacheInfo}
	}
	if isNixOther(name) {
		return target{kind: kindNowhere}
	}
	return target{kind: kindPage}
}

// parseNar reads NARHASH-HASH.nar.
func parseNar(file string) target {
	if len(file) != narLen || file[nar32] != '-' || file[narLen-len(narSuffix):] != narSuffix {
		return target{kind: kindNowhere}
	}
	n, err := nix.ParseNarHashNix32(file[:nar32])
	if err != nil {
		return target{kind: kindNowhere}
	}
	h, err := nix.ParsePathHash(file[nar32+1 : nar32+1+hash32])
	if err != nil {
		return target{kind: kindNowhere}
	}
	return target{kind: kindNar, hash: h, nar: n}
}

// isNixOther knows the names that Nix asks binary caches for and that are not
// answered here: listings, build logs, realisations, debug files. They must be
// a 404, whatever the pages do with names that they do not know
// (binary-cache-store.cc, http-binary-cache-store.cc).
func isNixOther(name string) bool {
	if strings.HasSuffix(name, ".ls") {
		return true
	}
	for _, prefix := range [...]string{"log/", "realisations/", "build-trace-v2/", "debuginfo/"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// validView accepts what may name a namespace on this machine: printable ASCII
// without the characters that a Nix key name cannot hold.
func validView(name string) bool {
	if len(name) > maxViewName || name == "." || name == ".." {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c <= ' ' || c > '~':
			return false
		case c == ':' || c == '/' || c == ',':
			return false
		}
	}
	return name != ""
}

// narURL is the URL field of a narinfo: relative, the same in every view, and
// for ever, since Nix keeps a narinfo for 30 days and then asks for its NAR.
func narURL(n nix.NarHash, h nix.PathHash) string {
	b := make([]byte, 0, len(narPrefix)+narLen)
	b = append(b, narPrefix...)
	b = append(b, n.Nix32()...)
	b = append(b, '-')
	b = h.AppendTo(b)
	b = append(b, narSuffix...)
	return string(b)
}
