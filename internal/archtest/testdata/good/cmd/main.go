// The command wires everything.
package main

import (
	"context"
	"time"

	_ "example.org/house/mid"
)

func main() {
	_ = context.Background()
	time.Sleep(0)
}
