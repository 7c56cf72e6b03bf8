package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
)

// publishing is an instance, without network or sockets, that has published made-up packages to acme-1 and uses it.
func publishing(tb testing.TB, state string) (*instance, []nix.StorePath) {
	tb.Helper()
	ctx := tb.Context()
	i, err := open(ctx, config{State: state, Sign: true, Budget: time.Second, Reserve: 1 << 20}, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := i.Close(); err != nil {
			tb.Error(err)
		}
	})
	made, err := i.verbs().New(ctx, control.NewRequest{Name: "acme-1", Keep: time.Hour})
	if err != nil {
		tb.Fatal(err)
	}
	source := madeUp(true)
	root := source.infos[len(source.infos)-1].Path
	if _, err := i.node.Publish(ctx, source, node.PublishRequest{Alias: "acme-1", Roots: []nix.StorePath{root}}); err != nil {
		tb.Fatal(err)
	}
	sp, err := i.verbs().find(made.Address)
	if err != nil {
		tb.Fatal(err)
	}
	sp.Use = true
	if err := i.node.Put(sp); err != nil {
		tb.Fatal(err)
	}
	var paths []nix.StorePath
	for _, info := range source.infos {
		paths = append(paths, info.Path)
	}
	return i, paths
}

func BenchmarkNarInfo(b *testing.B) {
	i, paths := publishing(b, filepath.Join(b.TempDir(), "state"))
	for name, url := range map[string]string{"hit": "/" + paths[0].Hash().String() + ".narinfo", "miss": "/" + nix.PathHash{7}.String() + ".narinfo"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+url, nil)
			for b.Loop() {
				i.gateway.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
	b.Run("node miss", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = i.node.Info(b.Context(), "", nix.PathHash{7})
		}
	})
}
