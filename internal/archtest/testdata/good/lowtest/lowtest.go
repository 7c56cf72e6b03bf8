// Package lowtest helps tests.
package lowtest

import "context"

var count int

// Context is for tests.
func Context() context.Context { return context.Background() }
