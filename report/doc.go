// Package report holds what people are shown, as plain values: the answers of status, why, show, publish and the other
// commands, and the problems they meet. Each has the JSON form that --json prints, in which fields are only ever added,
// and the text form that a terminal shows.
//
// It asks nobody anything and decides nothing: the daemon fills the values in, the command line prints them.
//
// In JSON times are RFC 3339 in UTC, sizes are bytes, durations are seconds, hashes are spelled as Nix spells them. In
// text sizes are in decimal units and times are relative, or in the time zone of the "now" that is passed in.
package report
