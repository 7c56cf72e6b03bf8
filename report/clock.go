package report

import (
	"fmt"
	"time"
)

// MaxSkew is how far a machine's clock may be from those of its peers before people are told.
const MaxSkew = time.Minute

// ClockSkew says that this machine's clock is ahead of those of its peers, or, if ahead is negative, behind them.
func ClockSkew(ahead time.Duration, peers int) *Problem {
	p := &Problem{ID: "clock-skew", Try: []string{"timedatectl set-ntp true        then publish again"}}
	if ahead > 0 {
		p.Message = fmt.Sprintf("this machine's clock is %s ahead of %s; a publication dated in the future is held back by others until then", span(ahead), count(peers, "peer", "peers"))
		return p
	}
	p.Message = fmt.Sprintf("this machine's clock is %s behind %s; what is published expires too early, and what has expired counts here for longer", span(-ahead), count(peers, "peer", "peers"))
	return p
}
