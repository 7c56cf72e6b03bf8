// Package namespace is the texts of a namespace: addresses, signed notes,
// documents, publications and kept lists, each with one parser and one printer
// that are inverses to the byte.
//
// The package is pure. It knows the forms and what can be judged from one text
// alone; it reads no clock and no file, asks nobody, and does not decide whether
// a text may be believed: a parsed [Document] or [Publication] is what somebody
// wrote, and trust says whether it counts.
//
// # Rules that all texts share
//
// A text is UTF-8 without control characters other than the newline that ends
// every line. It is canonical: for each value there is one spelling, the parser
// prints what it parsed and compares the bytes. Hence numbers are decimal
// without sign or leading zeros; times are RFC 3339 in UTC, to the second, with
// "Z", from 1970 to 9999; base64 is padded and strict; SHA-256 digests are
// "sha256:" and 64 lower-case hexadecimal digits, except a NarHash, which is
// spelled as Nix spells it, "sha256:" and 52 characters of Nix's base 32.
// Durations are a whole number of the largest unit that divides them, of "d",
// "h", "m", "s": "90d", "36h", never "24h".
//
// Lines that repeat are sorted by their bytes and differ from each other, except
// where their order says something: the writers and the seed hints of a
// document, and the slots of an entry.
//
// Sizes and counts are bounded; limits.go has the bounds and their reasons.
//
// # Unknown lines
//
// A line whose keyword (what stands before the first space; in an entry, before
// the first colon) is not one of the block's own is unknown. It is kept, in its
// order, and ignored. Unknown lines stand after the last known line of their
// block, the block being the header of a publication, one of its entries, or a
// whole document. There is one exception: in a document "writer KIND …" with a
// KIND other than "key" stands right after the last "writer key" line, before
// the first "closed" line; in [Document] it is the first of the Unknown lines. A
// known keyword in a wrong place, or with a value that does not parse, is an
// error and not an unknown line.
//
// An unknown line that begins with "!" may not be ignored. In a publication,
// header or entry, it voids the whole: [ParsePublication] returns an error that
// wraps [ErrVoid]. A document with one does parse, because it must still replace
// the document before it: it suspends its namespace, see [Document.Suspended].
// So does "!access" with another value than "public".
//
// # Publication
//
// The header's lines are, in this order, "flurry publication 1", namespace,
// time, expires, then any number of pin, root, uses, extern and hole lines. A pin
// is "pin NAME last=N" or "pin NAME for=DURATION", never both; its name is 1 to
// 128 printable ASCII characters without space, and unique. "last=0" ends a pin.
// Entries follow, each after one blank line, in strictly rising order of the
// texts of their hash parts. The order of an entry's fields is StorePath,
// NarHash, NarSize, References, Deriver (optional), Sig (1 to 16, sorted by
// bytes), Body, Slots. References are sorted by their base names, unique,
// separated by one space; slots are unique, in order of first use, each the hash
// part of a reference or of the path itself. An empty list leaves the space
// after the colon: "References: ", "Slots: ". Whether roots and references
// resolve to an entry, here or under "uses", to an extern or to a hole is no
// matter of form: it takes the other publications to know, and what hangs in the
// air is hidden by whoever folds them together.
//
// An entry that stands alone, outside a publication, may lack both Body and
// Slots: so an upstream's narinfo is kept before its body is known.
//
// # Document
//
// The lines are, in this order: "flurry namespace 1", namespace, serial, issued,
// expires, previous (absent exactly when the serial is 1), "store /nix/store",
// keep, writer key, (other kinds of writer), closed, withdraw, deny, seed, about
// (optional), "!access". Closed, withdraw and deny lines are sorted. REASON and
// TEXT are 1 line of 1 or more characters without space at either end. A name,
// and likewise the 32 bytes of a key, belongs to one of the root, the writers
// and the closed writers: the name of a closed writer is not used again.
// Publications are withdrawn once each, paths denied once for each NarHash.
//
// # Kept list
//
// "flurry keep 1", namespace, then "sha256:HEX" of each publication that stays,
// sorted and unique. The text is not signed: a document names its SHA-256. It
// has no unknown lines, and may be empty after the second line.
//
// # Signed form
//
// Text, a blank line, and exactly one line "— NAME BASE64", as in
// golang.org/x/mod/sumdb/note, where BASE64 is of 68 bytes: the key hash and an
// Ed25519 signature of the text, which goes through the newline before the blank
// line. NAME is a name that [ValidName] accepts. A namespace's key also signs the
// fingerprints of narinfos; these begin with "1;" and every text here begins
// with "flurry ", so that neither can be taken for the other.
package namespace
