package transfertest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/transfertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) {
	transfertest.Run(t, func(t testing.TB, a, b transfer.Handler) (transfer.Network, transfer.Network) {
		net := transfertest.NewNetwork(1)
		t.Cleanup(net.Close)
		return net.Node("a", a), net.Node("b", b)
	})
}
