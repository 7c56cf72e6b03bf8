package mdns

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	lpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"github.com/flurry-nix/flurry/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newHost(t *testing.T, listen string) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings(listen), libp2p.Transport(tcp.NewTCPTransport),
		libp2p.DisableMetrics(), libp2p.DisableIdentifyAddressDiscovery())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// multicasts says whether this machine hears its own multicasts.
func multicasts(t *testing.T) bool {
	group := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	in, err := net.ListenMulticastUDP("udp4", nil, group)
	if err != nil {
		return false
	}
	defer in.Close()
	out, err := net.DialUDP("udp4", nil, group)
	if err != nil {
		return false
	}
	defer out.Close()
	word := []byte("flurry test")
	if _, err := out.Write(word); err != nil {
		return false
	}
	if err := in.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	var b [1500]byte
	for {
		n, _, err := in.ReadFrom(b[:])
		if err != nil {
			return false
		}
		if string(b[:n]) == string(word) {
			return true
		}
	}
}

// Two nodes find each other.
func TestFind(t *testing.T) {
	if !multicasts(t) {
		t.Skip("this machine's network has no multicast")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	name := fmt.Sprintf("_flurry%d._udp", os.Getpid())
	a, b := newHost(t, "/ip4/0.0.0.0/tcp/0"), newHost(t, "/ip4/0.0.0.0/tcp/0")
	var wait sync.WaitGroup
	var met sync.WaitGroup
	for _, pair := range [][2]host.Host{{a, b}, {b, a}} {
		f := New(pair[0], nil)
		f.name = name
		met.Add(1)
		once := sync.OnceFunc(met.Done)
		wait.Go(func() {
			defer once()
			err := f.Run(ctx, func(p peer.Info) {
				if p.ID != peer.ID(pair[1].ID().String()) || len(p.Addrs) == 0 || strings.Contains(p.Addrs[0], "/p2p/") {
					t.Errorf("found %+v", p)
				}
				once()
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	met.Wait()
	if ctx.Err() != nil {
		t.Error("they did not find each other")
	}
	cancel()
	wait.Wait()
}

// A host that only this machine reaches is not announced, and that is no error.
func TestNoNetwork(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	f := New(newHost(t, "/ip4/127.0.0.1/tcp/0"), nil)
	f.name = fmt.Sprintf("_flurry%d._udp", os.Getpid()+1)
	go func() { done <- f.Run(ctx, func(p peer.Info) { t.Errorf("found %+v", p) }) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestInfo(t *testing.T) {
	claim := lpeer.AddrInfo{ID: "x"}
	if _, ok := infoOf(claim); ok {
		t.Error("a peer without an address")
	}
	for i := range 3 * peer.MaxAddrs {
		claim.Addrs = append(claim.Addrs, ma.StringCast(fmt.Sprintf("/ip4/10.0.0.1/tcp/%d", 1+i/2)))
	}
	info, ok := infoOf(claim)
	if !ok || len(info.Addrs) != peer.MaxAddrs || info.Addrs[0] == info.Addrs[1] {
		t.Errorf("%+v", info)
	}
}

// Who shouts does not hold up who listens.
func TestEarDrops(t *testing.T) {
	claims := make(chan lpeer.AddrInfo, heard)
	e := &ear{t.Context(), claims}
	for range 10 * heard {
		e.HandlePeerFound(lpeer.AddrInfo{ID: "x"})
	}
	if len(claims) != heard {
		t.Errorf("%d claims wait", len(claims))
	}
}
