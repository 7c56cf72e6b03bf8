package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/flurry-nix/flurry/nix"
)

// ValidPaths returns every path that is valid now, in no order.
func (s *Store) ValidPaths(ctx context.Context) ([]nix.StorePath, error) {
	var paths []nix.StorePath
	err := s.do(ctx, func(c *conn) (err error) {
		paths, err = c.validPaths()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("all valid paths: %w", err)
	}
	return paths, nil
}

func (c *conn) validPaths() ([]nix.StorePath, error) {
	c.out = appendUint(c.out, uint64(opQueryAllValidPaths))
	if err := c.flush(); err != nil {
		return nil, err
	}
	if err := c.answer(); err != nil {
		return nil, err
	}
	n, err := c.count("a list", maxValid)
	if err != nil {
		return nil, unexpected(err)
	}
	var paths []nix.StorePath
	for range n {
		text, err := c.string(maxString)
		if err != nil {
			return nil, unexpected(err)
		}
		p, err := nix.ParseStorePath(text)
		if err != nil {
			return nil, err
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// BuiltSince returns what was built on this machine and became valid after
// before was taken: neither what was copied here, nor recipes. What Nix
// collected meanwhile is left out.
func (s *Store) BuiltSince(ctx context.Context, before []nix.StorePath) ([]PathInfo, error) {
	now, err := s.ValidPaths(ctx)
	if err != nil {
		return nil, err
	}
	old := make(map[nix.PathHash]struct{}, len(before))
	for _, p := range before {
		old[p.Hash()] = struct{}{}
	}
	var fresh []nix.StorePath
	for _, p := range now {
		if _, ok := old[p.Hash()]; !ok && !strings.HasSuffix(p.Name(), ".drv") {
			fresh = append(fresh, p)
		}
	}
	infos, err := s.pathInfosLeft(ctx, fresh)
	if err != nil {
		return nil, err
	}
	built := infos[:0]
	for _, info := range infos {
		if info.Ultimate {
			built = append(built, info)
		}
	}
	return built, nil
}

// Infos returns what Nix knows of those of paths that are valid, in no order.
func (s *Store) Infos(ctx context.Context, paths []nix.StorePath) ([]PathInfo, error) {
	return s.pathInfosLeft(ctx, paths)
}

// pathInfosLeft is pathInfos without those that are not valid any more.
func (s *Store) pathInfosLeft(ctx context.Context, paths []nix.StorePath) ([]PathInfo, error) {
	for {
		infos, err := s.pathInfos(ctx, paths)
		var gone *NotValidError
		if !errors.As(err, &gone) {
			return infos, err
		}
		missing := make(map[nix.StorePath]bool, len(gone.Paths))
		for _, p := range gone.Paths {
			missing[p] = true
		}
		var left []nix.StorePath
		for _, p := range paths {
			if !missing[p] {
				left = append(left, p)
			}
		}
		paths = left
	}
}

// IsTrusted reports whether the daemon lets this user choose where it copies
// paths from; known is false for one too old to say so.
func (s *Store) IsTrusted(ctx context.Context) (trusted, known bool, err error) {
	err = s.do(ctx, func(c *conn) error {
		trusted, known = c.trust == trustsClient, c.trust != trustUnknown
		return nil
	})
	return trusted, known, err
}
