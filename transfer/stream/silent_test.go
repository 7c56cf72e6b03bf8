package stream

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	lpeer "github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// fakeConn is a connection that was accepted.
type fakeConn struct {
	from   string
	closed bool
}

func (c *fakeConn) LocalMultiaddr() ma.Multiaddr  { return ma.StringCast("/ip4/192.0.2.1/tcp/7670") }
func (c *fakeConn) RemoteMultiaddr() ma.Multiaddr { return ma.StringCast(c.from) }
func (c *fakeConn) Close() error                  { c.closed = true; return nil }

// TestSilents: who says nothing makes way for who comes, first those of the same address, and not who has shown whose it is.
func TestSilents(t *testing.T) {
	var s silents
	now := time.Now()
	accept := func(from string) *fakeConn {
		c := &fakeConn{from: from}
		now = now.Add(time.Millisecond)
		s.accept(c, now)
		return c
	}
	count := func(want int) {
		t.Helper()
		ofPlaces := 0
		for _, of := range s.byPlace {
			ofPlaces += of.Len()
		}
		if s.order.Len() != want || len(s.byEnds) != want || ofPlaces != want {
			t.Fatalf("%d in order, %d by ends, %d by place; want %d", s.order.Len(), len(s.byEnds), ofPlaces, want)
		}
	}
	friend, spoke := accept("/ip4/198.51.100.7/tcp/1"), accept("/ip4/203.0.113.5/tcp/1")
	s.secured(spoke)
	count(1)
	s.secured(spoke) // QUIC's are never silent
	var flood []*fakeConn
	for k := range 3 * silentPerAddress {
		flood = append(flood, accept(fmt.Sprintf("/ip4/203.0.113.5/tcp/%d", 1000+k)))
	}
	count(1 + silentPerAddress)
	for k, c := range flood {
		if c.closed != (k < 2*silentPerAddress) {
			t.Fatalf("connection %d of the flood: closed %v", k, c.closed)
		}
	}
	if friend.closed || spoke.closed {
		t.Error("somebody else made way")
	}
	// One customer has many addresses of IPv6.
	for k := range silentPerAddress + 5 {
		accept(fmt.Sprintf("/ip6/2001:db8:0:%x::1/tcp/1", k))
	}
	count(1 + 2*silentPerAddress)
	// Many addresses together.
	for k := range silentInAll + 10 {
		accept(fmt.Sprintf("/ip4/10.0.%d.%d/tcp/1", k/250, k%250))
	}
	count(silentInAll)
	if !friend.closed {
		t.Error("who has said nothing for longest did not make way")
	}
	// Those that libp2p has given up are forgotten.
	now = now.Add(silentTime + time.Second)
	accept("/ip4/198.51.100.7/tcp/1")
	count(1)
	accept("/ip4/198.51.100.7/tcp/1") // the same ends once more
	count(1)
	accept("/p2p-circuit")
	count(2)
}

// TestSilentConnectionsKeepNobodyOut: while strangers keep a thousand TCP connections open and say nothing, from one address or from
// two hundred, a peer connects.
func TestSilentConnectionsKeepNobodyOut(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no 127.0.0.0/8 to be many addresses of")
	}
	for _, addresses := range []int{1, 200} {
		t.Run(fmt.Sprint(addresses), func(t *testing.T) {
			target, err := NewHost(HostConfig{KeyFile: filepath.Join(t.TempDir(), "target"), Loopback: true})
			if err != nil {
				t.Fatal(err)
			}
			defer target.Close()
			var at ma.Multiaddr
			for _, a := range target.Network().ListenAddresses() {
				if _, err := a.ValueForProtocol(ma.P_TCP); err == nil {
					if v, err := a.ValueForProtocol(ma.P_IP4); err == nil && v == "127.0.0.1" {
						at = a
					}
				}
			}
			port, err := at.ValueForProtocol(ma.P_TCP)
			if err != nil {
				t.Fatal(err)
			}
			strangers := make([]net.Conn, 0, 1000)
			defer func() {
				for _, c := range strangers {
					c.Close()
				}
			}()
			for k := range cap(strangers) {
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+k%addresses))}, Timeout: 5 * time.Second}
				c, err := d.DialContext(t.Context(), "tcp", "127.0.0.1:"+port)
				if err != nil {
					t.Fatalf("stranger %d: %v", k, err)
				}
				strangers = append(strangers, c)
			}
			for k := range 3 {
				friend, err := NewHost(HostConfig{KeyFile: filepath.Join(t.TempDir(), fmt.Sprint("friend", k)), Loopback: true})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				err = friend.Connect(ctx, lpeer.AddrInfo{ID: target.ID(), Addrs: []ma.Multiaddr{at}})
				cancel()
				if err != nil {
					t.Errorf("friend %d does not get in: %v", k, err)
				}
				friend.Close()
			}
		})
	}
}
