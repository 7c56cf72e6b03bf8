package catalogtest

import (
	"testing"

	"github.com/flurry-nix/flurry/catalog"
)

func TestMemKV(t *testing.T) {
	RunKV(t, func(*testing.T) catalog.KV { return new(MemKV) })
}
