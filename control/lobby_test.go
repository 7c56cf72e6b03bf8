package control

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
)

// TestLobby counts: nobody locks others out, and whoever leaves makes room.
func TestLobby(t *testing.T) {
	l := newLobby(nil, Roles{})
	user := func(uid int) caller { return caller{uid: uid, known: true} }
	for i := range maxGuestsEach {
		if !l.enter(user(1), Anyone) {
			t.Fatalf("guest %d of one user was turned away", i+1)
		}
	}
	if l.enter(user(1), Publisher) {
		t.Error("one user has more connections than one may have")
	}
	for uid := 2; uid <= maxGuests/maxGuestsEach; uid++ {
		for range maxGuestsEach {
			if !l.enter(user(uid), Anyone) {
				t.Fatalf("user %d was turned away because of others", uid)
			}
		}
	}
	if l.enter(user(99), Anyone) {
		t.Error("more guests than there may be")
	}
	for i := range maxGuests {
		if !l.enter(user(0), Admin) {
			t.Fatalf("admin %d was locked out by others", i+1)
		}
	}
	if l.enter(user(0), Admin) {
		t.Error("more admins than there may be")
	}
	l.exit(user(1), Anyone)
	if !l.enter(user(99), Anyone) {
		t.Error("no room was made")
	}
	l.exit(user(0), Admin)
	if !l.enter(user(0), Admin) {
		t.Error("no room was made for an admin")
	}
	l.exit(user(99), Anyone)
	if _, kept := l.each[99]; kept {
		t.Error("users who left are counted for ever")
	}
}

// TestTurnedAway fills the lobby through the socket. Who comes then is turned away at once, until somebody leaves.
func TestTurnedAway(t *testing.T) {
	inner, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	l := newLobby(inner, self())
	defer l.Close()
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("unix", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	var inside net.Conn
	for range maxGuests {
		dial()
		inside = <-accepted
		t.Cleanup(func() { inside.Close() })
	}
	if _, err := dial().Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("one too many: %v", err)
	}
	inside.Close()
	inside.Close() // counts once
	dial()
	(<-accepted).Close()
	if l.admins != maxGuests-1 {
		t.Errorf("%d are counted", l.admins)
	}
	l.Close()
	<-accepted
}
