// Package storetest is for tests of and with stores: [Mem] is a store in
// memory that polices how it is used and can fail and crash on command, [Run]
// is what every store must do, and [Chunk] makes content.
package storetest
