// Package lowtest is for tests.
package lowtest

import "context"

// Context is for tests.
func Context() context.Context { return context.Background() }
