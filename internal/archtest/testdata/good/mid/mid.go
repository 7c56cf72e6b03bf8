package mid

import (
	_ "net/http/httptest"

	"example.org/house/low"
)

// Mid is made of Low.
type Mid struct{ low.Low }
