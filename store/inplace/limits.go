package inplace

// openBytes is how much memory the paths that were read last may take while they are kept ready to be read again: indices of
// their NARs, at most nix.MaxNarFrame each, and the rewrites of their bodies. Peers read one path for a while.
const openBytes = 24 << 20
