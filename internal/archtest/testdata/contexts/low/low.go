// Package low makes contexts of nothing.
package low

import ctx "context"

// Do does it.
func Do() {
	_ = ctx.Background()
	_ = ctx.TODO()
}

// Later is what a context is taken for.
var _ ctx.Context = nil
