// Package content turns NARs into chunks and bodies, and back.
//
// A NAR is first normalised: every hash part of its own path and of its
// references is replaced by [Placeholder] and the place is listed. The
// normalised bytes are cut into content-defined chunks of about 75 KiB. What is
// left after a rebuild whose only change is a dependency's hash are the same
// chunks, and so a peer that has the old build needs next to nothing.
//
// A [Body] is the list of a NAR's chunks and of the places to write hashes
// back, with the hashes left out: they are the slots, kept beside the body, so
// that the body too survives a rebuild. [Splitter] makes bodies, [Rewriter]
// turns their chunks into NAR bytes again.
//
// The package is pure. It will not open a file, a socket or a store, and it
// trusts no body: [ParseBody] and [Body.Check] say whether one is well formed and
// fits its narinfo, [Piece.Verify] whether a chunk is the one that was named,
// and only the NarHash of what was assembled, which is the caller's to take,
// proves that chunks, places and slots together are the NAR.
//
// The formats are specified to the byte in docs/PROTOCOL.md and pinned by the
// vectors in testdata.
package content
