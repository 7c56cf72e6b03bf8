package httpgateway

import (
	"net/http"
	"net/netip"
	"strings"
)

// door decides which requests are from this machine's own clients and not from
// a web page that a browser on it happens to show. A page elsewhere can point
// its own name at a loopback address (DNS rebinding: the Host is then foreign)
// or embed the gateway's (Origin or Sec-Fetch-Site then say so), and would learn
// from the answers what this machine builds.
type door struct {
	exact map[string]bool // host:port, lower case
	names map[string]bool // host, with any port
}

// newDoor admits the given Host values: "name" with any port, "name:port" with
// that one. None at all means the names of loopback.
func newDoor(hosts []string) door {
	if len(hosts) == 0 {
		hosts = []string{"localhost", "127.0.0.1", "[::1]"}
	}
	d := door{exact: make(map[string]bool), names: make(map[string]bool)}
	for _, h := range hosts {
		h = strings.ToLower(h)
		if strings.Count(h, ":") > 1 && !strings.HasPrefix(h, "[") {
			h = "[" + h + "]" // a bare IPv6 address
		}
		if _, _, ok := cutPort(h); ok {
			d.exact[h] = true
		} else {
			d.names[h] = true
		}
	}
	return d
}

// admits judges the headers of a request for Nix's routes.
func (d door) admits(r *http.Request) bool {
	if !d.host(r.Host) || !sameOrigin(r) {
		return false
	}
	site := r.Header["Sec-Fetch-Site"]
	return len(site) == 0 || len(site) == 1 && (site[0] == "same-origin" || site[0] == "none")
}

// admitsPage judges a request for a page: as admits, but a link from elsewhere
// may be followed, since who holds the link does not see the page. Pages are for
// this machine's users, whatever address a socket that somebody handed over has.
func (d door) admitsPage(r *http.Request) bool {
	if !fromHere(r) {
		return false
	}
	if d.admits(r) {
		return true
	}
	return d.host(r.Host) && sameOrigin(r) &&
		(r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// fromHere reports whether the client is on this machine.
func fromHere(r *http.Request) bool {
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && client.Addr().Unmap().IsLoopback()
}

func (d door) host(host string) bool {
	if d.exact[host] || d.names[host] {
		return true
	}
	host = strings.ToLower(host)
	name, _, ok := cutPort(host)
	return d.exact[host] || d.names[host] || ok && d.names[name]
}

// sameOrigin: Nix and curl send no Origin; a browser sends one that names the
// site whose script asks.
func sameOrigin(r *http.Request) bool {
	origin := r.Header["Origin"]
	if len(origin) == 0 {
		return true
	}
	scheme, host, ok := strings.Cut(origin[0], "://")
	return ok && len(origin) == 1 && (scheme == "http" || scheme == "https") && strings.EqualFold(host, r.Host)
}

// cutPort splits "name:port" and "[v6]:port"; the port must be digits.
func cutPort(host string) (name, port string, ok bool) {
	i := strings.LastIndexByte(host, ':')
	if i <= 0 || strings.HasSuffix(host, "]") {
		return host, "", false
	}
	if _, ok := parseOffset(host[i+1:]); !ok {
		return host, "", false
	}
	return host[:i], host[i+1:], true
}
