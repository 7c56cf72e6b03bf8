package origin_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/origin"
)

const otherHash = "1a1b2c3d4f5g6h7i8j9k0l1m2n3p4q5r"

// TestOddNarInfos: a narinfo that any reader would take for something else, that leads out of the cache, or that cannot be true, is none.
func TestOddNarInfos(t *testing.T) {
	good := narInfo("nar/snow.nar", "none", "Deriver: "+otherHash+"-snow.drv")
	bend := func(from, to string) string { return strings.Replace(good, from, to, 1) }
	url := func(u string) string { return narInfo(u, "none") }
	for name, text := range map[string]string{
		"a URL with a scheme":            url("https://evil.example/nar/x"),
		"a URL of a file":                url("file:///etc/shadow"),
		"a URL with an authority":        url("//evil.example/nar/x"),
		"a URL from the root":            url("/nar/x"),
		"a URL that climbs":              url("nar/../../x"),
		"a URL that climbs, escaped":     url("nar/%2e%2e/%2E%2e/x"),
		"a URL that climbs, all of it":   url("nar%2f..%2f..%2fx"),
		"a URL with a backslash":         url(`nar\..\x`),
		"a URL with a NUL":               url("nar/%00x"),
		"a URL with a newline":           url("nar/%0ax"),
		"another store directory":        bend("/nix/store/", "/gnu/store/"),
		"a path named .":                 bend("-snow\n", "-.\n"),
		"a path named ..":                bend("-snow\n", "-..\n"),
		"a path without a dash":          bend("-snow\n", "snow\n"),
		"a path with a slash":            bend("-snow\n", "-snow/../"+otherHash+"-x\n"),
		"a path with a long name":        bend("-snow\n", "-"+strings.Repeat("s", 212)+"\n"),
		"CRLF":                           strings.ReplaceAll(good, "\n", "\r\n"),
		"no newline at the end":          strings.TrimSuffix(good, "\n"),
		"a blank line":                   bend("URL: ", "\nURL: "),
		"two StorePaths":                 bend("URL: ", "StorePath: "+path+"\nURL: "),
		"two NarHashes":                  bend("NarSize: ", "NarHash: sha256:"+strings.Repeat("0", 52)+"\nNarSize: "),
		"two NarSizes":                   bend("NarSize: ", "NarSize: 1\nNarSize: "),
		"two URLs":                       bend("URL: ", "URL: nar/other\nURL: "),
		"two References":                 bend("References: ", "References: "+otherHash+"-x\nReferences: "),
		"two CAs":                        good + "CA: fixed:r:sha256:" + strings.Repeat("0", 52) + "\nCA: fixed:r:sha256:" + strings.Repeat("0", 52) + "\n",
		"no NarHash":                     bend("NarHash: ", "X: "),
		"a NarHash that is no SHA-256":   bend("NarHash: sha256:", "NarHash: sha512:"),
		"a NarSize of 0":                 bend(fmt.Sprintf("NarSize: %d", len(snow())), "NarSize: 0"),
		"a NarSize beyond all sense":     bend("NarSize: ", "NarSize: 99999999"),
		"a NarSize beyond 64 bits":       bend("NarSize: ", "NarSize: 99999999999999999"),
		"a malformed Deriver":            bend("-snow.drv", "-snow"),
		"more references than there are": bend("References: ", "References: "+strings.Repeat(otherHash+"-x ", nix.MaxReferences+1)),
		"more bytes than a narinfo has":  bend("URL: ", "X: "+strings.Repeat("x", nix.MaxNarInfo)+"\nURL: "),
		"a compression of no Nix":        narInfo("nar/snow.nar", "wibble"),
		"a page that says Key: value":    "<!DOCTYPE html>\n<title>Login: here</title>\n",
		"a page of an object store":      "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code></Error>\n",
	} {
		asked := atomic.Int64{}
		o := cache(t, "", func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); io.WriteString(w, text) })
		if info, err := o.Info(t.Context(), pathHash(t)); !errors.Is(err, origin.ErrAbsent) {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
		if asked.Load() != 1 {
			t.Errorf("%s: %d questions", name, asked.Load())
		}
	}
}

// TestOddSignatures: signatures that would make a client fail are left out, and of very many most are; what is signed is for the caller to check.
func TestOddSignatures(t *testing.T) {
	const sig = "8ijECciSFzWHwwGVOIVYdp2fOIOJAfmzGHPQVwpktfTQJF6kMPPDre7UtFw3o+VqenC5P8RikKOAAfN7CvPEAg=="
	odd := []string{"Sig: ", "Sig: nocolon", "Sig: cache-1:", "Sig: cache-1:AAAA", "Sig: cache-1:!!!", "Sig: cache-1:" + sig + sig}
	for i := range 100 {
		odd = append(odd, fmt.Sprintf("Sig: cache-%d:%s", i, sig))
	}
	o := cache(t, "", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, narInfo("nar/snow.nar", "none", odd...))
	})
	info, err := o.Info(t.Context(), pathHash(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Sigs) != nix.MaxSigs || info.Sigs[0].Name != "cache-0" {
		t.Errorf("%d signatures, the first is %q", len(info.Sigs), info.Sigs[0].Name)
	}
}

// TestInCache: nothing is asked for outside of the cache, whatever a narinfo is made to say.
func TestInCache(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was asked for elsewhere", r.URL) }))
	defer elsewhere.Close()
	o := cache(t, "/some/cache", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/some/cache/nar/x" {
			t.Errorf("%s was asked for", r.RequestURI)
		}
	})
	for _, url := range []string{elsewhere.URL + "/nar/x", strings.TrimPrefix(elsewhere.URL, "http:") + "/some/cache/nar/x", "https://" + strings.TrimPrefix(o.String(), "http://") + "nar/x",
		"/nar/x", "/some/cachet/x", "../x", "nar/../../x", "file:///etc/passwd", "http:nar/x", "%zz", ":", "nar/\x00"} {
		if _, err := read(t, o, &nix.NarInfo{URL: url, NarSize: 1}); !errors.Is(err, origin.ErrAbsent) {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := read(t, o, &nix.NarInfo{URL: "nar/x", NarSize: 1}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("in the cache: %v", err)
	}
}

// TestOddAnswers: what an answer is, when that is neither there nor not there.
func TestOddAnswers(t *testing.T) {
	serve := func(status int, header map[string]string, body []byte) *origin.Origin {
		return cache(t, "", func(w http.ResponseWriter, _ *http.Request) {
			for k, v := range header {
				w.Header().Set(k, v)
			}
			w.WriteHeader(status)
			w.Write(body)
		})
	}
	info, err := nix.ParseNarInfo([]byte(narInfo("nar/snow.nar", "none")))
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]*origin.Origin{
		"a part of it that nobody asked for": serve(206, map[string]string{"Content-Range": fmt.Sprintf("bytes 0-%d/%d", len(snow())-1, len(snow()))}, snow()),
		"nothing, and that is well":          serve(204, nil, nil),
		"not changed":                        serve(304, nil, nil),
		"accepted":                           serve(202, nil, snow()),
		"a redirect to nowhere":              serve(302, nil, nil),
	} {
		if got, err := read(t, o, info); err == nil || errors.Is(err, origin.ErrAbsent) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if _, err := read(t, serve(http.StatusProxyAuthRequired, nil, nil), info); !errors.Is(err, origin.ErrAbsent) {
		t.Errorf("a proxy that wants a password: %v", err)
	}
	for size, taken := range map[int]bool{32 << 10: true, 100 << 10: false} {
		o := serve(200, map[string]string{"X-Long": strings.Repeat("x", size)}, snow())
		if _, err := read(t, o, info); (err == nil) != taken {
			t.Errorf("a header of %d bytes: %v", size, err)
		}
	}
}

// TestEndless: whatever goes on for ever is read no further than it can be of use.
func TestEndless(t *testing.T) {
	line := bytes.Repeat([]byte("X-Filler: "+strings.Repeat("x", 1000)+"\n"), 16)
	var packedLine, empty bytes.Buffer
	z := gzip.NewWriter(&packedLine)
	z.Write(bytes.Repeat([]byte("X-Filler: "+strings.Repeat("x", 1000)+"\n"), 1000))
	z.Close()
	gzip.NewWriter(&empty).Close()
	skipped := append([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0x40, 0, 0}, make([]byte, 0x4000)...) // a frame of zstd's that says nothing
	for _, c := range []struct {
		name, format, encoding string
		narinfo                bool
		begins, goesOn         []byte
		most                   int64 // bytes that the cache may get rid of, with what lies in buffers
	}{
		{"a narinfo", "", "", true, nil, line, 16 << 20},
		{"a narinfo, compressed", "", "gzip", true, nil, packedLine.Bytes(), 16 << 20},
		{"a NAR", "none", "", false, snow(), line, 16 << 20},
		{"a NAR, compressed", "zstd", "", false, compressed(t, "zstd"), compressed(t, "zstd"), 16 << 20},
		{"nothing before a NAR", "zstd", "", false, nil, skipped, 16 << 20},
		{"nothing behind a NAR", "zstd", "", false, compressed(t, "zstd"), skipped, 16 << 20},
		{"empty files before a NAR", "gzip", "", false, nil, empty.Bytes(), 16 << 20},
		{"empty files behind a NAR", "gzip", "", false, compressed(t, "gzip"), empty.Bytes(), 16 << 20},
		{"padding behind a NAR", "xz", "", false, compressed(t, "xz"), make([]byte, 4096), 16 << 20},
	} {
		var sent atomic.Int64
		over := make(chan struct{})
		o := cache(t, "", func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, ".narinfo") && !c.narinfo {
				io.WriteString(w, narInfo("nar/snow.nar", c.format))
				return
			}
			defer close(over)
			if c.encoding != "" {
				w.Header().Set("Content-Encoding", c.encoding)
			}
			w.Write(c.begins)
			for sent.Load() < 64<<20 {
				if _, err := w.Write(c.goesOn); err != nil {
					return
				}
				sent.Add(int64(len(c.goesOn)))
			}
		})
		began := time.Now()
		got, err := fetch(t, o)
		<-over
		if err == nil || len(got) > len(snow()) {
			t.Errorf("%s that never ends: %d bytes, %v", c.name, len(got), err)
		}
		if sent.Load() > c.most {
			t.Errorf("%s that never ends: %d bytes of it were read", c.name, sent.Load())
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s that never ends took %v", c.name, took)
		}
	}
}

// TestStacked: a file is compressed once, in the way that its narinfo says; nobody guesses.
func TestStacked(t *testing.T) {
	for _, format := range []string{"gzip", "zstd"} {
		var twice bytes.Buffer
		var w io.WriteCloser = gzip.NewWriter(&twice)
		if format == "zstd" {
			z, err := zstd.NewWriter(&twice)
			if err != nil {
				t.Fatal(err)
			}
			w = z
		}
		w.Write(compressed(t, "br"))
		w.Close()
		o := cache(t, "", func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, ".narinfo") {
				io.WriteString(w, narInfo("nar/snow.nar", format))
				return
			}
			w.Write(twice.Bytes())
		})
		if got, err := fetch(t, o); err == nil || bytes.Equal(got, snow()) {
			t.Errorf("%s of br: %d bytes, %v", format, len(got), err)
		}
	}
}

// TestRedirectBounds: as many redirects as there may be are followed, and no more, and none to where HTTP is not spoken; an error names no place that was
// redirected to, which may have a password in it.
func TestRedirectBounds(t *testing.T) {
	for redirects, followed := range map[int]bool{5: true, 6: false} {
		var asked atomic.Int64
		o := cache(t, "", func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) <= int64(redirects) {
				http.Redirect(w, r, fmt.Sprintf("/%d", asked.Load()), http.StatusSeeOther)
				return
			}
			io.WriteString(w, narInfo("nar/snow.nar", "none"))
		})
		if _, err := o.Info(t.Context(), pathHash(t)); (err == nil) != followed || errors.Is(err, origin.ErrAbsent) {
			t.Errorf("%d redirects: %v", redirects, err)
		}
	}
	asked := ""
	odd, err := origin.New("http://cache.test", origin.Options{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		asked += r.URL.Scheme + " "
		return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {"gopher://cache.test/x"}}, Body: http.NoBody, Request: r}, nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := odd.Info(t.Context(), pathHash(t)); err == nil || asked != "http " {
		t.Errorf("a redirect to gopher: %v, asked by %s", err, asked)
	}
	secret := cache(t, "", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/nar?X-Signature=secret", http.StatusFound)
	})
	if _, err := secret.Info(t.Context(), pathHash(t)); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a redirect to a place that refuses: %v", err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestConnections: however many paths are asked for at once, a cache has no more connections from here than from Nix.
func TestConnections(t *testing.T) {
	var now, most atomic.Int64
	enough := make(chan struct{})
	time.AfterFunc(time.Second/2, func() { close(enough) })
	o := cache(t, "", func(w http.ResponseWriter, _ *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		<-enough
		io.WriteString(w, narInfo("nar/snow.nar", "none"))
	})
	var all sync.WaitGroup
	for range 80 {
		all.Go(func() {
			if _, err := o.Info(t.Context(), pathHash(t)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most.Load() != 25 {
		t.Errorf("%d questions at a time", most.Load())
	}
}
