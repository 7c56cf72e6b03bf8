// Package catalog keeps what namespaces published: their documents, their
// publications, and the index folded from them, path hash to verified entry.
//
// It will not judge a signature (trust does), keep bodies or chunks (store
// does), or talk to a peer: it says what a peer would have to be asked for.
package catalog
