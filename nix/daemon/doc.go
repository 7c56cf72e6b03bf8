// Package daemon is this machine's own Nix: which paths are valid in its store,
// what it knows of them, their closures and their NARs.
//
// It speaks the worker protocol (libstore/worker-protocol.hh), over the
// daemon's socket where there is one and else with a `nix-daemon --stdio` of
// its own, in version 1.35 or the server's if that is older. That one version
// covers Nix since 2.3 and Lix. NARs are read from the disk, where every user
// may read them, not through the daemon.
//
// The local Nix is trusted to be honest but not to be well: it may be absent,
// hang, crash, be restarted in the middle, or be of another version. Each of
// these is an error within the caller's context, and what it sends is bounded
// (limits.go).
//
// The package will not write to the store, build, or evaluate; it reads no
// environment variables (the caller fills Options); it decides nothing about
// trust.
package daemon
