// Package origin asks one existing HTTP binary cache for narinfos and NARs.
//
// It knows how such caches really behave, well or badly, and makes of it one of
// three things: an answer, [ErrAbsent], or an error that says that the cache does
// not work now. Everything that a cache sends may be wrong: sizes, times and
// redirects are bounded (limits.go), a NAR is never more or less than its
// narinfo says, and its hash is for the caller to check, as signatures are.
//
// The package will not judge (trust does), remember or store anything, and asks
// nobody but the cache and where that redirects to.
package origin
