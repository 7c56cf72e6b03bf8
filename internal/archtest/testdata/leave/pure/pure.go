// Package pure is not pure.
package pure

import (
	_ "net/http/httptest"
	"os"
	clock "time"

	_ "github.com/libp2p/go-libp2p/core/peer"
)

// Now reads the clock.
func Now() clock.Time {
	_ = os.Args
	return clock.Now()
}

// Day is a duration, for which no clock is needed.
const Day = 24 * clock.Hour
