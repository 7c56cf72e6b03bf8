package stream

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	lpeer "github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

func TestIdentityStays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node.key")
	var first crypto.PrivKey
	for range 2 {
		k, err := identity(file)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = k
		}
		if !k.Equals(first) {
			t.Error("another key the second time")
		}
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestIdentityRefuses(t *testing.T) {
	dir := t.TempDir()
	rsa, _, err := crypto.GenerateKeyPair(crypto.Secp256k1, 0)
	if err != nil {
		t.Fatal(err)
	}
	other, err := crypto.MarshalPrivateKey(rsa)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content []byte
		mode    os.FileMode
		err     string
	}{
		"readable":   {other, 0o644, "can be read by others (0644)"},
		"group":      {other, 0o640, "chmod 600"},
		"damaged":    {[]byte("hello"), 0o600, "is damaged"},
		"empty":      {nil, 0o600, "is damaged"},
		"other type": {other, 0o600, "not Ed25519"},
		"large":      {make([]byte, maxKeyFile+1), 0o600, "has 1025 bytes"},
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, c.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := identity(file); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", name, err, c.err)
		}
		after, err := os.ReadFile(file)
		if err != nil || string(after) != string(c.content) {
			t.Errorf("%s: the file was changed", name)
		}
	}
	if _, err := identity(dir); err == nil || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := identity(filepath.Join(dir, "none", "node.key")); err == nil {
		t.Error("a key in a directory that is not there")
	}
}

func TestHostListens(t *testing.T) {
	h := newHost(t)
	var on [classes]bool
	for _, a := range h.Addrs() {
		c, ok := classOf(a)
		if !ok || !strings.Contains(a.String(), "/127.0.0.1/") && !strings.Contains(a.String(), "/ip6/::1/") {
			t.Errorf("listens on %s", a)
		}
		on[c] = true
	}
	if !on[tcp4] || !on[quic4] {
		t.Errorf("listens on %v", h.Addrs())
	}
}

func TestHostSaysThatThePortIsTaken(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for what, port := range map[string]int{"TCP": l.Addr().(*net.TCPAddr).Port, "UDP": c.LocalAddr().(*net.UDPAddr).Port} {
		h, err := NewHost(HostConfig{KeyFile: filepath.Join(t.TempDir(), "node.key"), Loopback: true, Port: uint16(port)})
		if err == nil {
			t.Errorf("%s port %d is taken, and listened on: %v", what, port, h.Network().ListenAddresses())
			h.Close()
		} else if !strings.Contains(err.Error(), fmt.Sprintf("%s port %d", what, port)) {
			t.Errorf("%s port %d is taken: %v", what, port, err)
		}
	}
}

func TestHostAnnounces(t *testing.T) {
	dir := t.TempDir()
	announced := "/ip4/203.0.113.9/tcp/7670"
	h, err := NewHost(HostConfig{KeyFile: filepath.Join(dir, "node.key"), Loopback: true, Announce: []string{announced}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	found := false
	for _, a := range h.Addrs() {
		found = found || a.String() == announced
	}
	if !found || len(h.Addrs()) < 3 {
		t.Errorf("addresses: %v", h.Addrs())
	}
	if _, err := NewHost(HostConfig{KeyFile: filepath.Join(dir, "node.key"), Loopback: true, Announce: []string{"seed.example"}}); err == nil {
		t.Error("an address that is none is announced")
	}
}

// Two hosts that can speak both end up on TCP.
func TestHostsPreferTCP(t *testing.T) {
	a, b := newHost(t), newHost(t)
	if err := a.Connect(t.Context(), lpeer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
	for _, c := range a.Network().ConnsToPeer(b.ID()) {
		if class, _ := classOf(c.RemoteMultiaddr()); class != tcp4 && class != tcp6 {
			t.Errorf("connected over %s", c.RemoteMultiaddr())
		}
	}
}

// A host whose peer can be reached over QUIC alone reaches it.
func TestHostsSpeakQUIC(t *testing.T) {
	a, b := newHost(t), newHost(t)
	var quic []ma.Multiaddr
	for _, m := range b.Addrs() {
		if class, _ := classOf(m); class == quic4 || class == quic6 {
			quic = append(quic, m)
		}
	}
	if err := a.Connect(t.Context(), lpeer.AddrInfo{ID: b.ID(), Addrs: quic}); err != nil {
		t.Fatal(err)
	}
	if a.Network().Connectedness(b.ID()) != network.Connected {
		t.Error("not connected")
	}
}
