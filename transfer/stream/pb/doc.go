// Package pb is the specification of flurry's messages, flurry.proto, and what
// protoc makes of it.
//
// The program itself reads and writes the messages with package transfer/wire,
// which accepts one encoding of each and copies no bulk. This code is what that
// package is tested against, and a start for other programs.
package pb

//go:generate protoc --go_out=. --go_opt=paths=source_relative flurry.proto
