// Package stream is [transfer.Network] over libp2p: it makes the connections of
// this node, asks over them, and answers who asks.
//
// Each question has a stream of its own, of one of the protocols
// /flurry/lookup/1, /flurry/fetch/1 and /flurry/sync/1; package wire speaks on
// it. What is here is what it takes to do that with strangers: who may have how
// many streams and answers at a time, how often they may ask, how fast this
// node sends to the internet, who is banned, who is on the LAN, and which of
// several connections to a peer is used. [NewHost] makes the libp2p host that
// all of the program shares.
//
// The package does not decide what is shared with whom (the handler does), and
// does not look for peers.
package stream

import (
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/transfer/wire"
)

// protocolID is a protocol's name. A change that others cannot read takes a new
// number.
func protocolID(p wire.Protocol) protocol.ID { return protocol.ID(peer.Protocol(p.String())) }
