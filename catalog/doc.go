// Package catalog keeps what namespaces published: their documents and
// publications, and the index folded from them, path hash to verified entry.
//
// It will not judge a signature (trust does), keep bodies, chunks or the texts
// themselves (store does, behind [Texts]), or talk to a peer: it says what a peer
// would have to be asked for.
//
// # A namespace is a set
//
// A catalog holds, for each namespace, the document with the highest serial that
// it was shown and all publications that it was given. What counts follows from
// these and from the time, and from nothing else: not from the order in which
// they came, how often, or what was asked in between. Nodes that hold the same
// texts give the same answers, and a merge is a union. In detail:
//
//   - A publication is valid when the policy of the present document accepts it
//     and its time has come ([trust.Policy.Judge]).
//   - A valid publication lives until the latest expiry among itself and the valid
//     ones that use it, transitively. What is refused or held carries no life from
//     its users to what it uses.
//   - A valid publication that lives is alive. The set of these is what [Digest]
//     sums up and what Changes, Publication and Lookup draw from.
//
// That something a publication uses is not here does not hide it: peers may never
// have it again, when its writer was closed meanwhile for example, and two nodes
// would differ for ever in what they take. What hides is [Catalog.Complete],
// path by path. [Added.Missing] says what to ask for.
//
// Three things are this node's own and differ between nodes: what was proven or
// distrusted here (MarkProven, Distrust), the order of arrival, and what the
// bounds of limits.go let in.
//
// A node that tells others only of what it holds adds publications unlisted
// ([Catalog.AddUnlisted]): they count here as any, and belong to what others are
// told of from [Catalog.List] on.
//
// # Time
//
// A namespace's time is the later of the clock and its document's issue. No
// goroutine waits for it: every question first takes note of what has become due
// or has expired since the last. A clock that goes back is believed as well.
//
// # What is in memory and what is not
//
// Memory holds some 300 bytes of each publication (graph.go), and of entries only
// those asked for last (cache.go). Entries and their index are in a [KV], in which
// everything about a publication is written in one batch under keys that name
// its id: a write that failed, or did and said that it had not, is repeated or
// left without harm. The KV is made from the texts and can be made again
// ([Catalog.Rebuild]), all but this node's own things.
package catalog
