package kad

import (
	"errors"
	"fmt"

	libpeer "github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/flurry-nix/flurry/dht"
)

// Field numbers of Kademlia messages (go-libp2p-kad-dht, pb/dht.proto).
const (
	fieldType      protowire.Number = 1
	fieldKey       protowire.Number = 2
	fieldCloser    protowire.Number = 8
	fieldProviders protowire.Number = 9
	fieldCluster   protowire.Number = 10

	fieldPeerID    protowire.Number = 1
	fieldPeerAddr  protowire.Number = 2
	fieldConnected protowire.Number = 3
)

// typeAddProvider is the message type ADD_PROVIDER.
const typeAddProvider = 2

// errFrame is wrapped by errors about messages that do not parse or break a bound.
var errFrame = errors.New("kademlia message refused")

// errNoAddress says that a peer would be told about this node without any address
// that is of use to it.
var errNoAddress = errors.New("no address of this node is in the peer's scope")

// clamp rewrites a message so that it stays within the bounds: at most
// maxProviders and maxCloser peers, each with at most [dht.MaxAddrs] addresses
// that may pass between this node and a peer of the given scope. What exceeds them
// is left out; what has no place in a provider DHT (values, unknown fields) too.
// It works on the encoding and allocates no more than the result, whatever a
// hostile message would unpack to.
func clamp(msg []byte, peer scope) ([]byte, error) {
	c := clamper{peer: peer, out: make([]byte, 0, min(len(msg), maxFrame))}
	for len(msg) > 0 {
		num, typ, val, rest, err := field(msg)
		if err != nil {
			return nil, err
		}
		if err := c.field(num, typ, val); err != nil {
			return nil, err
		}
		msg = rest
	}
	if c.add && !c.addressed {
		return nil, errNoAddress
	}
	return c.out, nil
}

// field cuts one field off b: for a varint, val is its encoding, for bytes, their
// content.
func field(b []byte) (num protowire.Number, typ protowire.Type, val, rest []byte, err error) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		return 0, 0, nil, nil, fmt.Errorf("%w: a tag: %w", errFrame, protowire.ParseError(n))
	}
	b = b[n:]
	if typ == protowire.BytesType {
		if val, n = protowire.ConsumeBytes(b); n < 0 {
			return 0, 0, nil, nil, fmt.Errorf("%w: field %d: %w", errFrame, num, protowire.ParseError(n))
		}
		return num, typ, val, b[n:], nil
	}
	if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
		return 0, 0, nil, nil, fmt.Errorf("%w: field %d: %w", errFrame, num, protowire.ParseError(n))
	}
	return num, typ, b[:n], b[n:], nil
}

// clamper is the state of one rewriting.
type clamper struct {
	peer      scope
	out       []byte
	closer    int
	providers int
	add       bool // it is an ADD_PROVIDER
	addressed bool // a provider kept an address
}

func (c *clamper) field(num protowire.Number, typ protowire.Type, val []byte) error {
	switch {
	case num == fieldType && typ == protowire.VarintType:
		v, _ := protowire.ConsumeVarint(val)
		c.add = v == typeAddProvider
		c.varint(num, val)
	case num == fieldCluster && typ == protowire.VarintType:
		c.varint(num, val)
	case num == fieldKey && typ == protowire.BytesType:
		if len(val) > maxKey {
			return fmt.Errorf("%w: a key of %d bytes, at most %d", errFrame, len(val), maxKey)
		}
		c.bytes(num, val)
	case num == fieldCloser && typ == protowire.BytesType:
		if c.closer++; c.closer <= maxCloser {
			return c.subject(num, val)
		}
	case num == fieldProviders && typ == protowire.BytesType:
		if c.providers++; c.providers <= maxProviders {
			return c.subject(num, val)
		}
	}
	return nil
}

func (c *clamper) varint(num protowire.Number, val []byte) {
	c.out = append(protowire.AppendTag(c.out, num, protowire.VarintType), val...)
}

func (c *clamper) bytes(num protowire.Number, val []byte) {
	c.out = protowire.AppendBytes(protowire.AppendTag(c.out, num, protowire.BytesType), val)
}

// subject rewrites a peer that the message speaks of. One without a valid id is
// left out.
func (c *clamper) subject(num protowire.Number, b []byte) error {
	var id, connected []byte
	addrs := make([][]byte, 0, dht.MaxAddrs)
	for len(b) > 0 {
		n, typ, val, rest, err := field(b)
		if err != nil {
			return err
		}
		switch {
		case n == fieldPeerID && typ == protowire.BytesType:
			id = val
		case n == fieldConnected && typ == protowire.VarintType:
			connected = val
		case n == fieldPeerAddr && typ == protowire.BytesType && len(addrs) < dht.MaxAddrs && c.tellable(val):
			addrs = append(addrs, val)
		}
		b = rest
	}
	if len(id) > maxPeerID {
		return nil
	}
	if _, err := libpeer.IDFromBytes(id); err != nil {
		return nil
	}
	c.addressed = c.addressed || num == fieldProviders && len(addrs) > 0
	p := protowire.AppendBytes(protowire.AppendTag(nil, fieldPeerID, protowire.BytesType), id)
	for _, a := range addrs {
		p = protowire.AppendBytes(protowire.AppendTag(p, fieldPeerAddr, protowire.BytesType), a)
	}
	if connected != nil {
		p = append(protowire.AppendTag(p, fieldConnected, protowire.VarintType), connected...)
	}
	c.bytes(num, p)
	return nil
}

func (c *clamper) tellable(addr []byte) bool {
	if len(addr) > maxAddrBytes {
		return false
	}
	a, err := ma.NewMultiaddrBytes(addr)
	return err == nil && tellable(scopeOf(a), c.peer)
}
