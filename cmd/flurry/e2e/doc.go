// Package e2e tests the flurry binary as its users meet it: real processes on loopback, real Nix as source and client,
// real signals and real disks. It holds tests alone.
package e2e
