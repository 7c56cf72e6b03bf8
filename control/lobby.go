package control

import (
	"container/list"
	"net"
	"sync"
)

// lobby is the listener at the door. It asks who comes, and turns away those of whom there are too many already, unless one of them
// has not asked anything: the one that has been silent longest makes way.
type lobby struct {
	net.Listener
	roles Roles

	mu     sync.Mutex
	all    int
	admins int
	each   map[int]int // guests by user id
	silent list.List   // of *guest: those who have not asked yet, the oldest first
}

func newLobby(l net.Listener, roles Roles) *lobby {
	return &lobby{Listener: l, roles: roles, each: make(map[int]int)}
}

// guest is a connection with the one who made it.
type guest struct {
	net.Conn
	who   caller
	role  Role
	in    *lobby // nil: nobody counts it
	leave func()
	quiet *list.Element // the lobby's lock is for it; nil: it asked
}

// Accept waits for somebody for whom there is room.
func (l *lobby) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		who := callerOf(c)
		g := l.guest(c, who, l.roles.of(who))
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
	switch {
	case g.role == Admin && l.admins < maxGuests:
		l.admins++
	case g.role != Admin && l.all < maxGuests && l.each[g.who.uid] < maxGuestsEach:
		l.all++
		l.each[g.who.uid]++
	default:
		return false
	}
	g.quiet = l.silent.PushBack(g)
	return true
}

// oldest is the guest who makes way for g: one of the same user where that one has too many, an admin for an admin, and else anybody
// but those. nil: all have asked something.
func (l *lobby) oldest(g *guest) *guest {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.each[g.who.uid] >= maxGuestsEach
	for e := l.silent.Front(); e != nil; e = e.Next() {
		old := e.Value.(*guest)
		if (old.role == Admin) != (g.role == Admin) {
			continue
		}
		if g.role == Admin || !own || old.who.uid == g.who.uid {
			return old
		}
	}
	return nil
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
	if g.role == Admin {
		l.admins--
		return
	}
	l.all--
	if l.each[g.who.uid]--; l.each[g.who.uid] == 0 {
		delete(l.each, g.who.uid)
	}
}

// Close closes the connection and makes room.
func (g *guest) Close() error {
	defer g.leave()
	return g.Conn.Close()
}
