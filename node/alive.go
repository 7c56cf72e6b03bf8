package node

import "github.com/flurry-nix/flurry/nix"

// Alive goes the way of a narinfo, through all that is guarded on it, in memory and without asking anybody, and returns when it could: a
// node for which it does not return gives no answer any more.
func (n *Node) Alive() {
	h := nix.PathHash{} // nobody's
	n.Generation()
	for _, sp := range n.spaces.inUse("") {
		n.unlisted(sp.Address, h)
		n.peers.serving(sp.Address, nil)
		n.originLacks(sp, h)
	}
	n.peers.any()
	n.Absent("", h)
	n.GraceLeft()
	n.mu.Lock()
	defer n.mu.Unlock()
	_ = len(n.downloads)
}
