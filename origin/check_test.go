package origin_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/origin"
)

// TestCheck: what a cache says of itself, and what is none.
func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name, text string
		status     int
		says       string // in an error that wraps ErrAbsent; empty: it is a cache
	}{
		{"cache.nixos.org's", "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 40\n", 200, ""},
		{"without a newline", "Priority: 40\nStoreDir:/nix/store", 200, ""},
		{"of another store", "StoreDir: /gnu/store\n", 200, `is a cache for "/gnu/store"`},
		{"of a store below it", "StoreDir: /nix/store/x\n", 200, `is a cache for "/nix/store/x"`},
		{"a page", "<html>Welcome</html>", 200, "is that of no cache"},
		{"nothing", "", 200, "is that of no cache"},
		{"no such file", "StoreDir: /nix/store\n", 404, "HTTP 404"},
		{"a bucket that is closed", "StoreDir: /nix/store\n", 403, "HTTP 403"},
		{"without an end", strings.Repeat("x", 1<<22) + "\nStoreDir: /nix/store\n", 200, "is that of no cache"},
	} {
		o := cache(t, "/base", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/base/nix-cache-info" {
				t.Errorf("%s: %s was asked for", test.name, r.URL)
			}
			w.WriteHeader(test.status)
			io.WriteString(w, test.text)
		})
		err := o.Check(t.Context())
		if test.says == "" && err != nil || test.says != "" && (!errors.Is(err, origin.ErrAbsent) || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	o := cache(t, "", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if err := o.Check(t.Context()); err == nil || errors.Is(err, origin.ErrAbsent) {
		t.Errorf("one that breaks off: %v", err)
	}
}
