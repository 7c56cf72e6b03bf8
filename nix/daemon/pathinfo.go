package daemon

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flurry-nix/flurry/nix"
)

// PathInfo is what Nix knows of a valid path.
type PathInfo struct {
	Path       nix.StorePath
	NarHash    nix.NarHash
	NarSize    uint64          // bytes
	References []nix.StorePath // sorted by Base, unique; with Path itself if it refers to itself
	Deriver    string          // base name ending in .drv, or ""
	Sigs       []nix.Signature // well-formed ones, at most nix.MaxSigs
	Ultimate   bool            // built here, not copied from elsewhere
	CA         string          // content address, or ""
	RegTime    time.Time       // when it became valid here
}

// PathInfo returns what Nix knows of p, an ErrNotValid if nothing.
func (s *Store) PathInfo(ctx context.Context, p nix.StorePath) (PathInfo, error) {
	infos, err := s.pathInfos(ctx, []nix.StorePath{p})
	if err != nil {
		return PathInfo{}, err
	}
	return infos[0], nil
}

// pathInfos asks for many paths, a batch at a time. Those not valid make a
// *NotValidError that names them all.
func (s *Store) pathInfos(ctx context.Context, paths []nix.StorePath) ([]PathInfo, error) {
	infos := make([]PathInfo, 0, len(paths))
	var missing []nix.StorePath
	for some := range slices.Chunk(paths, batch) {
		var found []PathInfo
		var gone []nix.StorePath
		err := s.do(ctx, func(c *conn) (err error) {
			found, gone, err = c.pathInfos(some)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("path info of %s: %w", some[0], err)
		}
		infos, missing = append(infos, found...), append(missing, gone...)
	}
	if len(missing) > 0 {
		return nil, &NotValidError{Paths: missing}
	}
	return infos, nil
}

// pathInfos asks for at most batch paths at once and returns what is known of
// those that are valid, and the others.
func (c *conn) pathInfos(paths []nix.StorePath) (infos []PathInfo, gone []nix.StorePath, err error) {
	for _, p := range paths {
		c.ask(opQueryPathInfo, p.String())
	}
	if err := c.flush(); err != nil {
		return nil, nil, err
	}
	var remote error // the first; the answers after it still have to be read
	for _, p := range paths {
		info, valid, err := c.pathInfo(p)
		switch {
		case isAnswer(err):
			remote = cmp.Or(remote, err)
		case err != nil:
			return nil, nil, unexpected(err)
		case !valid:
			gone = append(gone, p)
		default:
			infos = append(infos, info)
		}
	}
	return infos, gone, remote
}

// pathInfo reads the answer for one path.
func (c *conn) pathInfo(p nix.StorePath) (info PathInfo, valid bool, err error) {
	if err := c.answer(); err != nil {
		return info, false, err
	}
	if valid, err = c.flag(); err != nil || !valid {
		return info, false, unexpected(err)
	}
	info.Path = p
	deriver, err := c.string(maxString)
	if err != nil {
		return info, false, err
	}
	info.Deriver = parseDeriver(deriver)
	hash, err := c.string(maxString)
	if err != nil {
		return info, false, err
	}
	if info.NarHash, err = parseHash(hash); err != nil {
		return info, false, fmt.Errorf("%s: %w", p, err)
	}
	refs, err := c.strings(nix.MaxReferences)
	if err != nil {
		return info, false, err
	}
	if info.References, err = parseReferences(refs); err != nil {
		return info, false, fmt.Errorf("a reference of %s: %w", p, err)
	}
	registered, err := c.uint()
	if err != nil {
		return info, false, err
	}
	info.RegTime = time.Unix(int64(registered), 0)
	if info.NarSize, err = c.uint(); err != nil {
		return info, false, err
	}
	if info.Ultimate, err = c.flag(); err != nil {
		return info, false, err
	}
	sigs, err := c.strings(maxSignatures)
	if err != nil {
		return info, false, err
	}
	info.Sigs = parseSignatures(sigs)
	info.CA, err = c.string(maxString)
	return info, true, err
}

// parseHash reads the hexadecimal digest that the protocol has, and the same
// with "sha256:" before it, which some versions send.
func parseHash(s string) (nix.NarHash, error) {
	if len(s) == hex.EncodedLen(len(nix.NarHash{})) {
		s = "sha256:" + s
	}
	return nix.ParseNarHash(s)
}

// parseDeriver drops what is no derivation: it is hearsay to everybody.
func parseDeriver(s string) string {
	p, err := nix.ParseStorePath(s)
	if err != nil || !strings.HasSuffix(p.Name(), ".drv") {
		return ""
	}
	return p.Base()
}

func parseReferences(list []string) ([]nix.StorePath, error) {
	var refs []nix.StorePath
	for _, s := range list {
		ref, err := nix.ParseStorePath(s)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	slices.SortFunc(refs, nix.StorePath.Compare)
	return slices.Compact(refs), nil
}

// parseSignatures drops what is no signature, as a reader of narinfos does.
func parseSignatures(list []string) []nix.Signature {
	var sigs []nix.Signature
	for _, s := range list {
		sig, err := nix.ParseSignature(s)
		if err == nil && len(sigs) < nix.MaxSigs && !slices.Contains(sigs, sig) {
			sigs = append(sigs, sig)
		}
	}
	return sigs
}
