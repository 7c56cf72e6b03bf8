package peer_test

import (
	"testing"

	"github.com/flurry-nix/flurry/peer"
)

func TestProtocol(t *testing.T) {
	if got := peer.Protocol("lookup"); got != "/flurry/lookup/1" {
		t.Errorf("%q", got)
	}
	for id, want := range map[string]string{"/flurry/lookup/1": "1", "/flurry/lookup/2-rc1": "2-rc1", "/flurry/fetch/1": "", "/ipfs/id/1.0.0": ""} {
		if got, ok := peer.ProtocolVersion(id, "lookup"); got != want || ok != (want != "") {
			t.Errorf("%s: version %q, %v", id, got, ok)
		}
	}
}
