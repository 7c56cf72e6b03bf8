package disk

import (
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/catalog/catalogtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func openTest(t *testing.T, fs vfs.FS, dir string) *KV {
	t.Helper()
	kv, err := openFS(dir, fs, quiet())
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

func openTemp(t *testing.T) catalog.KV {
	kv := openTest(t, vfs.Default, t.TempDir())
	t.Cleanup(func() {
		if err := kv.Close(); err != nil {
			t.Error(err)
		}
	})
	return kv
}

func TestKV(t *testing.T) { catalogtest.RunKV(t, openTemp) }

func TestCatalog(t *testing.T) { catalogtest.RunCatalog(t, openTemp) }
