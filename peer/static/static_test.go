package static

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"github.com/flurry-nix/flurry/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newHost is a host on loopback that speaks the protocols.
func newHost(t *testing.T, protocols ...string) host.Host {
	t.Helper()
	h, err := libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"),
		libp2p.Transport(tcp.NewTCPTransport), libp2p.Transport(quic.NewTransport), libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	for _, p := range protocols {
		h.SetStreamHandler(protocol.ID(p), func(s network.Stream) { s.Reset() })
	}
	return h
}

func flurryHost(t *testing.T) host.Host { return newHost(t, "/flurry/lookup/1") }

// port is the one of a host's address that has the given protocol.
func port(t *testing.T, h host.Host, code int) uint16 {
	t.Helper()
	for _, m := range h.Addrs() {
		if v, err := m.ValueForProtocol(code); err == nil {
			var n uint16
			fmt.Sscan(v, &n)
			return n
		}
	}
	t.Fatalf("no port in %v", h.Addrs())
	return 0
}

func id(h host.Host) peer.ID { return peer.ID(h.ID().String()) }

// book is a resolver of names.
type book struct {
	ips map[string][]string
	txt map[string][]string
}

func (b book) LookupNetIP(_ context.Context, network, name string) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, s := range b.ips[name] {
		ip := netip.MustParseAddr(s)
		if network == "ip" || (network == "ip4") == ip.Is4() {
			all = append(all, ip)
		}
	}
	if len(all) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return all, nil
}

func (b book) LookupTXT(_ context.Context, name string) ([]string, error) {
	if list, ok := b.txt[name]; ok {
		return list, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func testResolver(h host.Host, names book) *resolver {
	r := newResolver(h, nil)
	r.names = names
	r.timeout = 500 * time.Millisecond
	return r
}

func TestResolveFindsThePeer(t *testing.T) {
	h, far, other := newHost(t), flurryHost(t), flurryHost(t)
	names := book{
		ips: map[string][]string{"seed.example": {"127.0.0.1"}, "both.example": {"127.0.0.2", "127.0.0.1"}},
		txt: map[string][]string{
			"_dnsaddr.seeds.example": {"garbage", "dnsaddr=garbage", "dnsaddr=/dns/none.example/tcp/1",
				fmt.Sprintf("dnsaddr=/dns4/seed.example/tcp/%d/p2p/%s", port(t, far, ma.P_TCP), far.ID()),
				fmt.Sprintf("dnsaddr=/ip4/127.0.0.1/udp/%d/quic-v1/p2p/%s", port(t, far, ma.P_UDP), far.ID()),
				"dnsaddr=/dnsaddr/more.example"},
			"_dnsaddr.more.example": {fmt.Sprintf("dnsaddr=/ip4/127.0.0.1/tcp/%d", port(t, other, ma.P_TCP))},
		},
	}
	tcp, udp := port(t, far, ma.P_TCP), port(t, far, ma.P_UDP)
	for _, c := range []struct {
		hint string
		want []peer.ID
	}{
		{fmt.Sprintf("127.0.0.1:%d", tcp), []peer.ID{id(far)}},
		{fmt.Sprintf("seed.example:%d", tcp), []peer.ID{id(far)}},
		{fmt.Sprintf("seed.example:%d", udp), []peer.ID{id(far)}}, // QUIC alone
		{fmt.Sprintf("both.example:%d", tcp), []peer.ID{id(far)}},
		{fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", tcp), []peer.ID{id(far)}},
		{fmt.Sprintf("/dns/seed.example/tcp/%d", tcp), []peer.ID{id(far)}},
		{fmt.Sprintf("/dns4/seed.example/udp/%d/quic-v1/p2p/%s", udp, far.ID()), []peer.ID{id(far)}},
		{"/dnsaddr/seeds.example", []peer.ID{id(far), id(other)}},
		{"/dnsaddr/seeds.example/p2p/" + far.ID().String(), []peer.ID{id(far)}},
	} {
		hint, err := peer.ParsePeer(c.hint)
		if err != nil {
			t.Fatal(err)
		}
		got, err := testResolver(h, names).resolve(t.Context(), hint)
		if err != nil || len(got) != len(c.want) {
			t.Errorf("%s: %v, %v; want %v", c.hint, got, err, c.want)
			continue
		}
		for i := range got {
			if got[i].ID != c.want[i] || len(got[i].Addrs) == 0 || strings.Contains(got[i].Addrs[0], "/p2p/") {
				t.Errorf("%s: %v, want %v", c.hint, got, c.want)
			}
		}
		for _, p := range []host.Host{far, other} {
			h.Network().ClosePeer(p.ID())
		}
	}
}

func TestResolveSaysWhy(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	// One that takes connections and is silent.
	silent, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()

	stranger, later, old := newHost(t), newHost(t, "/flurry/lookup/2"), newHost(t, "/flurry/fetch/1")
	for name, c := range map[string]struct {
		hint string
		want string
		kind Reason
	}{
		"no such name":    {"none.example", "none.example does not resolve: lookup none.example: no such host", NoSuchName},
		"no such dnsaddr": {"/dnsaddr/none.example", "does not resolve", NoSuchName},
		"endless dnsaddr": {"/dnsaddr/loop.example", "does not resolve", NoSuchName},
		"a closed port":   {closed.Addr().String(), closed.Addr().String() + ", tcp refused, udp no answer in 0 s", NoAnswer},
		"HTTP":            {strings.TrimPrefix(web.URL, "http://"), "is not a flurry node (it speaks HTTP)", NotFlurry},
		"silence":         {silent.Addr().String(), "answers, but is not a flurry node", NotFlurry},
		"libp2p":          {fmt.Sprintf("127.0.0.1:%d", port(t, stranger, ma.P_TCP)), "(it speaks libp2p)", NotFlurry},
		"another version": {fmt.Sprintf("127.0.0.1:%d", port(t, later, ma.P_TCP)), "speaks flurry protocol 2, this is 1", OtherVersion},
		"half of it":      {fmt.Sprintf("127.0.0.1:%d", port(t, old, ma.P_TCP)), "(it speaks libp2p)", NotFlurry},
		"an impostor": {fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/%s", port(t, stranger, ma.P_TCP), later.ID()),
			"tcp no handshake", NoAnswer},
	} {
		hint, err := peer.ParsePeer(c.hint)
		if err != nil {
			t.Fatal(err)
		}
		h := newHost(t)
		r := testResolver(h, book{txt: map[string][]string{"_dnsaddr.loop.example": {"dnsaddr=/dnsaddr/loop.example"}}})
		got, err := r.resolve(t.Context(), hint)
		var failure *UnreachableError
		if !errors.As(err, &failure) || failure.Reason != c.kind || failure.Hint != hint || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want %q", name, got, err, c.want)
		}
		if all := h.Network().Peers(); len(all) != 0 {
			t.Errorf("%s: still connected", name)
		}
	}
}

func TestLanguage(t *testing.T) {
	for in, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n": "HTTP", "<html>": "HTTP", "\x15\x03\x01\x00\x02\x02\x46": "TLS", "\x15\x02": "",
		"SSH-2.0-OpenSSH_9.9\r\n": "SSH", "\x13/multistream/1.0.0\n": "libp2p", "": "", "220 mail.example": "",
	} {
		if got := language([]byte(in)); got != want {
			t.Errorf("%q speaks %q, want %q", in, got, want)
		}
	}
}

func TestResolveKnowsItself(t *testing.T) {
	h := flurryHost(t)
	hint := peer.Hint{Multiaddr: "/ip4/127.0.0.1/tcp/1/p2p/" + h.ID().String()}
	_, err := testResolver(h, book{}).resolve(t.Context(), hint)
	var failure *UnreachableError
	if !errors.As(err, &failure) || failure.Reason != Itself {
		t.Error(err)
	}
}

func TestResolveEndsWithContext(t *testing.T) {
	h := newHost(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Resolve(ctx, h, peer.Hint{Host: "127.0.0.1", Port: 1}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestResolvePermits(t *testing.T) {
	h, far := newHost(t), flurryHost(t)
	var permitted []string
	r := testResolver(h, book{ips: map[string][]string{"seed.example": {"127.0.0.1"}}})
	r.permit = func(a netip.Addr) { permitted = append(permitted, a.String()) }
	if _, err := r.resolve(t.Context(), peer.Hint{Host: "seed.example", Port: port(t, far, ma.P_TCP)}); err != nil {
		t.Fatal(err)
	}
	if len(permitted) == 0 || permitted[0] != "127.0.0.1" {
		t.Errorf("permitted %v", permitted)
	}
}

func TestFinder(t *testing.T) {
	h, far := newHost(t), flurryHost(t)
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	nobody, err := peer.ParsePeer(closed.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	somebody := peer.Hint{Host: "127.0.0.1", Port: port(t, far, ma.P_TCP)}
	f := New(h, []peer.Hint{nobody, somebody}, Options{Every: 20 * time.Millisecond})
	f.resolver.timeout = 500 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wait sync.WaitGroup
	found := make(chan peer.Info)
	wait.Go(func() {
		defer close(found)
		if err := f.Run(ctx, func(p peer.Info) {
			select {
			case found <- p:
			case <-ctx.Done():
			}
		}); err != nil {
			t.Error(err)
		}
	})
	next := func() {
		t.Helper()
		if p := <-found; p.ID != id(far) {
			t.Errorf("found %+v", p)
		}
	}
	next()
	next() // it is still there
	// It is found again after the connection broke.
	if err := h.Network().ClosePeer(far.ID()); err != nil {
		t.Error(err)
	}
	next()
	next()
	for {
		states := f.States()
		if len(states) != 2 || states[1].Err != nil || len(states[1].Peers) != 1 {
			t.Fatalf("%+v", states)
		}
		if !states[0].Tried.IsZero() {
			var failure *UnreachableError
			if !errors.As(states[0].Err, &failure) || len(states[0].Peers) != 0 {
				t.Errorf("%+v", states[0])
			}
			break
		}
		next()
	}
	cancel()
	for range found { // what was under way
	}
	wait.Wait()
}

// TestHasten: who is not there is looked for again at once when that is asked for, however long the next try was away.
func TestHasten(t *testing.T) {
	h := newHost(t)
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	nobody, err := peer.ParsePeer(closed.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	f := New(h, []peer.Hint{nobody}, Options{Every: time.Hour})
	f.resolver.timeout = 100 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() { _ = f.Run(ctx, func(peer.Info) {}) })
	var last time.Time
	for range 3 { // the pauses would be 2 s, 4 s, 8 s
		for began := time.Now(); !f.States()[0].Tried.After(last); time.Sleep(time.Millisecond) {
			if time.Since(began) > firstRetry-200*time.Millisecond {
				t.Fatal("it is not tried again")
			}
			f.Hasten()
		}
		last = f.States()[0].Tried
	}
	cancel()
	wait.Wait()
}

func TestFinderWithoutHints(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(newHost(t), nil, Options{}).Run(ctx, func(peer.Info) { t.Error("found somebody") }); err != nil {
		t.Error(err)
	}
}
