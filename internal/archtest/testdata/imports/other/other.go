// Package other imports what is nowhere.
package other

import _ "example.org/house/nowhere"
