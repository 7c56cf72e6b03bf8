package daemon

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/flurry-nix/flurry/nix"
)

// recorded is a daemon that says what was recorded and does not listen.
type recorded struct{ io.Reader }

func (recorded) Write(p []byte) (int, error) { return len(p), nil }
func (recorded) Close() error                { return nil }

// Whatever a daemon says, the answer is a sound PathInfo or an error.
func FuzzAnswer(f *testing.F) {
	greeting := func(minor int) []byte { return spell(serverMagic, major|minor) }
	f.Add(slices.Concat(greeting(35), spell("2.99", 1, stderrLast),
		spell(stderrNext, "log", stderrStartActivity, 1, 2, 3, "text", 2, 0, 1, 1, "field", 0, stderrResult, 1, 2, 1, 0, 1, stderrStopActivity, 1, stderrLast),
		spell(1, "/nix/store/"+hashC+"-a.drv", hex64, []string{"/nix/store/" + hashA + "-a"}, 1, 112, 1, []string{"a:b"}, "")))
	f.Add(slices.Concat(greeting(21), spell(stderrLast, stderrError, "error", 1)))
	f.Add(slices.Concat(greeting(35), spell("2.99", 1, stderrLast, stderrError, "Error", 0, "Error", "m", 0, 1, 0, "trace")))
	f.Add(slices.Concat(greeting(35), spell("2.99", 1, stderrLast, stderrLast, 0)))
	p := storePath(f, hashA+"-a")
	f.Fuzz(func(t *testing.T, said []byte) {
		c := newConn(recorded{bytes.NewReader(said)})
		if err := c.handshake(); err != nil {
			return
		}
		infos, gone, err := c.pathInfos([]nix.StorePath{p})
		if err != nil {
			return
		}
		if len(infos)+len(gone) != 1 {
			t.Fatalf("%d infos and %d gone of one path", len(infos), len(gone))
		}
		for _, info := range infos {
			if info.Path != p || len(info.Sigs) > nix.MaxSigs || !slices.IsSortedFunc(info.References, nix.StorePath.Compare) {
				t.Errorf("%+v", info)
			}
		}
	})
}
