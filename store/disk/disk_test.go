package disk_test

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/disk"
	"github.com/flurry-nix/flurry/store/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// open opens the store in dir, without a ballast, and closes it with the test.
func open(t testing.TB, dir string, o disk.Options) *disk.Store {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Ballast == 0 {
		o.Ballast = -1
	}
	if o.Reserve == 0 {
		o.Reserve = 1
	}
	s, err := disk.Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	for name, o := range map[string]disk.Options{"default": {}, "small packs": {MaxPack: 20_000}} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir(), o) })
		})
	}
}

