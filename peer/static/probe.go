package static

import (
	"bytes"
	"context"
	"net"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// greeting is how libp2p begins, and an end of line twice so that servers of
// line-based protocols answer it.
const greeting = "\x13/multistream/1.0.0\n\r\n\r\n"

// probe finds out what somebody speaks who takes TCP connections and is no
// libp2p node; open is false if nobody takes them.
func (r *resolver) probe(ctx context.Context, addrs []ma.Multiaddr) (speaks string, open bool) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	for _, m := range addrs {
		if speaks, ok := probeAt(ctx, m); ok {
			return speaks, true
		}
	}
	return "", false
}

func probeAt(ctx context.Context, m ma.Multiaddr) (speaks string, open bool) {
	network, address, err := manet.DialArgs(m)
	if err != nil {
		return "", false
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return "", false
	}
	defer c.Close()
	if c.SetDeadline(time.Now().Add(probeTimeout)) != nil {
		return "", true
	}
	if _, err := c.Write([]byte(greeting)); err != nil {
		return "", true
	}
	var answer [64]byte
	n, _ := c.Read(answer[:])
	return language(answer[:n]), true
}

// language tells a protocol by how its servers begin.
func language(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("HTTP/")), bytes.HasPrefix(b, []byte("<html")), bytes.HasPrefix(b, []byte("<!DOCTYPE")):
		return "HTTP"
	case len(b) >= 3 && (b[0] == 0x15 || b[0] == 0x16) && b[1] == 3:
		return "TLS"
	case bytes.HasPrefix(b, []byte("SSH-")):
		return "SSH"
	case bytes.HasPrefix(b, []byte("\x13/multistream/")):
		return "libp2p"
	}
	return ""
}
