package httpgateway

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestDoorHost(t *testing.T) {
	loopback := newDoor(nil)
	listed := newDoor([]string{"Cache.Example", "10.0.0.1:7669", "::1", "[fe80::1]:80"})
	for _, c := range []struct {
		host             string
		loopback, listed bool
	}{
		{"127.0.0.1:7669", true, false},
		{"127.0.0.1", true, false},
		{"localhost:80", true, false},
		{"LocalHost:80", true, false},
		{"[::1]:7669", true, true},
		{"[::1]", true, true},
		{"cache.example", false, true},
		{"CACHE.example:443", false, true},
		{"10.0.0.1:7669", false, true},
		{"10.0.0.1:7670", false, false},
		{"10.0.0.1", false, false},
		{"[FE80::1]:80", false, true},
		{"[fe80::1]:81", false, false},
		{"", false, false},
		{":7669", false, false},
		{"evil.example", false, false},
		{"evil.example:7669", false, false},
		{"localhost.evil.example", false, false},
		{"127.0.0.1.evil.example:7669", false, false},
		{"localhost:evil", false, false},
		{"localhost:", false, false},
		{"localhost:80:80", false, false},
		{"::1", false, false}, // not how a Host header spells it
		{"127.0.0.2:7669", false, false},
		{"localhost.", false, false},
	} {
		if got := loopback.host(c.host); got != c.loopback {
			t.Errorf("loopback, %q: %v", c.host, got)
		}
		if got := listed.host(c.host); got != c.listed {
			t.Errorf("listed, %q: %v", c.host, got)
		}
	}
}

func TestDoorAdmits(t *testing.T) {
	d := newDoor(nil)
	for _, c := range []struct {
		name      string
		method    string
		host      string
		header    http.Header
		nix, page bool
	}{
		{"nix", "GET", "127.0.0.1:7669", nil, true, true},
		{"rebound", "GET", "evil.example:7669", nil, false, false},
		{"own page", "GET", "localhost:7669", http.Header{"Origin": {"http://localhost:7669"}, "Sec-Fetch-Site": {"same-origin"}}, true, true},
		{"own page behind TLS", "GET", "localhost:7669", http.Header{"Origin": {"https://LOCALHOST:7669"}}, true, true},
		{"typed into a browser", "GET", "localhost:7669", http.Header{"Sec-Fetch-Site": {"none"}}, true, true},
		{"foreign script", "GET", "localhost:7669", http.Header{"Origin": {"https://evil.example"}}, false, false},
		{"script of another port", "GET", "localhost:7669", http.Header{"Origin": {"http://localhost:3000"}}, false, false},
		{"script of another name", "GET", "localhost:7669", http.Header{"Origin": {"http://127.0.0.1:7669"}}, false, false},
		{"origin of a file", "GET", "localhost:7669", http.Header{"Origin": {"null"}}, false, false},
		{"empty origin", "GET", "localhost:7669", http.Header{"Origin": {""}}, false, false},
		{"origin with a path", "GET", "localhost:7669", http.Header{"Origin": {"http://localhost:7669/"}}, false, false},
		{"origin of another scheme", "GET", "localhost:7669", http.Header{"Origin": {"file://localhost:7669"}}, false, false},
		{"two origins", "GET", "localhost:7669", http.Header{"Origin": {"http://localhost:7669", "http://evil.example"}}, false, false},
		{"embedded", "GET", "localhost:7669", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}, false, false},
		{"embedded by a neighbour", "GET", "localhost:7669", http.Header{"Sec-Fetch-Site": {"same-site"}}, false, false},
		{"two sites", "GET", "localhost:7669", http.Header{"Sec-Fetch-Site": {"none", "cross-site"}}, false, false},
		{"link", "GET", "localhost:7669", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}, false, true},
		{"link, rebound", "GET", "evil.example", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}, false, false},
		{"frame", "GET", "localhost:7669", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}}, false, false},
		{"foreign form", "POST", "localhost:7669", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}, false, false},
	} {
		r := httptest.NewRequest(c.method, "/", nil)
		r.Host, r.RemoteAddr = c.host, "127.0.0.1:40000"
		if c.header != nil {
			r.Header = c.header
		}
		if got := d.admits(r); got != c.nix {
			t.Errorf("%s: admits = %v", c.name, got)
		}
		if got := d.admitsPage(r); got != c.page {
			t.Errorf("%s: admitsPage = %v", c.name, got)
		}
	}
}

// TestDoorClients: a socket that systemd handed over may be reached from
// elsewhere; the pages may not.
func TestDoorClients(t *testing.T) {
	d := newDoor(nil)
	for client, want := range map[string]bool{
		"127.0.0.1:40000": true, "127.8.9.1:40000": true, "[::1]:40000": true, "[::ffff:127.0.0.1]:40000": true,
		"192.0.2.1:40000": false, "[2001:db8::1]:40000": false, "[fe80::1%eth0]:40000": false, "0.0.0.0:1": false, "@": false, "": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host, r.RemoteAddr = "127.0.0.1:7669", client
		if got := d.admitsPage(r); got != want {
			t.Errorf("%q: admitsPage = %v", client, got)
		}
	}
}
