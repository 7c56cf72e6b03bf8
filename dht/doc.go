// Package dht says who has what: the keys under which nodes announce themselves
// in a distributed hash table, and the [Router] that announces and finds them.
//
// A record says "this peer may have that" and nothing else; it is unsigned, it
// may be old, and it may be a lie. Whoever is found is asked, and what it answers
// is verified; nothing is ever believed because a router said it.
//
// The package does not talk to a network: dht/kad is libp2p's Kademlia, and
// dht/dhttest is a network in memory together with the tests that both pass. It
// does not decide what may be announced or looked up either: that is consent, and
// the node's business. No values are kept in the DHT, only providers.
package dht
