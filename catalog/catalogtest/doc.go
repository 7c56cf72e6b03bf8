// Package catalogtest is what the tests of catalogs and of what stands on them
// need: [MemKV] and [Texts], which keep in memory and police their users,
// [FaultyKV], which fails when told to, and the suites [RunKV] and [RunCatalog]
// that every KV must pass.
package catalogtest
