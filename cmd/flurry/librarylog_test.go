package main

import (
	"bytes"
	stdlog "log"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/gologshim"
)

// TestLibrariesAreQuiet: what libraries print is there for who debugs, and for nobody else.
func TestLibrariesAreQuiet(t *testing.T) {
	t.Cleanup(func() {
		stdlog.SetFlags(stdlog.LstdFlags)
		stdlog.SetOutput(os.Stderr)
	})
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
		var out bytes.Buffer
		adoptLibraries(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level})))
		stdlog.Print("[zeroconf] no suitable IPv6 interface")
		lib := gologshim.Logger("made-up").With("peer", "x")
		lib.Error("stream broke")
		lib.Info("a stream more")
		want := []string{"level=DEBUG msg=\"[zeroconf] no suitable IPv6 interface\"\n", "level=DEBUG msg=\"stream broke\" logger=made-up peer=x\n"}
		lines := strings.SplitAfter(out.String(), "\n")
		if level == slog.LevelInfo {
			want = nil
		}
		if len(lines) != len(want)+1 {
			t.Fatalf("at %v:\n%s", level, out.String())
		}
		for k, w := range want {
			if !strings.HasSuffix(lines[k], w) {
				t.Errorf("at %v: %q, want %q", level, lines[k], w)
			}
		}
	}
	gologshim.SetDefaultHandler(slog.DiscardHandler)
}
