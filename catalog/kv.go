package catalog

// KV is the ordered key-value store under a [Catalog]. Keys are ordered by their
// bytes. catalog/disk is the one that lasts, catalogtest.MemKV the one for
// tests; catalogtest.RunKV is what both must pass. All methods are safe for
// concurrent use.
type KV interface {
	// Get returns the value of key, which the caller owns, or ErrNotFound.
	Get(key []byte) ([]byte, error)

	// Scan calls fn for the keys that begin with prefix and are not before
	// from, in rising order, until fn answers false or an error, which Scan
	// returns. It shows the store as it was at one moment. k and v are valid
	// during the call alone.
	Scan(prefix, from []byte, fn func(k, v []byte) (bool, error)) error

	// Apply carries out ops in their order, all or none: no reader and no crash
	// ever sees a part. With sync it returns once they are on the disk, and
	// everything applied before them too. After an error they may have been
	// carried out or not. The slices are the caller's again when it returns.
	Apply(ops []Op, sync bool) error
}

// OpKind is what an [Op] does.
type OpKind byte

const (
	OpPut          OpKind = iota + 1 // key gets value
	OpDelete                         // key is gone; it need not have been there
	OpDeletePrefix                   // every key that begins with Key is gone; Key's first byte is below 0xff
)

// Op is one step of [KV.Apply].
type Op struct {
	Kind  OpKind
	Key   []byte
	Value []byte // of OpPut
}

func put(key, value []byte) Op { return Op{Kind: OpPut, Key: key, Value: value} }

func remove(key []byte) Op { return Op{Kind: OpDelete, Key: key} }

func removePrefix(key []byte) Op { return Op{Kind: OpDeletePrefix, Key: key} }
