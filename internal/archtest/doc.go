// Package archtest keeps the house in order: its test parses every Go file of the
// module and fails when one breaks a rule of docs/ARCHITECTURE.md. table.go says
// who may import whom; the other rules, one function each, are in rules.go.
//
// It reads the files itself and runs no other program: the go tool remembers a test
// that passed, and runs it again only when a file changed that the test itself has
// read. It reads syntax, not types: a rule that would need types is not here.
package archtest
