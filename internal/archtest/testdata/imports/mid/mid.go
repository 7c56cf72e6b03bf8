// Package mid imports its neighbour.
package mid

import (
	_ "example.org/house/low"
	_ "example.org/house/other"
)
