// Package setup changes a machine so that it can be changed back: files, directories and commands, as a list that is shown
// before it is carried out, and a journal of what was there before.
//
// It owns the order that makes this safe: what a file was is kept, durably, before it is changed, and how a command is taken
// back is noted before it runs. Killed at any moment it leaves a machine that the next run completes or that Undo puts back
// as it was, byte for byte. What somebody else has changed meanwhile is left as it is, and told.
//
// One Work at a time changes a machine: a second is told so, and does nothing. What is written has its mode and owner before it has its
// name.
//
// The package will not decide what is to be done, ask anybody, or look for anything: its user makes the list.
package setup
