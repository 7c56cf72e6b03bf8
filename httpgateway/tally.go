package httpgateway

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// Stats are counts of answers to Nix since the Gateway was made.
type Stats struct {
	NarInfos  Counts // by how they ended
	Nars      Counts
	NarBytes  uint64    // of archives, written to clients
	Refused   uint64    // requests with a foreign Host or Origin
	Waiting   int       // calls of the Cache that have not returned
	LastAsked time.Time // zero: never
}

// Counts are numbers of answers, by [Outcome].
type Counts [outcomes]uint64

type tally struct {
	narInfos, nars [outcomes]atomic.Uint64
	narBytes       atomic.Uint64
	refused        atomic.Uint64
	lastAsked      atomic.Int64 // nanoseconds of Unix time; 0: never
}

func (t *tally) count(nar bool, o Outcome) {
	if nar {
		t.nars[o].Add(1)
	} else {
		t.narInfos[o].Add(1)
	}
}

func (t *tally) stats() Stats {
	s := Stats{NarBytes: t.narBytes.Load(), Refused: t.refused.Load()}
	for o := range outcomes {
		s.NarInfos[o] = t.narInfos[o].Load()
		s.Nars[o] = t.nars[o].Load()
	}
	if at := t.lastAsked.Load(); at != 0 {
		s.LastAsked = time.Unix(0, at)
	}
	return s
}

// hushedLog writes at most one line in logEvery and says how many it left out
// since the line before.
type hushedLog struct {
	log    *slog.Logger
	next   atomic.Int64 // nanoseconds of Unix time
	hushed atomic.Uint64
}

func (l *hushedLog) warn(text string, args ...any) {
	now := time.Now().UnixNano()
	next := l.next.Load()
	if now < next || !l.next.CompareAndSwap(next, now+int64(logEvery)) {
		l.hushed.Add(1)
		return
	}
	if n := l.hushed.Swap(0); n > 0 {
		args = append(args, "hushed", n)
	}
	l.log.Warn(text, args...)
}
