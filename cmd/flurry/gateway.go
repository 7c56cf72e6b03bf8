package main

import (
	"context"
	"errors"

	"github.com/flurry-nix/flurry/httpgateway"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/trust"
)

// gatewayCache is the node as the gateway asks for it: the same words, and the gateway's own sentinel for "no".
type gatewayCache struct{ node *node.Node }

func (c gatewayCache) Info(ctx context.Context, view string, h nix.PathHash) (trust.Verified, error) {
	v, err := c.node.Info(ctx, view, h)
	return v, notHere(err)
}

func (c gatewayCache) Nar(ctx context.Context, view string, n nix.NarHash, h nix.PathHash) (httpgateway.Nar, error) {
	nar, err := c.node.Nar(ctx, view, n, h)
	if err != nil {
		return nil, notHere(err)
	}
	return nar, nil
}

// Absent makes it Quick.
func (c gatewayCache) Absent(view string, h nix.PathHash) bool { return c.node.Absent(view, h) }

func (c gatewayCache) Generation() uint64 { return c.node.Generation() }

func notHere(err error) error {
	if errors.Is(err, node.ErrNotHere) || errors.Is(err, node.ErrNoProvider) {
		return errors.Join(httpgateway.ErrNotHere, err)
	}
	return err
}
