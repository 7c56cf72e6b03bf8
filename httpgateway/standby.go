package httpgateway

import (
	"bytes"
	"fmt"
	"net/http"
)

// Standby answers while there is no node to ask: nix-cache-info as ever, 404 to
// Nix's other questions, and pages. It uses Hosts and Page of the options.
//
// Each of its answers ends the connection, so that the next question finds the
// node if that is back.
func Standby(o Options) http.Handler {
	d := newDoor(o.Hosts)
	page := o.Page
	if page == nil {
		page = http.HandlerFunc(smallPage)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		switch t := parseTarget(r.URL.Path); {
		case t.kind != kindPage:
			if !d.admits(r) {
				writeNotFound(w, textForeign)
				return
			}
			writeEmpty(w, r, t, textStandby)
		case d.admitsPage(r):
			page.ServeHTTP(w, r)
		default:
			writeText(w, http.StatusForbidden, textForeign)
		}
	})
}

// AsksCacheInfo reports whether a request that begins like this asks for
// nix-cache-info.
func AsksCacheInfo(begin []byte) bool {
	line, _, _ := bytes.Cut(begin, []byte("\r\n"))
	method, rest, _ := bytes.Cut(line, []byte(" "))
	path, _, whole := bytes.Cut(rest, []byte(" "))
	return whole && (string(method) == http.MethodGet || string(method) == http.MethodHead) && parseTarget(string(path)).kind == kindCacheInfo
}

// StandbyReply is what Standby answers to a request that somebody else has read
// and did not come to answer: whether that asked for nix-cache-info is info. A
// client that asked by HEAD drops what comes behind the head.
func StandbyReply(info bool) []byte {
	if info {
		return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/x-nix-cache-info\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(cacheInfo), cacheInfo)
	}
	return []byte("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}
