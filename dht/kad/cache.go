package kad

// noCache is the library's cache of records, empty. The cache would hold sets of
// strangers' choosing in memory, and names peers after their records are deleted;
// reading a key from the store takes some 15 µs.
type noCache struct{}

func (noCache) Add(_, _ any) bool              { return false }
func (noCache) Get(any) (any, bool)            { return nil, false }
func (noCache) Contains(any) bool              { return false }
func (noCache) Peek(any) (any, bool)           { return nil, false }
func (noCache) Remove(any) bool                { return false }
func (noCache) RemoveOldest() (any, any, bool) { return nil, nil, false }
func (noCache) GetOldest() (any, any, bool)    { return nil, nil, false }
func (noCache) Keys() []any                    { return nil }
func (noCache) Len() int                       { return 0 }
func (noCache) Purge()                         {}
func (noCache) Resize(int) int                 { return 0 }
