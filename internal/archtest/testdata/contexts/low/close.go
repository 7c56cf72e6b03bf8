package low

import "context"

// Close has leave.
func Close() { _ = context.Background() }
