package control

import (
	"net"
	"sync"
)

// lobby bounds the connections that are served at once and remembers who made each.
type lobby struct {
	net.Listener
	room chan struct{}
}

func newLobby(l net.Listener) *lobby { return &lobby{Listener: l, room: make(chan struct{}, maxConns)} }

// guest is a connection with the one who made it.
type guest struct {
	net.Conn
	who   caller
	leave func()
}

// Accept waits until there is room and somebody comes.
func (l *lobby) Accept() (net.Conn, error) {
	l.room <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.room
		return nil, err
	}
	return &guest{Conn: c, who: callerOf(c), leave: sync.OnceFunc(func() { <-l.room })}, nil
}

// Close closes the connection and makes room.
func (g *guest) Close() error {
	defer g.leave()
	return g.Conn.Close()
}
