//go:build !linux

package watch

import (
	"errors"
	"syscall"
	"time"
)

// listening is nothing: only Linux's kernel is listened to.
type listening struct{}

func listen(_, _ string, _ *hints) (*listening, error) { return nil, errors.ErrUnsupported }

func (*listening) close() {}

// changed is a time after which every file may have changed.
func changed(*syscall.Stat_t) time.Time { return time.Now() }
