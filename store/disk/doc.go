// Package disk keeps content in pack files, and an index of them in Pebble.
//
// It owns one directory, which one process uses at a time:
//
//	format        "flurry store 1"
//	lock          held while the store is open
//	packs/        00000001.pack, …: records, one after the other
//	index/        Pebble: where each key lies
//	ballast       room for Pebble on a full disk
//	rebuild-index the index is damaged and not to be used again
//
// Packs are append-only. A pack begins with a header that gives its number;
// each record says by itself what it is (see record.go), so the index holds
// nothing of its own: thrown away, it is made again from the packs.
//
// The order that keeps what was acknowledged: record written, pack fsynced,
// index written. The index is not fsynced. It holds for each pack up to where
// it knows the records; opening reads what lies beyond that, checks it against
// its ids, fsyncs and indexes it, and cuts off a torn end. When a write or an
// fsync fails the pack goes back to its last whole record, or is given up from
// its last fsync on, and every batch that counted on what is lost fails to
// commit.
//
// A record that turns out damaged (its checksum, its id, an unreadable sector,
// a missing pack) is taken out of the index durably: reading says
// store.ErrCorrupt once and store.ErrNotFound from then on, the next Put stores
// it again, and [Store.Damaged] lists it until then.
//
// Collection. [Store.StartCollection] begins one; its Sweep takes out of the
// index what its caller says is to go and no batch holds, and then writes packs
// anew of which much is out of use (rewrite.go has the order). What was swept and
// still lies in a pack is found again when the index is made again from the
// packs; the next sweep takes it.
//
// A full disk. Nothing new is accepted that would leave less than the reserve
// free, or take the packs over the quota; documents and kept lists, which are
// small and may revoke trust, may use most of the reserve, as may what a
// collection writes anew to give back more. Pebble ends the
// process when it cannot write its log. What stands against that: the reserve;
// a ballast file that is dropped when Pebble meets a full disk, and set up again
// when there is room; and that no index write is begun without room once the
// ballast is gone. If others fill the disk to the last byte while Pebble works
// in the background, the process may still end. Nothing acknowledged is lost
// then.
//
// It will not check what is put (store.Receive does), decide what to keep, or
// compress: frames are stored as they come.
package disk
