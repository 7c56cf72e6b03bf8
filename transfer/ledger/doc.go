// Package ledger is what any [transfer.Network] has to remember: who is
// connected, who is banned, how many bytes went where.
//
// It holds no connections and moves no bytes: it is told. Each of its types is
// safe for concurrent use, and what grows in them with the number of peers is
// bounded.
package ledger

const (
	// MaxAccounts is how many peers' traffic is remembered one by one. Twice
	// the connections of a large seed, at about 200 bytes each.
	MaxAccounts = 4096

	// MaxBans is how many bans are remembered. Peer ids cost nothing, so a ban
	// stops an honest node's mistake or a lazy liar, and more of them stop no
	// more.
	MaxBans = 4096

	// maxWhy is the longest reason of a ban that is remembered, in bytes.
	maxWhy = 200
)
