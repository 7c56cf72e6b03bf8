// Package httpgateway speaks Nix's substituter protocol over HTTP: to Nix, a
// flurry node is one more binary cache on this machine.
//
// It owns the routes, the headers and the manners of that protocol:
//
//	GET, HEAD /nix-cache-info              constant, in every state
//	GET, HEAD /HASH.narinfo                what a store path is
//	GET, HEAD /nar/NARHASH-HASH.nar        its archive, whole or a range
//	GET, HEAD /ns/NAME/…                   the same, of one namespace alone
//	anything else                          Options.Page, for people
//
// On Nix's routes the status is 200, 206 or 404 and nothing else, because Nix
// takes a 404 for "ask the next cache" and anything worse for a reason to wait,
// to retry or to fail the build. An answer is never late ([Options.Budget]
// holds even when the [Cache] does not heed its context), and an archive that
// cannot be finished never ends cleanly: the connection is closed short of its
// Content-Length, upon which Nix asks for the rest by Range.
//
// The package finds nothing, stores nothing and trusts nobody. What to say is
// the [Cache]'s decision, and the type of its answer is one that only package
// trust can make. It takes no uploads, and it does not open sockets: give a
// [Gateway] to [NewServer] and that to your listeners.
package httpgateway
