// Package store is content at rest: chunks, bodies and signed texts, each
// under the id that its own bytes give it.
//
// It owns the interfaces ([Reader], [Store], [Batch], [Collector]), the form in which
// content lies and travels ([Frame], [Codec]), and the one door: [Receive] and
// [ReceiveFrame] check bytes against their id and only then put them. A store
// never checks what it is given; whoever puts, puts through the door. Reading
// has a door too, [Get], which checks again, because disks forget.
//
// What it will not do: it decides nothing about trust (a signed text's id does
// not cover its signature, so texts pass package trust before they come here),
// knows nothing of NARs or paths, and never talks to a network.
//
// Package store/disk keeps content in pack files, storetest.Mem in memory;
// storetest.Run is what both must do.
package store
