// Package report holds what people are shown, as plain values: the answers of publish, status, why and show. Each has
// the JSON form that --json prints, in which fields are only ever added, and the text form that a terminal shows.
//
// It asks nobody anything and decides nothing: the node fills the values in, the command line prints them.
//
// Times are RFC 3339 in UTC, sizes are bytes, durations are seconds, hashes are spelled as Nix spells them.
package report
