package node

import (
	"context"
	"errors"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/trust"
)

// Server answers other nodes with what this node shares with them. It satisfies transfer.Handler. What is not shared
// with the asker and what is not here are one answer: transfer.ErrAbsent.
type Server struct{ node *Node }

// Server returns the side of n that other nodes ask.
func (n *Node) Server() *Server { return &Server{node: n} }

// shared reports whether a is given to the asker.
func (s *Server) shared(from transfer.Remote, a namespace.Address) bool {
	sp, known := s.node.spaces.get(a)
	if !known {
		return false
	}
	switch s.node.shareOf(sp) {
	case ShareAll:
		return true
	case ShareLAN:
		return from.LAN
	}
	return false
}

// Lookup answers for path hashes with the entries whose content is whole here, and with those of their references.
func (s *Server) Lookup(ctx context.Context, from transfer.Remote, a namespace.Address, hashes []nix.PathHash) ([]transfer.Answer, error) {
	if !s.shared(from, a) {
		return nil, transfer.ErrAbsent
	}
	answers := make([]transfer.Answer, 0, len(hashes))
	seen := make(map[nix.PathHash]bool, len(hashes))
	var references []nix.PathHash
	for _, h := range hashes {
		seen[h] = true
	}
	for _, h := range hashes {
		answer, refs, err := s.answer(ctx, a, h)
		if err != nil {
			return nil, err
		}
		answers = append(answers, answer)
		references = append(references, refs...)
	}
	for _, h := range references {
		if seen[h] || len(answers) >= lookupHashes {
			continue
		}
		seen[h] = true
		answer, _, err := s.answer(ctx, a, h)
		if err != nil {
			return nil, err
		}
		if len(answer.Entries) > 0 {
			answers = append(answers, answer)
		}
	}
	return answers, nil
}

func (s *Server) answer(ctx context.Context, a namespace.Address, h nix.PathHash) (transfer.Answer, []nix.PathHash, error) {
	answer := transfer.Answer{Hash: h}
	entries, err := s.node.Catalog.Lookup(ctx, a, h)
	if errors.Is(err, catalog.ErrNotFound) {
		return answer, nil, nil
	}
	if err != nil {
		return answer, nil, err
	}
	var refs []nix.PathHash
	for _, v := range entries {
		if len(answer.Entries) == answerEntries || !s.node.whole(ctx, v) {
			continue
		}
		answer.Entries = append(answer.Entries, transfer.LookupEntry{Entry: *v.Entry(), Publication: v.Publication()})
		for _, r := range v.Entry().References {
			refs = append(refs, r.Hash())
		}
	}
	return answer, refs, nil
}

// Text answers with a publication, document, kept list or body of a.
func (s *Server) Text(ctx context.Context, from transfer.Remote, a namespace.Address, kind transfer.Kind, id [32]byte) ([]byte, error) {
	if !s.shared(from, a) {
		return nil, transfer.ErrAbsent
	}
	raw, err := s.text(ctx, a, kind, id)
	if errors.Is(err, catalog.ErrNotFound) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return nil, transfer.ErrAbsent
	}
	return raw, err
}

func (s *Server) text(ctx context.Context, a namespace.Address, kind transfer.Kind, id [32]byte) ([]byte, error) {
	switch kind {
	case transfer.Publication:
		return s.node.Catalog.Publication(ctx, a, id)
	case transfer.Document:
		if d, ok := s.document(a); ok && d.ID() == id {
			return d.Raw(), nil
		}
	case transfer.KeepList:
		return s.node.Catalog.KeepList(ctx, a, id)
	case transfer.Body:
		if has, err := s.node.Catalog.HasBody(ctx, a, id); err != nil || !has {
			return nil, errors.Join(err, transfer.ErrAbsent)
		}
		return store.Get(ctx, s.node.Store, s.node.Codec, store.BodyKey(id))
	}
	return nil, transfer.ErrAbsent
}

func (s *Server) document(a namespace.Address) (trust.Document, bool) {
	p, ok := s.node.Catalog.Policy(a)
	if !ok {
		return trust.Document{}, false
	}
	return p.Document()
}

// Chunks answers with the chunks of a body of a that are here, and with transfer.ErrAbsent after them if some are not. They
// go out as runs of at most runRaw bytes: the frames of neighbouring chunks in one encoding stand behind each other, as
// they lie in the store.
func (s *Server) Chunks(ctx context.Context, from transfer.Remote, a namespace.Address, id content.BodyID, ranges []transfer.Range, send func(transfer.Run) error) error {
	if !s.shared(from, a) {
		return transfer.ErrAbsent
	}
	if has, err := s.node.Catalog.HasBody(ctx, a, id); err != nil || !has {
		return errors.Join(err, transfer.ErrAbsent)
	}
	body, err := s.node.localBody(ctx, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return transfer.ErrAbsent
	}
	if err != nil {
		return err
	}
	s.node.touch(ctx, a, id)
	out, lacking := &runWriter{send: send}, false
	defer func() { s.node.demand.add(a, out.sent) }()
	for _, rg := range ranges {
		if uint64(rg.First)+uint64(rg.Count) > uint64(len(body.body.Chunks)) {
			return transfer.BadRequest("chunks %d+%d of %d", rg.First, rg.Count, len(body.body.Chunks))
		}
		for i := rg.First; i < rg.First+rg.Count; i++ {
			key := store.ChunkKey(body.body.Chunks[i].ID)
			frame, err := s.node.Store.Frame(ctx, key, nil)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil { // a gap: the rest is given all the same
				lacking = true
				err = out.flush()
			} else {
				err = out.add(i, s.packed(ctx, key, frame))
			}
			if err != nil {
				return err
			}
		}
		if err := out.flush(); err != nil {
			return err
		}
	}
	if lacking {
		s.node.bodies.setWhole(id, false)
		return transfer.ErrAbsent
	}
	return nil
}

// packed encodes what comes from /nix/store as it is there. What lies raw in the store does so because that saves nothing.
func (s *Server) packed(ctx context.Context, k store.Key, f store.Frame) store.Frame {
	if s.node.InPlace == nil || f.Encoding != store.Raw {
		return f
	}
	if _, stored, err := s.node.Store.Stored(ctx, k); err != nil || stored {
		return f
	}
	return s.node.Codec.Encode(nil, f.Data)
}

// runWriter gathers chunks into runs.
type runWriter struct {
	send func(transfer.Run) error
	run  transfer.Run
	sent uint64 // bytes of data
}

func (w *runWriter) add(i uint32, f store.Frame) error {
	if w.run.Count > 0 && (byte(f.Encoding) != byte(w.run.Encoding) || w.run.RawLength+f.RawLength > runRaw || w.run.Count == transfer.MaxRunChunks) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if w.run.Count == 0 {
		w.run.First, w.run.Encoding, w.run.RawLength = i, transfer.Encoding(f.Encoding), 0
	}
	w.run.Count++
	w.run.RawLength += f.RawLength
	w.run.Data = append(w.run.Data, f.Data...)
	return nil
}

// flush sends the run that was gathered. The buffer is used again: send must not keep it.
func (w *runWriter) flush() error {
	if w.run.Count == 0 {
		return nil
	}
	err := w.send(w.run)
	w.sent += uint64(len(w.run.Data))
	w.run = transfer.Run{Data: w.run.Data[:0]}
	return err
}

// Sync answers what is new in a since the asker's position, at once or, if the asker has all of it and wants to wait,
// when there is something, at the latest after longPoll.
func (s *Server) Sync(ctx context.Context, from transfer.Remote, a namespace.Address, req transfer.SyncRequest) (*transfer.SyncAnswer, error) {
	if !s.shared(from, a) {
		return nil, transfer.ErrAbsent
	}
	s.node.peers.asked(from.Peer, a)
	var (
		answer *transfer.SyncAnswer
		err    error
	)
	if len(req.Buckets) > 0 {
		answer, err = s.bucketIDs(ctx, a, req.Buckets)
	} else {
		answer, err = s.newsInTime(ctx, from, a, req)
	}
	if err != nil {
		return nil, err
	}
	answer.Time = s.node.Now()
	return answer, nil
}

// newsInTime is news, when there is some or the asker has waited long enough.
func (s *Server) newsInTime(ctx context.Context, from transfer.Remote, a namespace.Address, req transfer.SyncRequest) (*transfer.SyncAnswer, error) {
	deadline := time.NewTimer(longPoll)
	defer deadline.Stop()
	for {
		changed := s.node.Catalog.Changed(a)
		answer, err := s.news(ctx, a, req)
		if err != nil || !req.Wait || hasNews(req, answer) {
			return answer, err
		}
		select {
		case <-changed:
		case <-deadline.C:
			return answer, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !s.shared(from, a) {
			return nil, transfer.ErrAbsent
		}
	}
}

// hasNews reports whether answer tells somebody who waits at req's position anything.
func hasNews(req transfer.SyncRequest, answer *transfer.SyncAnswer) bool {
	return len(answer.RawDocument) > 0 || len(answer.Added) > 0 || answer.Epoch != req.Epoch || answer.Cursor != req.Cursor
}

func (s *Server) news(ctx context.Context, a namespace.Address, req transfer.SyncRequest) (*transfer.SyncAnswer, error) {
	answer := &transfer.SyncAnswer{}
	d, ok := s.document(a)
	if !ok {
		return nil, transfer.ErrAbsent
	}
	answer.Serial, answer.Document = d.Value().Serial, d.ID()
	if d.Value().Serial > req.Serial || d.Value().Serial == req.Serial && d.ID().Compare(req.Document) > 0 {
		lists, err := s.lists(ctx, a, d)
		if err != nil {
			return nil, err
		}
		answer.RawDocument, answer.Lists = d.Raw(), lists
	}
	end, err := s.node.Catalog.End(ctx, a) // before the digest: what is listed between the two comes after it
	if err != nil {
		return nil, err
	}
	digest, err := s.node.Catalog.Digest(ctx, a)
	if err != nil {
		return nil, err
	}
	since := catalog.Cursor{Epoch: req.Epoch, Seq: req.Cursor}
	ids, next, known, err := s.node.Catalog.Changes(ctx, a, since, changesAtOnce)
	if err != nil {
		return nil, err
	}
	answer.Equal = digest.Count == req.Count && digest.Sum == req.Sum
	answer.Known = known && !answer.Equal
	switch {
	case answer.Equal:
		answer.Epoch, answer.Cursor = end.Epoch, end.Seq
	case known:
		answer.Epoch, answer.Cursor, answer.Added, answer.More = next.Epoch, next.Seq, ids, len(ids) == changesAtOnce
	default:
		return s.digests(ctx, a, answer)
	}
	return answer, nil
}

// digests fills in what somebody needs who has never followed this catalog: where its order stands now, and a digest of
// each bucket to find what differs.
func (s *Server) digests(ctx context.Context, a namespace.Address, answer *transfer.SyncAnswer) (*transfer.SyncAnswer, error) {
	end, err := s.node.Catalog.End(ctx, a)
	if err != nil {
		return nil, err
	}
	answer.Epoch, answer.Cursor = end.Epoch, end.Seq
	buckets, err := s.node.Catalog.Buckets(ctx, a)
	if err != nil {
		return nil, err
	}
	answer.Buckets = make([]transfer.BucketDigest, len(buckets))
	for i, b := range buckets {
		answer.Buckets[i] = transfer.BucketDigest{Count: b.Count, Sum: b.Sum}
	}
	return answer, nil
}

func (s *Server) lists(ctx context.Context, a namespace.Address, d trust.Document) ([][]byte, error) {
	var lists [][]byte
	seen := make(map[namespace.ID]bool)
	size := 0
	for _, c := range d.Value().Closed {
		if c.None || seen[c.Keep] {
			continue
		}
		seen[c.Keep] = true
		raw, err := s.node.Catalog.KeepList(ctx, a, c.Keep)
		if err != nil {
			return nil, err
		}
		if size += len(raw); size > transfer.MaxSyncLists || len(lists) == transfer.MaxSyncListCount {
			break // the asker fetches the rest, one by one
		}
		lists = append(lists, raw)
	}
	return lists, nil
}

func (s *Server) bucketIDs(ctx context.Context, a namespace.Address, wanted []byte) (*transfer.SyncAnswer, error) {
	answer := &transfer.SyncAnswer{BucketIDs: make(map[byte][]namespace.ID, len(wanted))}
	for _, b := range wanted {
		ids, err := s.node.Catalog.IDs(ctx, a, b)
		if err != nil {
			return nil, err
		}
		answer.BucketIDs[b] = ids
	}
	return answer, nil
}
