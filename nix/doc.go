// Package nix is Nix's vocabulary as Go values: path hashes, store paths, NAR
// hashes, keys, signatures, narinfo files and NAR archives.
//
// Every value here is parsed once, at the edge, by a strict parser, and is
// comparable after that; nothing downstream compares hashes or keys as
// strings. The parsers take bytes from strangers: each has a limit (limits.go)
// and each answers a defect with an error that says what and where.
//
// The package will not talk to a network or to a Nix daemon (nix/daemon does),
// will not decide whom to trust (trust does), and will not unpack an archive
// to a disk: a NAR is data, and only [DumpNar] and [NarFile] ever open a file.
//
// Formats follow the Nix source: libstore/path.cc, libstore/nar-info.cc,
// libstore/path-info.cc, libutil/hash.cc, libutil/archive.cc.
package nix
