//go:build !linux

package main

import "syscall"

const (
	selfExecutable = ""
	supervised     = false
)

func nodeProcess() *syscall.SysProcAttr { return nil }
