// Package inplace lets /nix/store be part of a store: chunks of a NAR that this machine's Nix has imported are read from the
// files of its path, and need not lie in a pack as well.
//
// It owns the table of which chunk is in which path, and the reading: a chunk is read from the files, normalised, and given
// out only if it hashes to its id. A path whose files are gone, or are not what they were, is withdrawn from the table, and
// whoever asked is told so. The table is in memory alone, some 24 bytes a chunk: its user knows from Nix and from the catalog
// what belongs there, and says it anew after a restart.
//
// What a batch vouches for does not depend on Nix's collector: chunks that its Has finds in a path are copied into the store
// below when it commits.
//
// The package will not decide what is placed, ask whether a path is valid, or remove anything from the store below: what lies
// there twice goes when it is collected.
package inplace
