package httpgateway

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"
)

func TestAsksCacheInfo(t *testing.T) {
	for begin, want := range map[string]bool{
		"GET /nix-cache-info HTTP/1.1\r\nHost: x\r\n":                true,
		"HEAD /nix-cache-info HTTP/1.1\r\n":                          true,
		"GET /ns/acme-1/nix-cache-info HTTP/1.1\r\n":                 true,
		"GET /nix-cache-info HTTP/1.1":                               true,
		"PUT /nix-cache-info HTTP/1.1\r\n":                           false,
		"GET /nix-cache-in":                                          false,
		"GET / HTTP/1.1\r\nReferer: /nix-cache-info \r\n":            false,
		"GET /hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh.narinfo HTTP/1.1\r\n": false,
		"":     false,
		"\r\n": false,
	} {
		if got := AsksCacheInfo([]byte(begin)); got != want {
			t.Errorf("%q: %v", begin, got)
		}
	}
}

// TestStandbyReply: what is said in a node's place is an answer that clients understand, and the same nix-cache-info.
func TestStandbyReply(t *testing.T) {
	for info, status := range map[bool]int{true: http.StatusOK, false: http.StatusNotFound} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(StandbyReply(info))), &http.Request{Method: method})
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != status || !resp.Close {
				t.Errorf("%s, %v: %s, %v", method, info, resp.Status, err)
			}
			if method == http.MethodGet && info && string(body) != cacheInfo {
				t.Errorf("%q", body)
			}
		}
	}
}
