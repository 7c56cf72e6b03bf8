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
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

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

// TestSilentMakeWay: whoever said nothing makes way, of the user who has most the one who came first; not for those of whom there are too
// many themselves, not an admin for others nor others for an admin, and nobody who asked.
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
	for uid := 3; l.all[Anyone] < maxGuests; uid++ {
		for range min(maxGuestsEach, maxGuests-l.all[Anyone]) {
			come(userNo(uid), Anyone, true)
		}
	}
	gone("full", 3)
	come(userNo(0), Admin, false)
	gone("an admin comes", 3)
	come(userNo(99), Anyone, true)
	gone("another comes", 3, 4)
	come(userNo(99), Anyone, true)
	gone("another comes", 3, 4, 5)
	for _, g := range all {
		if !g.gone() && g.who.uid == 1 {
			g.asks()
		}
	}
	if _, in := l.comes(userNo(99), Anyone, false); in {
		t.Error("somebody made way for a user who has more")
	}
	come(userNo(98), Anyone, true)
	gone("one comes who has nothing yet", 0, 3, 4, 5)
	if _, in := l.comes(userNo(98), Anyone, false); in {
		t.Error("there was no room, and all had asked")
	}
	come(userNo(97), Publisher, true)
	for range maxGuests - 1 {
		come(userNo(0), Admin, true)
	}
	if l.all[Admin] != maxGuests || l.all[Anyone] != maxGuests || l.silent.Len() != 1 {
		t.Errorf("%d admins, %d others, %d silent", l.all[Admin], l.all[Anyone], l.silent.Len())
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
	if l.all[Admin] != maxGuests-1 {
		t.Errorf("%d are counted", l.all[Admin])
	}
	l.Close()
	<-accepted
}

// TestManyUsersOfOne: somebody who comes as ever more users, each of whom says nothing, or begins to ask and does not go on, keeps nobody from
// asking who may do more, and takes his place from nobody who has none to spare while he has several each.
func TestManyUsersOfOne(t *testing.T) {
	l := newLobby(nil, Roles{})
	victim, _ := l.comes(userNo(1), Anyone, false)
	for k := range 4 * maxGuests {
		flood, _ := l.comes(userNo(1000+k%(maxGuests/2)), Anyone, false)
		flood.first.Store(time.Now().UnixNano())
	}
	if victim.gone() {
		t.Error("one connection of a user made way for the second ones of others")
	}
	for _, role := range []Role{Anyone, Publisher, Admin} {
		if g, in := l.comes(userNo(2+int(role)), role, false); !in || g.gone() {
			t.Errorf("role %d was kept out", role)
		}
	}
	for k := range 4 * maxGuests {
		l.comes(userNo(5000+k), Anyone, true)
	}
	if _, in := l.comes(userNo(9), Publisher, false); !in {
		t.Error("a publisher was kept out by those who may only look")
	}
}

// TestWhoSpeaksStays: one who has written a request, which the server has not read, or not to its end, does not make way for others of the
// same user.
func TestWhoSpeaksStays(t *testing.T) {
	inner, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	l := newLobby(inner, self())
	defer l.Close()
	enter := func(says string) *guest {
		t.Helper()
		c, err := net.Dial("unix", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := io.WriteString(c, says); err != nil {
			t.Fatal(err)
		}
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { in.Close() })
		return in.(*guest)
	}
	unread, half := enter("GET /v1/status HTTP/1.1\r\n\r\n"), enter("GET")
	half.first.Store(time.Now().Add(time.Hour).UnixNano()) // as if it were just now, however long the test takes
	if _, err := half.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	idle := enter("")
	for range maxGuests {
		enter("")
	}
	isIn := func(g *guest) bool { return g.quiet != nil }
	if !isIn(unread) || !isIn(half) || isIn(idle) {
		t.Errorf("unread: %v, half read: %v, silent: %v", isIn(unread), isIn(half), isIn(idle))
	}
	half.first.Store(time.Now().Add(-speakTime).UnixNano())
	if enter(""); isIn(half) {
		t.Error("one who went silent in the middle of a request keeps the place")
	}
	if _, err := unread.Read(make([]byte, 100)); err != nil || unread.first.Load() == 0 {
		t.Errorf("that something was read is not noted: %v", err)
	}
}

// TestFullQueue: a socket at which so many wait that it takes nobody is tried again, until it takes one.
func TestFullQueue(t *testing.T) {
	name := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: name}), unix.Listen(fd, 1)); err != nil {
		t.Fatal(err)
	}
	for {
		c, err := net.Dial("unix", name)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			t.Skipf("here a full queue is no %v but %v", unix.EAGAIN, err)
		}
		defer c.Close()
	}
	dialled := make(chan error, 1)
	go func() {
		c, err := dial(t.Context(), name)
		if err == nil {
			err = c.Close()
		}
		dialled <- err
	}()
	select {
	case err := <-dialled:
		t.Fatalf("given up at once: %v", err)
	case <-time.After(5 * dialPause):
	}
	accepted, _, err := unix.Accept(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(accepted)
	if err := <-dialled; err != nil {
		t.Error(err)
	}
}

// TestRoleIsLookedUpOnce: a crowd of one user costs one look into the system's list of users, and a change there is noticed soon.
func TestRoleIsLookedUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, looked, is := newLobby(nil, Roles{}), 0, Anyone
		l.roleOf = func(caller) Role { looked++; return is }
		for range 1000 {
			l.role(userNo(7))
		}
		if looked != 1 {
			t.Errorf("looked up %d times", looked)
		}
		is = Admin
		time.Sleep(roleTime)
		if got := l.role(userNo(7)); got != Admin {
			t.Errorf("role %d after a change", got)
		}
		for k := range 3 * maxKnown {
			l.role(userNo(k))
		}
		if len(l.known) > maxKnown {
			t.Errorf("%d are remembered", len(l.known))
		}
	})
}
