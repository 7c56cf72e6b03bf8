package control

import (
	"net"
	"sync"
)

// lobby is the listener at the door. It asks who comes, and turns away those of whom there are too many already.
type lobby struct {
	net.Listener
	roles Roles

	mu     sync.Mutex
	all    int
	admins int
	each   map[int]int // guests by user id
}

func newLobby(l net.Listener, roles Roles) *lobby {
	return &lobby{Listener: l, roles: roles, each: make(map[int]int)}
}

// guest is a connection with the one who made it.
type guest struct {
	net.Conn
	who   caller
	role  Role
	leave func()
}

// Accept waits for somebody for whom there is room.
func (l *lobby) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		who := callerOf(c)
		role := l.roles.of(who)
		if l.enter(who, role) {
			return &guest{Conn: c, who: who, role: role, leave: sync.OnceFunc(func() { l.exit(who, role) })}, nil
		}
		c.Close()
	}
}

// enter counts somebody in, if there is room.
func (l *lobby) enter(who caller, role Role) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if role == Admin {
		if l.admins == maxGuests {
			return false
		}
		l.admins++
		return true
	}
	if l.all == maxGuests || l.each[who.uid] == maxGuestsEach {
		return false
	}
	l.all++
	l.each[who.uid]++
	return true
}

func (l *lobby) exit(who caller, role Role) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if role == Admin {
		l.admins--
		return
	}
	l.all--
	if l.each[who.uid]--; l.each[who.uid] == 0 {
		delete(l.each, who.uid)
	}
}

// Close closes the connection and makes room.
func (g *guest) Close() error {
	defer g.leave()
	return g.Conn.Close()
}
