package main

import "syscall"

// selfExecutable is the program that runs, also where another has taken its place on the disk.
const selfExecutable = "/proc/self/exe"

// supervised says that this system has what it takes to hand connections over.
const supervised = true

// nodeProcess is how the node's process is made: it dies with the supervisor, and is not meant when somebody presses Ctrl-C,
// which is for the supervisor to pass on.
func nodeProcess() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
