// Package peer says who is there: the ids and addresses of other nodes, what
// people may write to name one, and the Finder that discovers them.
//
// A peer named here is a rumour. Who it is, a handshake proves (transfer); what
// it sends, signatures and hashes prove (trust, store). The package therefore
// judges nobody, dials nobody and knows no namespace; peer/static and peer/mdns
// find peers, and transfer talks to them.
package peer

import "context"

// ID is the text of a libp2p peer id: a base58 multihash of the node's public
// key. It is compared as text; a handshake is what makes it mean somebody.
type ID string

// shortLength is how many characters of an id people are shown. The beginning
// of an Ed25519 id is the same for all.
const shortLength = 4

// Short is the id's end as people are shown it, "…QmT3". It is not unique.
func (i ID) Short() string {
	if len(i) <= shortLength {
		return string(i)
	}
	return "…" + string(i[len(i)-shortLength:])
}

// Info is where a peer was said to be.
type Info struct {
	// ID is the peer's id.
	ID ID
	// Addrs are multiaddr texts without a /p2p part, in no order of merit. They
	// are hearsay until a dial succeeds.
	Addrs []string
}

// A Finder discovers peers. Each implementation looks in one place.
type Finder interface {
	// Run looks for peers until ctx ends, which is not an error, and calls
	// found for each, one call at a time, from the goroutine that called Run.
	// A peer may be found again and again: with other addresses, or because it
	// is still there. An error means that this finder can find nobody.
	Run(ctx context.Context, found func(Info)) error
}
