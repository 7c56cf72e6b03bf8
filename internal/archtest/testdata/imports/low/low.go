// Package low imports upwards.
package low

import _ "example.org/house/mid"
