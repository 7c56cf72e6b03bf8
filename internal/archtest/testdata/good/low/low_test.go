package low

import (
	"context"
	"testing"
	"time"
)

var update = false

func TestLow(t *testing.T) {
	_ = context.Background()
	_ = time.Now()
}
