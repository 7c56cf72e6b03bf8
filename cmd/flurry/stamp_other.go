//go:build !linux

package main

import "syscall"

// changeTime is not known here: the inode alone says whether a file was made anew.
func changeTime(*syscall.Stat_t) int64 { return 0 }
