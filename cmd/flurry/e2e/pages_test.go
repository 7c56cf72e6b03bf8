package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/report"
)

// page asks the gateway for a page as a browser does that calls the gateway host.
func (p *process) page(path, host string) (status int, text string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.gateway+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	if host != "" {
		req.Host = host
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// TestPages: a running daemon shows itself and what it publishes, to nobody whose name for it is another's, and no page says
// what was asked.
func TestPages(t *testing.T) {
	paths := small(t, "pages")
	root := paths[len(paths)-1]
	p := daemon(t, "publisher")
	var made report.New
	p.must(&made, "new", "acme-1")
	p.must(nil, "publish", "acme-1", root.String())
	p.page("/"+root.Hash().String()+".narinfo", "")
	for path, want := range map[string]string{
		"/":                              ">acme-1</a>",
		"/peers":                         "This node",
		"/ns/acme-1/":                    made.Address,
		"/why/" + root.Hash().String():   ">HERE<",
		"/why?path=" + root.String()[1:]: "",
		"/health":                        `{"status":"ok","reasons":[]}`,
		"/metrics":                       "flurry_namespace_paths{namespace=\"acme-1\"} 21",
	} {
		status, text := p.page(path, "")
		if want != "" && (status != http.StatusOK || !strings.Contains(strings.ReplaceAll(text, "&#43;", "+"), want)) {
			t.Errorf("%s: %d\n%s", path, status, text)
		}
		if strings.Contains(text, "was told") && strings.Contains(text, "asked at") {
			t.Errorf("%s says what was asked:\n%s", path, text)
		}
		if status, text := p.page(path, "rebound.example:7669"); status != http.StatusForbidden || strings.Contains(text, "acme") {
			t.Errorf("%s for another's name: %d %s", path, status, text)
		}
	}
	if status, text := p.page("/ns/acme-1/nix-cache-info", ""); status != http.StatusOK || !strings.Contains(text, "StoreDir: /nix/store") {
		t.Errorf("a namespace's own cache: %d %s", status, text)
	}
}
