package e2e

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/flurry-nix/flurry/nix"
)

// oddity is one path of an HTTP cache that does something in a way of its own, and what Nix is to be told of it.
type oddity struct {
	name  string
	size  int                                      // of the file in the NAR; 0: a thousand
	info  func(i *nix.NarInfo)                     // before it is signed
	text  func(text string) string                 // after it is signed
	ask   func(w http.ResponseWriter, text string) // answers for the narinfo; nil: as it should
	nar   func(w http.ResponseWriter, r *http.Request, raw []byte)
	told  bool // Nix is told of the path
	given bool // and given the NAR
}

func packed(raw []byte, format string) []byte {
	var b bytes.Buffer
	var w io.WriteCloser
	switch format {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		w, _ = zstd.NewWriter(&b) // there are no options that could be wrong
	}
	w.Write(raw)
	w.Close()
	return b.Bytes()
}

func oddities() []oddity {
	as := func(format string) func(http.ResponseWriter, *http.Request, []byte) {
		return func(w http.ResponseWriter, _ *http.Request, raw []byte) { w.Write(packed(raw, format)) }
	}
	compression := func(c string) func(*nix.NarInfo) { return func(i *nix.NarInfo) { i.Compression = c } }
	line := func(old, new string) func(string) string {
		return func(text string) string { return strings.Replace(text, old, new, 1) }
	}
	status := func(code int, body string) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, _ string) { w.WriteHeader(code); io.WriteString(w, body) }
	}
	const page = "<!DOCTYPE html>\n<html><body>Log in: here</body></html>\n"
	return []oddity{
		{name: "nothing odd", told: true, given: true},
		{name: "zstd, and neither FileHash nor FileSize", info: compression("zstd"), nar: as("zstd"), told: true, given: true},
		{name: "gzip", info: compression("gzip"), nar: as("gzip"), told: true, given: true},
		{name: "br", info: compression("br"), nar: as("br"), told: true, given: true},
		{name: "a FileSize that is wrong", text: line("NarHash:", "FileHash: sha256:"+strings.Repeat("0", 52)+"\nFileSize: 3\nNarHash:"), told: true, given: true},
		{name: "a query in the URL", info: func(i *nix.NarInfo) { i.URL = "nar/snix-castore/x?narsize=1&h=%2f" }, told: true, given: true},
		{name: "a Deriver that is not known", text: line("Sig:", "Deriver: unknown-deriver\nSig:"), told: true, given: true},
		{name: "lines that nobody knows", text: line("URL:", "Provenance: {\"a\": \"b: c\"}\nSystem: x\nURL:"), told: true, given: true},
		{name: "signatures that are none", text: line("Sig:", "Sig: x\nSig: cache.odd-1:AAAA\nSig:"), told: true, given: true},
		{name: "Content-Encoding of a NAR", nar: func(w http.ResponseWriter, _ *http.Request, raw []byte) {
			w.Header().Set("Content-Encoding", "zstd")
			w.Write(packed(raw, "zstd"))
		}, told: true, given: true},
		{name: "Content-Encoding of a narinfo", ask: func(w http.ResponseWriter, text string) {
			w.Header().Set("Content-Encoding", "br")
			w.Write(packed([]byte(text), "br"))
		}, told: true, given: true},
		{name: "a redirect of a NAR", nar: func(w http.ResponseWriter, r *http.Request, raw []byte) {
			if r.URL.Query().Get("signed") == "" {
				http.Redirect(w, r, r.URL.Path+"?signed=x", http.StatusTemporaryRedirect)
				return
			}
			w.Write(raw)
		}, told: true, given: true},
		{name: "redirects for ever", nar: func(w http.ResponseWriter, r *http.Request, _ []byte) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}, told: true},
		{name: "403 for absent", ask: status(403, "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>")},
		{name: "401", ask: status(401, "")},
		{name: "an HTML error page", ask: status(404, page)},
		{name: "an HTML page that says that all is well", ask: status(200, page)},
		{name: "nothing, and 204", ask: status(204, "")},
		{name: "a narinfo of another path", text: line("-odd", "-even")},
		{name: "a narinfo cut off", text: func(s string) string { return s[:len(s)-30] }},
		{name: "a narinfo with CRLF", text: func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }},
		{name: "a narinfo with two NarHashes", text: line("NarSize:", "NarHash: sha256:"+strings.Repeat("0", 52)+"\nNarSize:")},
		{name: "a NarSize that was not signed", text: line("NarSize: ", "NarSize: 1")},
		{name: "References that were not signed", text: line("References: ", "References: "+strings.Repeat("0", 32)+"-x")},
		{name: "a URL elsewhere", text: line("URL: ", "URL: http://127.0.0.1:1/")},
		{name: "a URL of a file", text: line("URL: ", "URL: file:///")},
		{name: "a URL that climbs", text: line("URL: ", "URL: ../")},
		{name: "a NAR that is not there", nar: func(w http.ResponseWriter, r *http.Request, _ []byte) { http.NotFound(w, r) }, told: true},
		{name: "a NAR that is a page", nar: func(w http.ResponseWriter, _ *http.Request, _ []byte) { io.WriteString(w, page) }, told: true},
		{name: "a NAR cut off", size: 3_000_000, nar: func(w http.ResponseWriter, _ *http.Request, raw []byte) {
			w.Header().Set("Content-Length", fmt.Sprint(len(raw)))
			w.Write(raw[:len(raw)/2])
		}, told: true},
		{name: "a NAR that ends early, and well", size: 3_000_000, nar: func(w http.ResponseWriter, _ *http.Request, raw []byte) { w.Write(raw[:len(raw)-1]) }, told: true},
		{name: "a NAR with something behind it", nar: func(w http.ResponseWriter, _ *http.Request, raw []byte) { w.Write(append(raw, 0)) }, told: true},
		{name: "a small NAR with another hash", nar: func(w http.ResponseWriter, _ *http.Request, raw []byte) {
			raw[len(raw)/2] ^= 1
			w.Write(raw)
		}, told: true},
		{name: "a large NAR with another hash", size: 3_000_000, nar: func(w http.ResponseWriter, _ *http.Request, raw []byte) {
			raw[len(raw)-1000] ^= 1
			w.Write(raw)
		}, told: true},
		{name: "a NAR that is compressed otherwise than is said", info: compression("zstd"), nar: as("gzip"), told: true},
		{name: "a NAR that is compressed twice", info: compression("zstd"), nar: func(w http.ResponseWriter, _ *http.Request, raw []byte) { w.Write(packed(packed(raw, "zstd"), "zstd")) }, told: true},
		{name: "a bomb", info: compression("gzip"), nar: func(w http.ResponseWriter, _ *http.Request, raw []byte) {
			w.Write(packed(append(raw, make([]byte, 64<<20)...), "gzip"))
		}, told: true},
		{name: "a compression that nobody knows", text: line("Compression: none", "Compression: wibble")},
		{name: "a compression that flurry does not read", info: compression("lzip")},
	}
}

// TestOddities: an HTTP cache of the test's own that does everything in which caches differ, and everything that they do wrong, behind a gateway: what is
// signed and can be had is given, and of all else Nix is told 404, at once, or a NAR breaks off and is not there then; never anything else.
func TestOddities(t *testing.T) {
	key, err := nix.NewSecretKey("cache.odd-1", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	all := oddities()
	nars := make([][]byte, len(all))
	texts := make([]string, len(all))
	byHash, byURL := make(map[string]int), make(map[string]int)
	for k, o := range all {
		if o.size == 0 {
			o.size = 1000
		}
		data := make([]byte, o.size)
		mathrand.NewChaCha8(sha256.Sum256([]byte(o.name))).Read(data)
		var nar bytes.Buffer
		if err := (&nix.NarNode{Type: 'f', Data: data}).WriteNar(&nar); err != nil {
			t.Fatal(err)
		}
		p, err := nix.ParseStorePath(fmt.Sprintf("/nix/store/%032d-odd", k+1))
		if err != nil {
			t.Fatal(err)
		}
		i := &nix.NarInfo{StorePath: p, URL: fmt.Sprintf("nar/%d.nar", k), Compression: "none", NarHash: sha256.Sum256(nar.Bytes()), NarSize: uint64(nar.Len())}
		if o.info != nil {
			o.info(i)
		}
		i.Sigs = []nix.Signature{key.Sign(i.Fingerprint())}
		nars[k], texts[k] = nar.Bytes(), string(i.AppendText(nil))
		if o.text != nil {
			texts[k] = o.text(texts[k])
		}
		path, _, _ := strings.Cut(i.URL, "?")
		byHash["/"+p.Hash().String()+".narinfo"], byURL["/"+path] = k, k
	}
	var strange atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/nix-cache-info" {
			io.WriteString(w, "StoreDir: /nix/store\n")
			return
		}
		if k, ok := byHash[r.URL.Path]; ok {
			if all[k].ask != nil {
				all[k].ask(w, texts[k])
				return
			}
			io.WriteString(w, texts[k])
			return
		}
		k, ok := byURL[r.URL.Path]
		switch raw := []byte(nil); {
		case !ok:
			strange.Add(1)
			http.NotFound(w, r)
		case all[k].nar != nil:
			all[k].nar(w, r, append(raw, nars[k]...))
		default:
			w.Write(nars[k])
		}
	}))
	t.Cleanup(s.Close)
	g := daemon(t, "gateway")
	g.must(nil, "use", key.Public().String(), "--origin", s.URL)
	g.afterGrace()
	get := func(path string) (int, []byte, error) {
		a, err := http.Get(g.gateway + path)
		if err != nil {
			return 0, nil, err
		}
		defer a.Body.Close()
		body, err := io.ReadAll(a.Body)
		return a.StatusCode, body, err
	}
	for k, o := range all {
		began := time.Now()
		status, text, err := get(fmt.Sprintf("/%032d.narinfo", k+1))
		if took := time.Since(began); took > wanBudget+slack {
			t.Errorf("%s: the narinfo took %v", o.name, took)
		}
		if err != nil || o.told != (status == http.StatusOK) || !o.told && status != http.StatusNotFound {
			t.Errorf("%s: narinfo: %d, %v\n%s", o.name, status, err, text)
		}
		if !o.told || status != http.StatusOK {
			continue
		}
		info, err := nix.ParseNarInfo(text)
		if err != nil || info.Compression != "none" || info.NarSize != uint64(len(nars[k])) {
			t.Errorf("%s: %v\n%s", o.name, err, text)
			continue
		}
		for range 2 {
			status, nar, err := get("/" + info.URL)
			whole := err == nil && status == http.StatusOK && bytes.Equal(nar, nars[k])
			broke := status == http.StatusOK && err != nil && len(nar) <= len(nars[k])-64<<10 && bytes.HasPrefix(nars[k], nar)
			if whole != o.given || !whole && !broke && status != http.StatusNotFound {
				t.Errorf("%s: NAR: %d, %d of %d bytes, %v", o.name, status, len(nar), len(nars[k]), err)
			}
		}
		if status, _, err := get("/" + info.URL); !o.given && (status != http.StatusNotFound || err != nil) {
			t.Errorf("%s: the NAR, once more: %d, %v", o.name, status, err)
		}
	}
	if strange.Load() > 0 {
		t.Errorf("%d things were asked for that no narinfo names", strange.Load())
	}
}
