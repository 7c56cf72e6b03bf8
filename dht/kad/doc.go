// Package kad is [dht.Router] over libp2p's Kademlia, as DHT of its own under the
// protocol prefix /flurry, for provider records alone.
//
// It owns the walk, the routing table, the keys that this node provides and the
// records of others that it keeps for the network, in one Pebble store. It does
// not own the host: who runs the host decides on what it listens and whom it may
// dial. It does not decide what is announced or looked up, and believes nobody:
// a provider found is a rumour, see [dht.Router].
//
// Nothing goes on the wire before [Router.Run]: a router that is only made, told
// keys and told peers remembers them. While it runs, every message passes a guard
// that the Kademlia library does not have (guard.go): frames have a size, answers
// a number of peers, peers a number of addresses, and strangers a rate. Addresses
// are told and believed by their scope (scope.go): who speaks to us over the
// internet may not name addresses in our private network, and does not learn
// them.
//
// What is kept for others is bounded in all, by peer and by key (records.go); when
// it is full, those who take most lose first.
package kad
