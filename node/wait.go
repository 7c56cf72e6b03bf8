package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/trust"
)

// WaitRequest asks to be told when paths are published and lie on other machines.
type WaitRequest struct {
	Paths  []nix.StorePath
	Alias  string // of one namespace; empty: any
	Copies int    // 0: it is enough that they are published
	Names  map[peer.ID]string
	// Progress is told of each path as copies are found; nil: nobody is. It is called from one goroutine.
	Progress func(report.WaitProgress)
}

// waitEvery is how often those who mirror a namespace are asked again for what has too few copies.
const waitEvery = 2 * time.Second

// WaitFor returns when every path is published and has so many copies, or with what there is when ctx ends. Copies are
// counted by asking: each peer that mirrors the namespace is offered the publication, and says by a receipt that it has it.
// This machine does not count.
func (n *Node) WaitFor(ctx context.Context, r WaitRequest) (report.Wait, error) {
	spaces := n.spaces.all()
	if r.Alias != "" {
		sp, err := n.space(r.Alias)
		if err != nil {
			return report.Wait{}, err
		}
		spaces = []Space{sp}
	}
	w := report.Wait{Schema: "flurry/wait/1", Wanted: r.Copies, Paths: []report.WaitPath{}, Missing: []string{}}
	found := make(map[nix.StorePath]report.WaitPath)
	for {
		enough := true
		for _, p := range r.Paths {
			if f, ok := found[p]; ok && len(f.Copies) >= r.Copies {
				continue
			}
			f, ok, err := n.waitPath(ctx, spaces, p, r)
			if err != nil && ctx.Err() == nil {
				return w, err
			}
			if ok {
				found[p] = f
				if r.Progress != nil {
					r.Progress(report.WaitProgress{Path: p.String(), Copies: len(f.Copies), Wanted: r.Copies})
				}
			}
			enough = enough && ok && len(f.Copies) >= r.Copies
		}
		if enough || ctx.Err() != nil {
			break
		}
		pause(ctx, waitEvery)
	}
	for _, p := range r.Paths {
		f, ok := found[p]
		if ok {
			w.Paths = append(w.Paths, f)
		}
		if !ok || len(f.Copies) < r.Copies {
			w.Missing = append(w.Missing, p.String())
		}
	}
	if len(w.Missing) > 0 {
		w.Exit = report.ExitUnavailable
	}
	return w, nil
}

// waitPath says who published p and who has it, now.
func (n *Node) waitPath(ctx context.Context, spaces []Space, p nix.StorePath, r WaitRequest) (report.WaitPath, bool, error) {
	for _, sp := range spaces {
		entries, err := n.Catalog.Lookup(ctx, sp.Address, p.Hash())
		if errors.Is(err, catalog.ErrNotFound) {
			continue
		}
		if err != nil {
			return report.WaitPath{}, false, err
		}
		for _, v := range entries {
			if v.Path() != p {
				continue
			}
			f := report.WaitPath{Path: p.String(), Namespace: sp.Alias, Publication: v.Publication().String(), Writer: v.Signer().Name, Copies: []report.Copy{}}
			if info, err := n.Catalog.PublicationInfo(ctx, sp.Address, v.Publication()); err == nil {
				f.Published = info.Time
			}
			if r.Copies > 0 {
				f.Copies = n.copiesNow(ctx, sp, v, r.Names)
			}
			return f, true, nil
		}
	}
	return report.WaitPath{}, false, nil
}

// copiesNow asks every peer that may be asked whether it has the publication of v.
func (n *Node) copiesNow(ctx context.Context, sp Space, v trust.Verified, names map[peer.ID]string) []report.Copy {
	var mu sync.Mutex
	copies := []report.Copy{}
	var all sync.WaitGroup
	for _, r := range n.peers.connected() {
		if !n.mayAsk(r, sp) {
			continue
		}
		all.Go(func() {
			receipt, refused, err := n.hadAlready(ctx, r, sp.Address, v.Publication())
			if err != nil || refused != nil || receipt.IsZero() {
				return
			}
			id := r.conn.Peer()
			name := names[id]
			if name == "" {
				name = id.Short()
			}
			mu.Lock()
			defer mu.Unlock()
			copies = append(copies, copyOf(receipt, name))
		})
	}
	all.Wait()
	return copies
}
