package control

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/report"
)

// TestMisunderstood: a request that is not as written is refused, and nothing is done.
func TestMisunderstood(t *testing.T) {
	f := &fake{}
	socket := serve(t, f, self())
	for _, test := range []struct{ method, path, body, says string }{
		{"POST", "/v1/use", ``, "EOF"},
		{"POST", "/v1/use", `{`, "unexpected EOF"},
		{"POST", "/v1/use", `nonsense`, "invalid character"},
		{"POST", "/v1/use", `{"namespace":7}`, "cannot unmarshal number"},
		{"POST", "/v1/use", `{"namespaces":"x"}`, "unknown field"},
		{"POST", "/v1/use", `{"namespace":"x"}{"namespace":"y"}`, "more follows"},
		{"POST", "/v1/use", `{"namespace":"x"} x`, "more follows"},
		{"POST", "/v1/use", `["x"]`, "cannot unmarshal array"},
		{"POST", "/v1/publish", `{"keep":"1h"}`, "cannot unmarshal string"},
		{"GET", "/v1/status?peer=true", ``, "unknown parameter"},
		{"GET", "/v1/status?peers=perhaps", ``, "peers is true or false"},
		{"GET", "/v1/status?%zz", ``, "invalid URL escape"},
	} {
		f.asked = nil
		status, body := raw(t, socket, test.method, test.path, test.body)
		var answer struct{ Error report.Problem }
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Errorf("%s %s: %s", test.path, test.body, body)
			continue
		}
		if p := answer.Error; status != 400 || p.ID != "bad-request" || p.Exit != report.ExitUsage || !strings.Contains(p.Message, test.says) {
			t.Errorf("%s %s: %d %s", test.path, test.body, status, body)
		}
		if f.asked != nil {
			t.Errorf("%s %s: the daemon was asked %#v", test.path, test.body, f.asked)
		}
	}
	for path, want := range map[string]int{"/v1/nothing": 404, "/": 404, "/v1/use": 405, "/v1/why/": 404} {
		if status, _ := raw(t, socket, "GET", path, ""); status != want {
			t.Errorf("GET %s: %d, not %d", path, status, want)
		}
	}
	if status, _ := raw(t, socket, "POST", "/v1/status", ""); status != 405 {
		t.Errorf("POST /v1/status: %d", status)
	}
}

// TestUnknownVerb: a client that is newer than its daemon says so.
func TestUnknownVerb(t *testing.T) {
	c := Dial(serve(t, &fake{}, self()))
	_, err := get[report.Status](t.Context(), c, "later", nil)
	if p := problemOf(err); p.ID != "bad-request" || !strings.Contains(p.Message, "GET /v1/later (404 Not Found)") {
		t.Errorf("%#v", err)
	}
}

// TestRequestSize tries the longest request and one byte more.
func TestRequestSize(t *testing.T) {
	f := &fake{}
	socket := serve(t, f, self())
	body := func(n int) string {
		const start, end = `{"namespace":"x"`, `}`
		return start + strings.Repeat(" ", n-len(start)-len(end)) + end
	}
	if status, answer := raw(t, socket, "POST", "/v1/leave", body(maxRequest)); status != 200 {
		t.Errorf("the longest request: %d %s", status, answer)
	}
	f.asked = nil
	if status, answer := raw(t, socket, "POST", "/v1/leave", body(maxRequest+1)); status != 400 || !strings.Contains(answer, "too large") || f.asked != nil {
		t.Errorf("a longer one: %d %s", status, answer)
	}
}

// TestHeadSize: a head without end is not read to its end.
func TestHeadSize(t *testing.T) {
	c, err := net.Dial("unix", serve(t, &fake{}, self()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /v1/why/"+strings.Repeat("x", 2*maxHeader)); err != nil {
		t.Fatal(err)
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if !strings.HasPrefix(answer, "HTTP/1.1 431 ") {
		t.Errorf("%q, %v", answer, err)
	}
}

// TestUnspeakable: an answer that JSON has no words for is an error, not half an answer.
func TestUnspeakable(t *testing.T) {
	w := httptest.NewRecorder()
	newReply(w).end(map[string]any{"x": func() {}}, nil)
	var answer struct{ Error report.Problem }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Error.ID != "failed" || w.Code != 500 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// FuzzRequest sends anything: the answer is JSON lines, or the mux's own refusal.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "status?peers=true", "")
	f.Add("GET", "why/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz?closure=1", "")
	f.Add("GET", "namespaces/acme-1%3Ax%2F+?glob=*", "")
	f.Add("POST", "publish", `{"namespace":"n","paths":["/nix/store/x"],"keep":1}`)
	f.Add("POST", "new", `{"name":"n","share":"lan"}`)
	f.Fuzz(func(t *testing.T, method, path, body string) {
		r, err := http.NewRequest(method, "http://x/v1/"+path, strings.NewReader(body))
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		newHandler(&fake{}, self()).ServeHTTP(w, r)
		if w.Header().Get("Content-Type") != "application/x-ndjson" {
			if w.Code < 300 {
				t.Fatalf("%d %q", w.Code, w.Body)
			}
			return
		}
		for i, line := range strings.Split(strings.TrimSuffix(w.Body.String(), "\n"), "\n") {
			if !json.Valid([]byte(line)) {
				t.Fatalf("line %d: %q", i, line)
			}
		}
	})
}
