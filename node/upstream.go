package node

import (
	"context"
	"errors"
	"io"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// upstreams are the origins of the upstream namespaces in use, and what they said.
type upstreams struct {
	open func(url string) (Origin, error)

	mu        sync.Mutex
	byAddress map[namespace.Address]*upstream
	before    uint64 // bytes that came from origins that are closed
}

// upstream is what is known of one origin. What it has is in the catalog; what it lacks, and where its NARs are, is remembered
// here for a while.
type upstream struct {
	address namespace.Address
	url     string
	origin  Origin
	breaker breaker
	holders *holders
	cold    coldness
	answers atomic.Uint64 // how many questions it answered

	mu     sync.Mutex
	absent map[nix.PathHash]time.Time // until when
	infos  map[nix.PathHash]originInfo
	asking map[nix.PathHash]chan struct{} // closed when the question is answered
}

// originInfo is where an origin said that a NAR is, and when.
type originInfo struct {
	info *nix.NarInfo
	said time.Time
}

func newUpstreams(open func(string) (Origin, error)) *upstreams {
	return &upstreams{open: open, byAddress: make(map[namespace.Address]*upstream)}
}

// of returns the upstream of a space; nil: it has none.
func (us *upstreams) of(sp Space) *upstream {
	if sp.Origin == "" || us.open == nil {
		return nil
	}
	us.mu.Lock()
	defer us.mu.Unlock()
	if u := us.byAddress[sp.Address]; u != nil && u.url == sp.Origin {
		return u
	}
	o, err := us.open(sp.Origin)
	if err != nil {
		return nil // a URL that nobody can ask; use refuses it
	}
	u := &upstream{address: sp.Address, url: sp.Origin, origin: o, holders: newHolders(), absent: make(map[nix.PathHash]time.Time), infos: make(map[nix.PathHash]originInfo), asking: make(map[nix.PathHash]chan struct{})}
	if old := us.byAddress[sp.Address]; old != nil {
		us.closed(old)
	}
	us.byAddress[sp.Address] = u
	return u
}

// known returns the upstream of a namespace if it was asked before.
func (us *upstreams) known(a namespace.Address) *upstream {
	us.mu.Lock()
	defer us.mu.Unlock()
	return us.byAddress[a]
}

// peerCame has the questions asked again that nobody had an answer to.
func (us *upstreams) peerCame() {
	us.mu.Lock()
	defer us.mu.Unlock()
	for _, u := range us.byAddress {
		u.holders.reopen()
	}
}

// forget forgets what the origin of a namespace said.
func (us *upstreams) forget(a namespace.Address) {
	us.mu.Lock()
	defer us.mu.Unlock()
	if u := us.byAddress[a]; u != nil {
		us.closed(u)
		delete(us.byAddress, a)
	}
}

// closed ends an origin, and remembers what came from it. It is called with mu held.
func (us *upstreams) closed(u *upstream) {
	u.origin.Close()
	us.before += u.origin.Received()
}

// received is how many bytes came from all origins since the start.
func (us *upstreams) received() uint64 {
	us.mu.Lock()
	defer us.mu.Unlock()
	all := us.before
	for _, u := range us.byAddress {
		all += u.origin.Received()
	}
	return all
}

// lacks reports whether the origin said a while ago that it does not have h, or gave something wrong for it.
func (u *upstream) lacks(h nix.PathHash, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	until, said := u.absent[h]
	return said && now.Before(until)
}

// setAbsent remembers for a while that h is not to be had.
func (u *upstream) setAbsent(h nix.PathHash, until time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for old := range u.absent { // by chance: it is only asked for once more
		if len(u.absent) < upstreamAbsent {
			break
		}
		delete(u.absent, old)
	}
	u.absent[h] = until
	delete(u.infos, h)
}

// setInfo remembers where a NAR is. What the catalog has of it as well is left out: there can be very many references.
func (u *upstream) setInfo(said *nix.NarInfo, now time.Time) {
	info := &nix.NarInfo{StorePath: said.StorePath, URL: said.URL, Compression: said.Compression, NarHash: said.NarHash, NarSize: said.NarSize}
	u.mu.Lock()
	defer u.mu.Unlock()
	for old := range u.infos { // by chance: it is only asked for once more
		if len(u.infos) < upstreamInfos {
			break
		}
		delete(u.infos, old)
	}
	h := info.StorePath.Hash()
	u.infos[h] = originInfo{info, now}
	delete(u.absent, h)
}

func (u *upstream) info(h nix.PathHash) *nix.NarInfo {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.infos[h].info
}

// confirmed reports whether the origin said lately that it has h.
func (u *upstream) confirmed(h nix.PathHash, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	i, ok := u.infos[h]
	return ok && now.Sub(i.said).Abs() < upstreamHit
}

// begin reports whether the caller is the one to ask for h; if not, the channel is closed when whoever does has an answer.
func (u *upstream) begin(h nix.PathHash) (<-chan struct{}, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if c := u.asking[h]; c != nil {
		return c, false
	}
	u.asking[h] = make(chan struct{})
	return u.asking[h], true
}

func (u *upstream) end(h nix.PathHash) {
	u.mu.Lock()
	defer u.mu.Unlock()
	close(u.asking[h])
	delete(u.asking, h)
}

// askOrigin asks the origin of sp for h, unless somebody does already or it is of no use, and returns what is closed when there is an
// answer: what was found is in the catalog then. The question goes on when whoever asked first has left.
func (n *Node) askOrigin(sp Space, h nix.PathHash) <-chan struct{} {
	answered := make(chan struct{})
	u := n.upstreams.of(sp)
	if u == nil || u.lacks(h, n.Now()) {
		close(answered)
		return answered
	}
	c, mine := u.begin(h)
	if !mine {
		return c
	}
	if !u.breaker.allows(n.Now()) || !n.tasks.Go(func(ctx context.Context) { defer u.end(h); n.learnNarInfo(ctx, sp, u, h) }) {
		u.end(h)
	}
	return c
}

// CheckOrigin asks the origin of a namespace in use whether it is there, and returns why it is not. Nix's first question does not wait for a connection then.
func (n *Node) CheckOrigin(ctx context.Context, a namespace.Address) error {
	sp, ok := n.spaces.get(a)
	if !ok {
		return ErrUnknownNamespace
	}
	u := n.upstreams.of(sp)
	if u == nil {
		return nil
	}
	err := u.origin.Check(ctx)
	if err == nil || errors.Is(err, ErrNotHere) {
		u.works(n.Now())
	}
	return err
}

// works notes that the origin answered.
func (u *upstream) works(now time.Time) {
	u.answers.Add(1)
	u.cold.answered(now)
	u.breaker.worked()
}

// nar opens a NAR of the origin.
func (u *upstream) nar(ctx context.Context, info *nix.NarInfo, now func() time.Time) (io.ReadCloser, error) {
	body, err := u.origin.Nar(ctx, info)
	if err == nil || errors.Is(err, ErrNotHere) {
		u.cold.answered(now())
	}
	return body, err
}

// learnNarInfo asks an origin for a narinfo and keeps what it gives, if the namespace's key signed it.
func (n *Node) learnNarInfo(ctx context.Context, sp Space, u *upstream, h nix.PathHash) {
	ended := n.hushes(u)
	u.cold.ask(n.Now())
	info, err := u.origin.Info(ctx, h)
	ended()
	switch {
	case errors.Is(err, ErrNotHere):
		u.works(n.Now())
		u.setAbsent(h, n.Now().Add(upstreamMiss))
		return
	case err != nil:
		if ctx.Err() == nil {
			u.breaker.failed(n.Now())
			n.Log.Debug("origin does not answer", "namespace", sp.Alias, "origin", u.url, "err", err)
		}
		return
	}
	u.works(n.Now())
	if err := n.keepNarInfo(ctx, u, info); err != nil {
		u.setAbsent(h, n.Now().Add(upstreamMiss))
		n.Log.Warn("origin gives what may not be served", "namespace", sp.Alias, "path", info.StorePath.Base(), "err", err)
	}
}

// keepNarInfo takes in what an origin gives, if the namespace's key signed it. The catalog has it in the place of another build of the path, unless that
// was given out from here.
func (n *Node) keepNarInfo(ctx context.Context, u *upstream, info *nix.NarInfo) error {
	v, err := n.upstreamPolicy(u.address).VerifyNarInfo(info)
	if err != nil {
		return err
	}
	u.setInfo(info, n.Now())
	if have, err := n.Catalog.Lookup(ctx, u.address, info.StorePath.Hash()); err == nil && have[0].Entry().NarHash == info.NarHash {
		return nil // known, and perhaps with its body
	}
	return n.Catalog.Keep(ctx, v)
}

// confirm asks the origin of v once more whether it has the path, if it did not say so lately and there is nowhere else to have it from. When it does not
// answer in time, what it said before counts.
func (n *Node) confirm(ctx context.Context, v trust.Verified) (asked bool) {
	sp, ok := n.spaces.get(v.Address())
	if !ok || !n.isUpstream(v.Address()) {
		return false
	}
	u := n.upstreams.of(sp)
	if u == nil || u.confirmed(v.Path().Hash(), n.Now()) || v.Entry().HasBody() && n.likelyWhole(ctx, v) || len(n.heard(v)) > 0 || n.passing(v) != nil {
		return false
	}
	return await(ctx, n.askOrigin(sp, v.Path().Hash()))
}

// hushes is called before u is asked something, and what it returns when that question has ended. An origin that meanwhile answers nothing,
// neither this nor what others asked, and sends nothing of a NAR, is left alone after originHush: by itself a question ends long after those
// who wait for it have gone, and Nix asks for hundreds of paths.
func (n *Node) hushes(u *upstream) (ended func() bool) {
	answers, received := u.answers.Load(), u.origin.Received()
	return time.AfterFunc(originHush, func() {
		if u.answers.Load() == answers && u.origin.Received()-received < originLeast {
			u.breaker.trip(n.Now())
		}
	}).Stop
}

// upstreamPolicy is what counts in an upstream namespace.
func (n *Node) upstreamPolicy(a namespace.Address) *trust.Policy {
	if p, ok := n.Catalog.Policy(a); ok {
		return p
	}
	return trust.NewUpstreamPolicy(a)
}

// originHas reports whether the origin of v's namespace may be able to give it.
func (n *Node) originHas(v trust.Verified) bool {
	u := n.upstreams.known(v.Address())
	if u == nil {
		sp, ok := n.spaces.get(v.Address())
		if !ok {
			return false
		}
		if u = n.upstreams.of(sp); u == nil {
			return false
		}
	}
	return !u.lacks(v.Path().Hash(), n.Now()) && !u.breaker.open()
}

// originLacks reports, from memory, that sp is an upstream namespace whose origin does not have h, or is not asked at the moment, and that no peer
// is to be asked instead.
func (n *Node) originLacks(sp Space, h nix.PathHash) bool {
	if sp.Origin == "" {
		return false
	}
	u := n.upstreams.known(sp.Address)
	if u == nil {
		return false
	}
	return u.lacks(h, n.Now()) || u.breaker.keepsBack(n.Now()) && !(n.peers.any() && u.holders.wanted(h, n.Now()))
}

func (n *Node) isUpstream(a namespace.Address) bool {
	p, ok := n.Catalog.Policy(a)
	return ok && p.Upstream()
}

// originNote is what people are told of the origin of sp.
func (n *Node) originNote(sp Space) string {
	if u := n.upstreams.known(sp.Address); u != nil && u.breaker.open() {
		return "origin " + shownURL(sp.Origin) + " does not answer"
	}
	return "origin " + shownURL(sp.Origin)
}

// shownURL is a URL for people: without user and password.
func shownURL(at string) string {
	u, err := url.Parse(at)
	if err != nil {
		return at
	}
	u.User = nil
	return u.String()
}
