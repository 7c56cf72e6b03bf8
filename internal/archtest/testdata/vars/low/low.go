// Package low keeps state.
package low

import (
	"errors"
	"strings"
)

var registry = map[string]int{}

var (
	count, total int
	ErrNamed     error
	ErrMade      = strings.ToUpper("x")
	errand       = errors.New("not an error's name")
	table        = [2]int{1, 2}
	allowed      = 1
)
