package peer

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	ma "github.com/multiformats/go-multiaddr"
)

// ErrBadHint is wrapped by every error of [ParsePeer].
var ErrBadHint = errors.New("not a peer: give host, host:port, an IP address or a multiaddr")

// Hint is what a person wrote to name a peer. Either Multiaddr is set, or Host
// and Port are. A hint needs no peer id: what comes from a peer is verified
// whoever it is.
//
// It is comparable; its zero value names nobody.
type Hint struct {
	// Host is a DNS name, or an IP address in its canonical text, which may
	// have a zone (fe80::1%eth0).
	Host string
	// Port is the TCP and UDP port at Host.
	Port uint16
	// Multiaddr is a multiaddr in its canonical text, perhaps with a /p2p part.
	Multiaddr string
}

// ParsePeer reads what the command line and the configuration file call PEER:
// host, host:port, an IP address, [v6]:port, or a multiaddr. Without a port,
// [DefaultPort] is meant.
func ParsePeer(s string) (Hint, error) {
	switch {
	case s == "":
		return Hint{}, fmt.Errorf("%w (it is empty)", ErrBadHint)
	case len(s) > MaxHintLength:
		return Hint{}, fmt.Errorf("%w (%d bytes; at most %d)", ErrBadHint, len(s), MaxHintLength)
	case strings.Contains(s, "://"):
		return Hint{}, fmt.Errorf("%w (%s is a web address)", ErrBadHint, quote(s))
	case s[0] == '/':
		return parseMultiaddr(s)
	}
	if ip, err := netip.ParseAddr(s); err == nil {
		return Hint{Host: ip.String(), Port: DefaultPort}, nil
	}
	host, port, err := splitPort(s)
	if err != nil {
		return Hint{}, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return Hint{Host: ip.String(), Port: port}, nil
	}
	if err := checkHost(host); err != nil {
		return Hint{}, err
	}
	return Hint{Host: host, Port: port}, nil
}

// String is the hint as [ParsePeer] reads it.
func (h Hint) String() string {
	switch {
	case h.Multiaddr != "":
		return h.Multiaddr
	case h.Host == "":
		return ""
	case h.Port == DefaultPort:
		return h.Host
	}
	return net.JoinHostPort(h.Host, strconv.Itoa(int(h.Port)))
}

func splitPort(s string) (host string, port uint16, err error) {
	bracketed := strings.HasPrefix(s, "[")
	if bracketed && strings.HasSuffix(s, "]") {
		host, port = s[1:len(s)-1], DefaultPort
	} else if !strings.Contains(s, ":") {
		return s, DefaultPort, nil
	} else {
		h, p, err := net.SplitHostPort(s)
		if err != nil {
			return "", 0, fmt.Errorf("%w (%s: a port follows one colon, an IPv6 address with a port stands in brackets)", ErrBadHint, quote(s))
		}
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 || p[0] == '0' {
			return "", 0, fmt.Errorf("%w (port %s is not 1 to 65535)", ErrBadHint, quote(p))
		}
		host, port = h, uint16(n)
	}
	if ip, err := netip.ParseAddr(host); bracketed && (err != nil || !ip.Is6()) {
		return "", 0, fmt.Errorf("%w (%s in brackets is not an IPv6 address)", ErrBadHint, quote(host))
	}
	return host, port, nil
}

// checkHost accepts what resolvers do: letters, digits, '-' and, since names in
// private networks have it, '_'.
func checkHost(host string) error {
	if host == "" || len(host) > maxHostLength {
		return fmt.Errorf("%w (a host name has 1 to %d characters)", ErrBadHint, maxHostLength)
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > maxLabelLength {
			return fmt.Errorf("%w (%s: between dots stand 1 to %d characters)", ErrBadHint, quote(host), maxLabelLength)
		}
		if label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("%w (%s: %q begins or ends with '-')", ErrBadHint, quote(host), label)
		}
		for _, c := range label {
			if !isHostChar(c) {
				return fmt.Errorf("%w (%s: %q is not in a host name)", ErrBadHint, quote(host), c)
			}
		}
	}
	return checkNotNumeric(host)
}

// checkNotNumeric refuses mistyped IPv4 addresses such as 10.0.0.256: no
// top-level domain is a number (RFC 3696, 2), and resolvers differ in what they
// make of them.
func checkNotNumeric(host string) error {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	if strings.Trim(last, "0123456789") == "" {
		return fmt.Errorf("%w (%s is neither an IP address nor a name)", ErrBadHint, quote(host))
	}
	return nil
}

func isHostChar(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// parseMultiaddr accepts what a node can dial: something that begins with an IP
// address or a DNS name and goes over TCP or QUIC (or says so in DNS itself).
func parseMultiaddr(s string) (Hint, error) {
	m, err := ma.NewMultiaddr(s)
	if err != nil {
		return Hint{}, fmt.Errorf("%w (%s: %v)", ErrBadHint, quote(s), err)
	}
	switch m[0].Protocol().Code {
	case ma.P_IP4, ma.P_IP6, ma.P_IP6ZONE, ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
		_, tcp := m.ValueForProtocol(ma.P_TCP)
		_, quic := m.ValueForProtocol(ma.P_QUIC_V1)
		if tcp != nil && quic != nil {
			return Hint{}, fmt.Errorf("%w (%s goes over neither tcp nor quic-v1)", ErrBadHint, quote(s))
		}
	case ma.P_DNSADDR:
	default:
		return Hint{}, fmt.Errorf("%w (%s begins with neither an IP address nor a DNS name)", ErrBadHint, quote(s))
	}
	return Hint{Multiaddr: m.String()}, nil
}

func quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.Quote(s[:maxQuoted]) + "…"
	}
	return strconv.Quote(s)
}

// Addr returns the IP address that the hint names, if it names one and not a
// host.
func (h Hint) Addr() (netip.Addr, bool) {
	if h.Multiaddr == "" {
		a, err := netip.ParseAddr(h.Host)
		return a, err == nil
	}
	m, err := ma.NewMultiaddr(h.Multiaddr)
	if err != nil {
		return netip.Addr{}, false
	}
	for _, c := range m {
		if code := c.Protocol().Code; code == ma.P_IP4 || code == ma.P_IP6 {
			a, ok := netip.AddrFromSlice(c.RawValue())
			return a, ok
		}
	}
	return netip.Addr{}, false
}
