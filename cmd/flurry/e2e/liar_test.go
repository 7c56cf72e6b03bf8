package e2e

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/store"
	storedisk "github.com/flurry-nix/flurry/store/disk"
)

// becomesLiar makes of a publisher that was stopped one that lies: in its store the last chunk of the largest NAR, or of every one, is another one,
// well formed and with checksums that are right. Everything else it has is true.
func (p *process) becomesLiar(everywhere bool) {
	p.t.Helper()
	ctx := p.t.Context()
	old := filepath.Join(p.t.TempDir(), "true")
	if err := os.Mkdir(old, 0o755); err != nil {
		p.t.Fatal(err)
	}
	for _, name := range []string{"packs", "index", "format"} {
		if err := os.Rename(filepath.Join(p.state, name), filepath.Join(old, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			p.t.Fatal(err)
		}
	}
	from, err := storedisk.Open(ctx, old, storedisk.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		p.t.Fatal(err)
	}
	defer from.Close()
	to, err := storedisk.Open(ctx, p.state, storedisk.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		p.t.Fatal(err)
	}
	defer to.Close()
	keys := keysIn(p.t, from)
	last := lastChunks(p.t, from, keys, everywhere)
	batch, err := to.Begin(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	defer batch.Close()
	codec := store.NewCodec()
	for _, k := range keys {
		f, err := from.Frame(ctx, k, nil)
		if err != nil {
			p.t.Fatal(err)
		}
		if slices.Contains(last, k) {
			raw, err := codec.Decode(nil, f)
			if err != nil {
				p.t.Fatal(err)
			}
			raw = bytes.Clone(raw)
			raw[len(raw)/2] ^= 1
			f = codec.Encode(nil, raw)
		}
		if err := batch.Put(ctx, k, f); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := batch.Commit(ctx); err != nil {
		p.t.Fatal(err)
	}
}

// keysIn is everything in a store: what a sweep that takes nothing is shown.
func keysIn(t *testing.T, s *storedisk.Store) (keys []store.Key) {
	t.Helper()
	c, err := s.StartCollection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Sweep(t.Context(), func(k store.Key) store.Fate { keys = append(keys, k); return store.Keep }, store.SweepOptions{DryRun: true, Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	return keys
}

// lastChunks are the last chunks of the largest NAR, or of all.
func lastChunks(t *testing.T, s *storedisk.Store, keys []store.Key, all bool) (last []store.Key) {
	t.Helper()
	size := uint64(0)
	for _, k := range keys {
		if k.Kind != store.KindBody {
			continue
		}
		raw, err := store.Get(t.Context(), s, store.NewCodec(), k)
		if err != nil {
			t.Fatal(err)
		}
		b, err := content.ParseBody(raw)
		if err != nil {
			t.Fatal(err)
		}
		end := store.ChunkKey(b.Chunks[len(b.Chunks)-1].ID)
		switch {
		case all:
			last = append(last, end)
		case b.Size > size:
			last, size = []store.Key{end}, b.Size
		}
	}
	if len(last) == 0 || !slices.Contains(keys, last[0]) {
		t.Fatal("there is no body in the store, or not its last chunk")
	}
	return last
}

// liesAtTheEnd: the gateway's only peer is right until the last chunk of a large NAR.
func liesAtTheEnd(t *testing.T, m *matrix) ([]string, string, during) {
	return m.withLiar(t, func(*process, string) []string { return nil })
}

// liesBesideAnother: there is another peer, who does not lie. Whoever does is wrong about the end of every NAR, since it is by chance which of the two is
// asked for which end.
func liesBesideAnother(t *testing.T, m *matrix) ([]string, string, during) {
	return m.withLiar(t, func(peer *process, address string) []string {
		honest := daemon(t, "honest", "--port", peerPort(t), "--peer", "127.0.0.1:"+peer.args[1])
		honest.must(nil, "seed", address)
		return []string{"--peer", "127.0.0.1:" + honest.args[1]}
	})
}

// withLiar is a gateway with a peer that lies, and others that came to be peers before it did.
func (m *matrix) withLiar(t *testing.T, others func(peer *process, address string) []string) ([]string, string, during) {
	t.Helper()
	peer, address := m.publisher(t)
	more := others(peer, address)
	peer.stop()
	peer.becomesLiar(len(more) > 0)
	peer.start()
	g := daemon(t, "gateway", append([]string{"--peer", "127.0.0.1:" + peer.args[1]}, more...)...)
	g.uses(address, len(m.paths))
	g.awaitPeers(1 + len(more)/2)
	return []string{g.gateway}, g.key, func(done <-chan struct{}, _ *tap) {
		<-done
		var s report.Status
		g.must(&s, "status", "--peers")
		banned := slices.ContainsFunc(s.Peers, func(p report.Peer) bool { return p.State == "banned" && strings.Contains(p.Why, "corrupt content") })
		if !banned {
			t.Errorf("who lied is not banned: %+v", s.Peers)
		}
	}
}
