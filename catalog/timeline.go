package catalog

import (
	"container/heap"
	"math"
)

// timeline is what time alone will change: publications by the moment when one
// has to be looked at again. The moment may come early, when a life was extended
// meanwhile, but not late.
type timeline struct {
	alarms alarms
}

type alarm struct {
	at int64
	p  *publication
}

// watch asks for p at that moment. If p is asked for earlier already, that
// stands: whoever looks at p then will watch it anew.
func (t *timeline) watch(p *publication, at int64) {
	if p.alarm != 0 && p.alarm <= at {
		return
	}
	p.alarm = at
	heap.Push(&t.alarms, alarm{at, p})
}

// next returns a publication whose moment has come by now, or nil.
func (t *timeline) next(now int64) *publication {
	for len(t.alarms) > 0 && t.alarms[0].at <= now {
		a := heap.Pop(&t.alarms).(alarm)
		if a.p.alarm == a.at { // else it was moved, or the publication is gone
			a.p.alarm = 0
			return a.p
		}
	}
	return nil
}

// first returns the next moment, or the end of time.
func (t *timeline) first() int64 {
	if len(t.alarms) == 0 {
		return math.MaxInt64
	}
	return t.alarms[0].at
}

type alarms []alarm

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].at < a[j].at }
func (a alarms) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *alarms) Push(x any)        { *a = append(*a, x.(alarm)) }
func (a *alarms) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}
