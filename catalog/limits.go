package catalog

// Bounds on what is kept, each with its reason. A writer's key may be stolen and
// a hosted namespace's root may be hostile: neither may fill this machine. What
// is over a bound is refused with [ErrLimit] after dead publications of the same
// signer have made room; what was accepted is not pushed out by what comes later.
const (
	// MaxNamespaces bounds the namespaces of one catalog. Each costs some
	// kilobytes of memory, and one is only added when somebody uses or seeds it.
	MaxNamespaces = 4096

	// MaxPublications bounds what one signer has in one namespace, dead ones
	// included: 40 a day for as long as a publication can live. Each is some
	// 300 bytes of memory.
	MaxPublications = 16_384

	// MaxSignerEntries bounds the entries of one signer in one namespace. Each
	// is about a kilobyte of disk. It is ten times what the largest package set
	// builds for one system.
	MaxSignerEntries = 1 << 20

	// MaxSignerText bounds the texts of one signer in one namespace, in bytes.
	MaxSignerText = 2 << 30

	// MaxSignerUses bounds the "uses" lines of one signer in one namespace; each
	// is 16 bytes of memory, and what a change of life may have to walk.
	MaxSignerUses = 1 << 18

	// MaxSignerMissing bounds those among them that name what is not here. Each
	// is some 200 bytes of memory and a question that followers ask.
	MaxSignerMissing = 1 << 14

	// MaxNamespacePublications and MaxNamespaceEntries bound all signers
	// together: the root can name thousands of writers.
	MaxNamespacePublications = 1 << 17
	MaxNamespaceEntries      = 1 << 22

	// MaxKept bounds the entries of one upstream namespace: a cache of what this
	// machine had to do with. Each is about a kilobyte of disk.
	MaxKept = 1 << 18

	// MaxReceipts bounds the receipts that are kept of one publication: more
	// copies than anybody asks for. Each is some 400 bytes of disk.
	MaxReceipts = 64

	// MaxAnswers is how many entries Lookup returns for one path: what a lookup
	// answer of the protocol carries. A path has one entry for each signer and
	// content, mostly one or two in all.
	MaxAnswers = 8

	// textWriters is how many texts of one AddAll are put at once: those that wait
	// for the disk share one fsync.
	textWriters = 16

	// cacheBytes bounds the entries that Lookup keeps at hand, in bytes of
	// memory: a few thousand, the closure of a large system.
	cacheBytes = 6 << 20

	// maxMemo bounds what Complete remembers of a namespace, in paths of about 150
	// bytes each.
	maxMemo = 1 << 15

	// maxRests bounds the externs and holes whose presence Complete asks for
	// again each time before it believes what it remembers: real namespaces have
	// one or two keys. Over it nothing is remembered.
	maxRests = 1 << 10

	// maxClosure bounds how many paths one Complete follows. The largest
	// systems have some 20,000.
	maxClosure = 1 << 17

	// pageSize is how many index keys an iteration reads at a time, so that
	// nothing is locked and little is held while a caller works.
	pageSize = 256

	// maxReason is how much of a reason for distrust is kept, in bytes.
	maxReason = 256
)
