// Package trust answers one question: may this be served? It takes a claim (the
// raw text of a document or publication, a narinfo of an upstream, an entry that
// was verified before) and gives a value of a type that only this package can
// make, or a [Refusal] that says why not. Whatever serves, announces or lists
// takes [Verified] and nothing else, so that forgetting to verify does not
// compile. The zero values are not verified, and say so with IsZero.
//
// The package is pure: it reads no clock (now is an argument), keeps nothing,
// asks nobody, and does not know what this machine's user wants. Whether a
// namespace is in use, and which of two publishers comes first, is decided
// elsewhere, from [Verified.Address] and [Verified.Seniority].
//
// # Rules
//
// A publication counts under a [Policy] when exactly one signature, by the root
// or by a writer in the document, covers its text; when it names the policy's
// namespace; when it is not withdrawn; when a writer with an "until" did not
// date it later than that; and when each of its entries carries a valid Nix
// signature by the same key. One bad entry refuses the whole. An entry whose
// path and NarHash are denied is left out, and the rest stays. A closed writer's
// publications count when its kept list names them, whatever their date.
//
// The date in a publication is what its signer says, so "until" retires honest
// keys and no more: whoever holds a retired key can date backwards. A key that
// may be in wrong hands has to be closed.
//
// What a namespace's time is, is [Policy.Now]: the later of the clock and the
// document's time of issue, so that a machine whose clock went back does not
// take up what was over. See [Policy.Judge] for what time does to a publication.
package trust
