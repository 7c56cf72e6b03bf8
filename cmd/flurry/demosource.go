package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/node"
)

// demoClosureMost is the largest closure that the demo takes from the local store.
const demoClosureMost = 100 << 20

// prepare chooses what to publish and who plays the client.
func (d *demo) prepare(ctx context.Context, path string, quick bool) error {
	d.client = d.findClient(ctx)
	made := madeUp(quick)
	d.source, d.closure, d.roots = made, made.infos, []nix.StorePath{made.infos[len(made.infos)-1].Path}
	local, err := daemon.Open(ctx, daemon.Options{Socket: d.getenv("NIX_DAEMON_SOCKET_PATH"), StateDir: d.getenv("NIX_STATE_DIR"), Remote: d.getenv("NIX_REMOTE")})
	if err != nil && path != "" {
		return publishProblem("demo", d.dir, err)
	}
	if err != nil {
		fmt.Fprintf(d.out, "No Nix store here: made-up packages, and %s as the client.\n\n", d.client.name())
		return nil
	}
	found, err := d.choose(ctx, local, path)
	if err != nil {
		local.Close()
		return err
	}
	what := "made-up packages"
	if found {
		d.source, what = local, "real store paths"
	} else {
		local.Close()
	}
	fmt.Fprintf(d.out, "%s, and %s as the client.\n\n", what, d.client.name())
	return nil
}

// choose takes the closure of path, or of some path of the store that is neither too small to say anything nor too large.
func (d *demo) choose(ctx context.Context, local *daemon.Store, path string) (bool, error) {
	if path != "" {
		p, err := daemon.Resolve(path)
		if err != nil {
			return false, pathProblem("demo --path", err)
		}
		d.roots = []nix.StorePath{p}
		d.closure, err = local.Closure(ctx, d.roots)
		return err == nil, publishProblem("demo", d.dir, err)
	}
	names, err := os.ReadDir(nix.StoreDir)
	if err != nil {
		return false, nil // Nix without a single path yet
	}
	best := 0
	for tried := 0; len(names) > 0 && tried < 40; tried++ {
		p, err := nix.ParseBaseName(names[tried*len(names)/40].Name())
		if err != nil {
			continue
		}
		closure, err := local.Closure(ctx, []nix.StorePath{p})
		if err != nil || narBytes(closure) > demoClosureMost || narBytes(closure) < 1<<20 || len(closure) <= best {
			continue
		}
		best, d.roots, d.closure = len(closure), []nix.StorePath{p}, closure
	}
	return best >= 3, nil
}

// madeUpPackages is a Nix store that never was: trees in which each holds the hashes of others, as ELF files hold the
// paths of the libraries they load. The same every time.
type madeUpPackages struct {
	infos []daemon.PathInfo // dependencies first
	nars  map[nix.StorePath][]byte
}

var _ node.Source = (*madeUpPackages)(nil)

const (
	madeUpPaths = 31
	madeUpSize  = 2 << 20
)

func madeUp(quick bool) *madeUpPackages {
	s := &madeUpPackages{nars: make(map[nix.StorePath][]byte)}
	size := madeUpSize
	if quick {
		size /= 16
	}
	for k := range madeUpPaths {
		var refs []nix.StorePath
		if k > 0 {
			refs = append(refs, s.infos[0].Path) // everything needs the first, as it needs libc
		}
		if half := k / 2; half > 0 {
			refs = append(refs, s.infos[half].Path)
		}
		s.add(k, size/2+size*(k%4)/3, refs)
	}
	all := make([]nix.StorePath, 0, len(s.infos))
	for _, i := range s.infos {
		all = append(all, i.Path)
	}
	s.add(madeUpPaths, 1000, all) // the root
	return s
}

// add makes one package whose content is half noise and half words, with a hash part about every 64 KiB.
func (s *madeUpPackages) add(k, size int, refs []nix.StorePath) {
	name := fmt.Sprintf("package-%d", k)
	sum := sha256.Sum256([]byte(name))
	var h nix.PathHash
	copy(h[:], sum[:])
	p, err := nix.ParseBaseName(h.String() + "-" + name)
	if err != nil {
		panic("demo: " + err.Error()) // the name is ours
	}
	random := rand.New(rand.NewChaCha8(sum))
	data := make([]byte, size)
	for at := 0; at < size; at += 8 {
		word := random.Uint64()
		if at/4096%2 == 0 {
			word &= 0x0f0f0f0f0f0f0f0f // half of it compresses
		}
		for b := 0; b < 8 && at+b < size; b++ {
			data[at+b] = byte(word >> (8 * b))
		}
	}
	holds := append([]nix.StorePath{p}, refs...)
	for at, n := 64, 0; at+64 < size; at, n = at+64<<10, n+1 {
		copy(data[at:], holds[n%len(holds)].String())
	}
	tree := &nix.NarNode{Type: 'd', Entries: map[string]*nix.NarNode{"lib": {Type: 'x', Data: data}, "name": {Type: 'f', Data: []byte(name)}}}
	var nar bytes.Buffer
	if err := tree.WriteNar(&nar); err != nil {
		panic("demo: " + err.Error()) // the tree is ours
	}
	s.put(daemon.PathInfo{Path: p, References: append(slices.Clone(refs), p)}, nar.Bytes())
}

func (s *madeUpPackages) put(info daemon.PathInfo, nar []byte) {
	slices.SortFunc(info.References, nix.StorePath.Compare)
	info.NarHash, info.NarSize = sha256.Sum256(nar), uint64(len(nar))
	s.nars[info.Path] = nar
	s.infos = append(s.infos, info)
}

// Closure returns everything: the root needs it all.
func (s *madeUpPackages) Closure(context.Context, []nix.StorePath) ([]daemon.PathInfo, error) {
	return s.infos, nil
}

// AddTempRoot has nothing to do: nothing is collected here.
func (s *madeUpPackages) AddTempRoot(context.Context, nix.StorePath) error { return nil }

// Nar writes the NAR of p.
func (s *madeUpPackages) Nar(_ context.Context, p nix.StorePath, w io.Writer) error {
	_, err := w.Write(s.nars[p])
	return err
}

// rebuiltPackages are packages of another source with other hashes.
type rebuiltPackages struct {
	madeUpPackages
	renamed map[nix.StorePath]nix.StorePath
}

// rebuild gives the path that most others need another hash, and so everything that needs it, directly or not: what Nix
// does when an input of it changes in a way that leaves the output as it was.
func rebuild(ctx context.Context, source node.Source, closure []daemon.PathInfo) (*rebuiltPackages, error) {
	r := &rebuiltPackages{madeUpPackages: madeUpPackages{nars: make(map[nix.StorePath][]byte)}, renamed: make(map[nix.StorePath]nix.StorePath)}
	for _, info := range closure {
		changed := len(r.renamed) == 0
		for _, ref := range info.References {
			_, other := r.renamed[ref]
			changed = changed || other
		}
		if changed {
			sum := sha256.Sum256([]byte("rebuilt " + info.Path.Base()))
			var h nix.PathHash
			copy(h[:], sum[:])
			p, err := nix.ParseBaseName(h.String() + "-" + info.Path.Name())
			if err != nil {
				return nil, err
			}
			r.renamed[info.Path] = p
		}
		if err := r.take(ctx, source, info); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// take copies one path with the hashes changed.
func (r *rebuiltPackages) take(ctx context.Context, source node.Source, info daemon.PathInfo) error {
	var nar bytes.Buffer
	if err := source.Nar(ctx, info.Path, &nar); err != nil {
		return err
	}
	raw := nar.Bytes()
	rename := func(p nix.StorePath) nix.StorePath {
		to, ok := r.renamed[p]
		if !ok {
			return p
		}
		raw = bytes.ReplaceAll(raw, []byte(p.Hash().String()), []byte(to.Hash().String()))
		return to
	}
	now := daemon.PathInfo{Path: rename(info.Path)}
	for _, ref := range info.References {
		now.References = append(now.References, rename(ref))
	}
	r.put(now, raw)
	return nil
}

func (r *rebuiltPackages) roots(old []nix.StorePath) []nix.StorePath {
	out := slices.Clone(old)
	for k, p := range out {
		if to, ok := r.renamed[p]; ok {
			out[k] = to
		}
	}
	return out
}

// compare says what other caches would send for the rebuild: whole compressed NARs, and chunks without normalising.
func compare(ctx context.Context, before node.Source, old []daemon.PathInfo, now *rebuiltPackages) (whole, plain uint64, err error) {
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		return 0, 0, err
	}
	had := make(map[content.ChunkID]bool)
	for _, info := range old {
		if _, err := plainChunks(ctx, before, info.Path, func(id content.ChunkID, _ []byte) { had[id] = true }); err != nil {
			return 0, 0, err
		}
	}
	for _, info := range now.infos {
		if slices.ContainsFunc(old, func(o daemon.PathInfo) bool { return o.Path == info.Path }) {
			continue // the path kept its hash: nobody sends it again
		}
		whole += uint64(len(encoder.EncodeAll(now.nars[info.Path], nil)))
		_, err := plainChunks(ctx, now, info.Path, func(id content.ChunkID, data []byte) {
			if !had[id] {
				had[id] = true
				plain += uint64(len(encoder.EncodeAll(data, nil)))
			}
		})
		if err != nil {
			return 0, 0, err
		}
	}
	return whole, plain, nil
}

// plainChunks cuts the NAR of p as it is, hashes of other paths and all.
func plainChunks(ctx context.Context, source node.Source, p nix.StorePath, take func(content.ChunkID, []byte)) (content.Split, error) {
	s := content.NewSplitter(ctx, content.SplitOptions{Workers: 1, Put: func(id content.ChunkID, data []byte) error { take(id, data); return nil }})
	if err := source.Nar(ctx, p, s); err != nil {
		s.Abort()
		return content.Split{}, err
	}
	return s.Close()
}
