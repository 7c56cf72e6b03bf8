package catalog_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/catalog/catalogtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCatalog(t *testing.T) {
	catalogtest.RunCatalog(t, func(*testing.T) catalog.KV { return new(catalogtest.MemKV) })
}
