// Package durable writes files so that they survive: a crash of the process, a
// crash of the machine, a disk that is full.
//
// It owns the few file operations whose order matters, and the order: write,
// fsync, rename, fsync of the directory. [FS] and [File] are those operations
// as an interface, so that tests can make each of them fail, or fail after
// having been done; [OS] is the real thing. On top stand [WriteFile] (a whole
// file replaced at once), [WriteOwned] (one of another user), [Lock] (one
// process at a time) and [Ballast] (room set aside for the moment when the disk
// is full).
//
// It will not buffer, retry or repair, knows no format, and does nothing for
// reading: whoever only reads uses package os.
package durable
