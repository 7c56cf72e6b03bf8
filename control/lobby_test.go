package control

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"testing"

	"github.com/flurry-nix/flurry/report"
)

// nowhere is a connection that remembers whether it was closed.
type nowhere struct {
	net.Conn
	closed bool
}

func (c *nowhere) Close() error {
	c.closed = true
	return nil
}

func userNo(uid int) caller { return caller{uid: uid, known: true} }

// comes has somebody come in, who asks something at once or not.
func (l *lobby) comes(who caller, role Role, asks bool) (g *guest, in bool) {
	g = l.guest(&nowhere{}, who, role)
	in = l.enter(g)
	if in && asks {
		g.asks()
	}
	return g, in
}

func (g *guest) gone() bool { return g.Conn.(*nowhere).closed }

// TestLobby counts: nobody locks others out, and whoever leaves makes room.
func TestLobby(t *testing.T) {
	l := newLobby(nil, Roles{})
	enter := func(who caller, role Role) bool {
		_, in := l.comes(who, role, true)
		return in
	}
	leaver, _ := l.comes(userNo(1), Anyone, true)
	for i := range maxGuestsEach - 1 {
		if !enter(userNo(1), Anyone) {
			t.Fatalf("guest %d of one user was turned away", i+2)
		}
	}
	if enter(userNo(1), Publisher) {
		t.Error("one user has more connections than one may have")
	}
	for uid := 2; uid <= maxGuests/maxGuestsEach; uid++ {
		for range maxGuestsEach {
			if !enter(userNo(uid), Anyone) {
				t.Fatalf("user %d was turned away because of others", uid)
			}
		}
	}
	if enter(userNo(99), Anyone) {
		t.Error("more guests than there may be")
	}
	admin, _ := l.comes(userNo(0), Admin, true)
	for i := range maxGuests - 1 {
		if !enter(userNo(0), Admin) {
			t.Fatalf("admin %d was locked out by others", i+2)
		}
	}
	if enter(userNo(0), Admin) {
		t.Error("more admins than there may be")
	}
	leaver.Close()
	late, in := l.comes(userNo(99), Anyone, true)
	if !in {
		t.Error("no room was made")
	}
	admin.Close()
	if !enter(userNo(0), Admin) {
		t.Error("no room was made for an admin")
	}
	late.Close()
	if _, kept := l.each[99]; kept {
		t.Error("users who left are counted for ever")
	}
}

// TestSilentMakeWay: whoever said nothing makes way, the one who came first; not for those of whom there are too many themselves, not
// an admin for others nor others for an admin, and nobody who asked.
func TestSilentMakeWay(t *testing.T) {
	l := newLobby(nil, Roles{})
	var all []*guest
	come := func(who caller, role Role, asks bool) {
		t.Helper()
		g, in := l.comes(who, role, asks)
		if !in {
			t.Fatalf("user %d was turned away", who.uid)
		}
		all = append(all, g)
	}
	gone := func(what string, want ...int) {
		t.Helper()
		var got []int
		for i, g := range all {
			if g.gone() {
				got = append(got, i)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: gone are %v, want %v", what, got, want)
		}
	}
	come(userNo(2), Anyone, false) // 0
	for range 2 {
		come(userNo(1), Anyone, true) // 1 and 2
	}
	for range maxGuestsEach - 2 {
		come(userNo(1), Anyone, false)
	}
	gone("while there is room")
	come(userNo(1), Anyone, false)
	gone("one user has too many", 3)
	for uid := 3; l.all < maxGuests; uid++ {
		for range min(maxGuestsEach, maxGuests-l.all) {
			come(userNo(uid), Anyone, true)
		}
	}
	gone("full", 3)
	come(userNo(0), Admin, false)
	gone("an admin comes", 3)
	come(userNo(99), Anyone, true)
	gone("another comes", 0, 3)
	come(userNo(99), Anyone, true)
	gone("another comes", 0, 3, 4)
	for _, g := range all {
		if !g.gone() && g.who.uid == 1 {
			g.asks()
		}
	}
	if _, in := l.comes(userNo(99), Anyone, false); in {
		t.Error("there was no room, and all had asked")
	}
	for range maxGuests - 1 {
		come(userNo(0), Admin, true)
	}
	if l.admins != maxGuests || l.all != maxGuests || l.silent.Len() != 1 {
		t.Errorf("%d admins, %d others, %d silent", l.admins, l.all, l.silent.Len())
	}
	come(userNo(5), Admin, true)
	if _, in := l.comes(userNo(5), Admin, false); in || l.silent.Len() != 0 {
		t.Errorf("an admin came although there were too many who had asked; %d are silent", l.silent.Len())
	}
}

// TestSilentSocket: connections that say nothing keep nobody from asking, however many there are, and what they had asked is not taken
// from those who asked.
func TestSilentSocket(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	begun, end := make(chan struct{}), make(chan struct{})
	f := &fake{publish: func(context.Context, func(report.PublishProgress)) error {
		close(begun)
		<-end
		return nil
	}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, f, self(), slog.New(slog.DiscardHandler)) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	published := make(chan error, 1)
	go func() {
		_, err := Dial(l.Addr().String()).Publish(t.Context(), PublishRequest{Namespace: "acme-1"}, nil)
		published <- err
	}()
	<-begun
	for range 4 * maxGuests {
		c, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	for range 10 {
		if _, err := Dial(l.Addr().String()).Status(t.Context(), StatusRequest{}); err != nil {
			t.Fatalf("with a crowd that says nothing: %v", err)
		}
	}
	close(end)
	if err := <-published; err != nil {
		t.Errorf("who had asked before the crowd came: %v", err)
	}
}

// TestTurnedAway fills the lobby through the socket with some who ask. Who comes then is turned away at once, until somebody leaves.
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
		inside.(*guest).asks()
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
