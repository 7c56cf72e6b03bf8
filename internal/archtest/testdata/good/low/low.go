// Package low has everything that is allowed.
package low

import (
	"errors"
	"fmt"
	"time"
)

// ErrLow is an error.
var ErrLow = errors.New("low")

var (
	errLower              = fmt.Errorf("lower than %w", ErrLow)
	_        fmt.Stringer = Low{}
)

// Low is a value.
type Low struct{ time.Time }

// init is a method, and no init function.
func (Low) init() error { return errLower }
