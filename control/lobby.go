package control

import (
	"container/list"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lobby is the listener at the door. It asks who comes, and turns away those of whom there are too many already, unless one of them
// has not asked anything: that one makes way, first one of the user who has most.
type lobby struct {
	net.Listener
	roleOf func(caller) Role
	known  map[caller]belief // Accept's

	mu     sync.Mutex
	all    [Admin + 1]int // guests by role
	each   map[int]int    // by user id
	silent list.List      // of *guest: those who have not asked yet, the oldest first
}

func newLobby(l net.Listener, roles Roles) *lobby {
	return &lobby{Listener: l, roleOf: roles.of, known: make(map[caller]belief), each: make(map[int]int)}
}

// belief is what role somebody has, and until when that counts.
type belief struct {
	role  Role
	until time.Time
}

// role is the role of who, looked up if it was not a moment ago.
func (l *lobby) role(who caller) Role {
	if b, ok := l.known[who]; ok && time.Now().Before(b.until) {
		return b.role
	}
	if len(l.known) >= maxKnown {
		clear(l.known)
	}
	b := belief{l.roleOf(who), time.Now().Add(roleTime)}
	l.known[who] = b
	return b.role
}

// guest is a connection with the one who made it.
type guest struct {
	net.Conn
	who   caller
	role  Role
	in    *lobby // nil: nobody counts it
	leave func()
	quiet *list.Element // the lobby's lock is for it; nil: it asked
	first atomic.Int64  // when the first of what it says was read, in Unix nanoseconds; 0: nothing was
}

// Accept waits for somebody for whom there is room. One goroutine calls it.
func (l *lobby) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		who := callerOf(c)
		g := l.guest(c, who, l.role(who))
		if l.enter(g) {
			return g, nil
		}
		c.Close()
	}
}

func (l *lobby) guest(c net.Conn, who caller, role Role) *guest {
	g := &guest{Conn: c, who: who, role: role, in: l}
	g.leave = sync.OnceFunc(func() { l.exit(g) })
	return g
}

// enter counts somebody in, if there is room, or can be made.
func (l *lobby) enter(g *guest) bool {
	for {
		if l.admit(g) {
			return true
		}
		old := l.oldest(g)
		if old == nil {
			return false
		}
		old.Close() // it said nothing, and is told nothing
	}
}

func (l *lobby) admit(g *guest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all[g.role] >= maxGuests || l.tooMany(g) {
		return false
	}
	l.all[g.role]++
	l.each[g.who.uid]++
	g.quiet = l.silent.PushBack(g)
	return true
}

// tooMany reports whether the user who comes has as many as one may have. It is called with mu held.
func (l *lobby) tooMany(g *guest) bool {
	return g.role != Admin && l.each[g.who.uid] >= maxGuestsEach
}

// oldest is the guest who makes way for g, of the same role: of the user who has most, the one who came first; nobody who has less than
// the user of g, nor one who has as much and is just asking. nil: there is none.
func (l *lobby) oldest(g *guest) (old *guest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	most := l.each[g.who.uid]
	for e := l.silent.Front(); e != nil; e = e.Next() {
		of := e.Value.(*guest)
		switch n := l.each[of.who.uid]; {
		case of.role != g.role, n < most, n == most && old != nil, l.tooMany(g) && of.who.uid != g.who.uid:
		case n == l.each[g.who.uid] && of.speaks():
		default:
			old, most = of, n
		}
	}
	return old
}

// speaks reports whether somebody has begun to ask, and the server has not come to all of it: it was read a moment ago, or not yet.
func (g *guest) speaks() bool {
	if first := g.first.Load(); first != 0 && time.Since(time.Unix(0, first)) < speakTime {
		return true
	}
	conn, ok := g.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = raw.Control(func(fd uintptr) { n, _, _ = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT) })
	return err == nil && n > 0
}

// asks is called for each request that was read.
func (g *guest) asks() {
	if g.in == nil {
		return
	}
	g.in.mu.Lock()
	defer g.in.mu.Unlock()
	g.in.hear(g)
}

// hear takes a guest from the silent ones. It is called with mu held.
func (l *lobby) hear(g *guest) {
	if g.quiet != nil {
		l.silent.Remove(g.quiet)
		g.quiet = nil
	}
}

func (l *lobby) exit(g *guest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hear(g)
	l.all[g.role]--
	if l.each[g.who.uid]--; l.each[g.who.uid] == 0 {
		delete(l.each, g.who.uid)
	}
}

// Read notes when something is said.
func (g *guest) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if n > 0 && g.first.Load() == 0 {
		g.first.Store(time.Now().UnixNano())
	}
	return n, err
}

// Close closes the connection and makes room.
func (g *guest) Close() error {
	defer g.leave()
	return g.Conn.Close()
}
