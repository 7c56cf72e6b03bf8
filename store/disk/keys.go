package disk

import (
	"context"
	"iter"
	"slices"

	"github.com/flurry-nix/flurry/store"
)

// Keys yields the keys of the contents of one kind that are durable, in the
// order of their ids. What is put or put out of use meanwhile may be yielded
// or not. After an error the sequence ends.
func (s *Store) Keys(ctx context.Context, kind store.Kind) iter.Seq2[store.Key, error] {
	return s.keys(ctx, []byte{prefixContent, byte(kind)}, []byte{prefixContent, byte(kind) + 1})
}

// Damaged yields the keys of contents that were found damaged and put out of
// use, and have not been stored again.
func (s *Store) Damaged(ctx context.Context) iter.Seq2[store.Key, error] {
	return s.keys(ctx, []byte{prefixDamaged}, []byte{prefixDamaged + 1})
}

// keys reads the index page by page, so that nothing is held while the caller
// has a key.
func (s *Store) keys(ctx context.Context, from, to []byte) iter.Seq2[store.Key, error] {
	return func(yield func(store.Key, error) bool) {
		from := slices.Clone(from)
		for {
			page, next, err := s.page(ctx, from, to)
			if err != nil {
				yield(store.Key{}, err)
				return
			}
			for _, k := range page {
				if !yield(k, nil) {
					return
				}
			}
			if next == nil {
				return
			}
			from = next
		}
	}
}

// page reads up to pageKeys keys. next is where the page after it begins, nil
// when there is none.
func (s *Store) page(ctx context.Context, from, to []byte) (page []store.Key, next []byte, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, nil, err
	}
	defer s.leave()
	err = s.index.scan(from, to, func(key, _ []byte) (bool, error) {
		if len(page) == pageKeys {
			next = slices.Clone(key)
			return false, nil
		}
		k, err := parseIndexKey(key)
		page = append(page, k)
		return true, err
	})
	return page, next, err
}
