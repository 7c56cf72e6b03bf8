package origin_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/origin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// snow is the NAR in testdata, before compression.
func snow() []byte {
	text := func(b []byte, s string) []byte {
		b = append(b, byte(len(s)), byte(len(s)>>8), 0, 0, 0, 0, 0, 0)
		b = append(b, s...)
		return append(b, make([]byte, (8-len(s)%8)%8)...)
	}
	var b []byte
	for _, s := range []string{"nix-archive-1", "(", "type", "regular", "contents", strings.Repeat("flurry is a swarm of snowflakes\n", 2000), ")"} {
		b = text(b, s)
	}
	return b
}

// compressed is snow in a format.
func compressed(t testing.TB, format string) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch format {
	case "none", "":
		return snow()
	case "xz", "bzip2":
		raw, err := os.ReadFile("testdata/snow.nar." + format)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	case "gzip":
		w = gzip.NewWriter(&b)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	default:
		t.Fatalf("no %s here", format)
	}
	w.Write(snow())
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const (
	hash = "0a1b2c3d4f5g6h7i8j9k0l1m2n3p4q5r"
	path = "/nix/store/" + hash + "-snow"
)

func pathHash(t testing.TB) nix.PathHash {
	t.Helper()
	h, err := nix.ParsePathHash(hash)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// narInfo is the text of a narinfo for snow, with further lines.
func narInfo(url, compression string, more ...string) string {
	s := "StorePath: " + path + "\nURL: " + url + "\nCompression: " + compression + "\n"
	for _, line := range more {
		s += line + "\n"
	}
	return s + fmt.Sprintf("NarHash: sha256:%x\nNarSize: %d\nReferences: \n", sha256.Sum256(snow()), len(snow()))
}

// cache is a server of the test's own, and an Origin that asks it. suffix is added to its URL.
func cache(t testing.TB, suffix string, answer http.HandlerFunc) *origin.Origin {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return at(t, s.URL+suffix)
}

func at(t testing.TB, url string) *origin.Origin {
	t.Helper()
	o, err := origin.New(url, origin.Options{UserAgent: "flurry/test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

// fetch asks for the narinfo and reads the NAR.
func fetch(t testing.TB, o *origin.Origin) ([]byte, error) {
	t.Helper()
	info, err := o.Info(t.Context(), pathHash(t))
	if err != nil {
		return nil, fmt.Errorf("narinfo: %w", err)
	}
	return read(t, o, info)
}

func read(t testing.TB, o *origin.Origin, info *nix.NarInfo) ([]byte, error) {
	t.Helper()
	r, err := o.Nar(t.Context(), info)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// TestEveryFormat: with a narinfo that says as much as it has to, and in caches below a path or with a query for Nix.
func TestEveryFormat(t *testing.T) {
	for _, format := range []string{"none", "zstd", "xz", "gzip", "bzip2", "br"} {
		for _, base := range []string{"", "/", "/some/cache", "/some/cache/?priority=40&trusted=1"} {
			o := cache(t, base, func(w http.ResponseWriter, r *http.Request) {
				prefix, _, _ := strings.Cut(strings.TrimSuffix(base, "/"), "/?")
				switch r.RequestURI {
				case prefix + "/" + hash + ".narinfo":
					io.WriteString(w, narInfo("nar/snow?narsize=3&x=%2f", format))
				case prefix + "/nar/snow?narsize=3&x=%2f":
					if r.Header.Get("User-Agent") != "flurry/test" || r.Header.Get("Accept-Encoding") != "identity" {
						t.Errorf("asked with %v", r.Header)
					}
					w.Write(compressed(t, format))
				default:
					t.Errorf("%s was asked for", r.RequestURI)
					http.NotFound(w, r)
				}
			})
			if got, err := fetch(t, o); err != nil || !bytes.Equal(got, snow()) {
				t.Errorf("%s at %q: %d bytes, %v", format, base, len(got), err)
			}
			if sent := uint64(len(narInfo("nar/snow?narsize=3&x=%2f", format)) + len(compressed(t, format))); o.Received() != sent {
				t.Errorf("%s at %q: %d bytes are counted, %d were sent", format, base, o.Received(), sent)
			}
		}
	}
}

// TestEncoded: some servers compress once more what they are asked for as it is, and say so in the header.
func TestEncoded(t *testing.T) {
	for _, encoding := range []string{"gzip", "br", "zstd"} {
		o := cache(t, "", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", encoding)
			if strings.HasSuffix(r.URL.Path, ".narinfo") {
				var b bytes.Buffer
				switch encoding {
				case "gzip":
					z := gzip.NewWriter(&b)
					io.WriteString(z, narInfo("nar/snow.nar", "none"))
					z.Close()
				case "br":
					z := brotli.NewWriter(&b)
					io.WriteString(z, narInfo("nar/snow.nar", "none"))
					z.Close()
				case "zstd":
					z, _ := zstd.NewWriter(&b)
					io.WriteString(z, narInfo("nar/snow.nar", "none"))
					z.Close()
				}
				w.Write(b.Bytes())
				return
			}
			w.Write(compressed(t, encoding))
		})
		if got, err := fetch(t, o); err != nil || !bytes.Equal(got, snow()) {
			t.Errorf("%s: %d bytes, %v", encoding, len(got), err)
		}
	}
}

// TestInfoOutcomes: what a cache says is "not here", or "does not work now", or an answer.
func TestInfoOutcomes(t *testing.T) {
	good := narInfo("nar/snow.nar", "zstd")
	other := strings.Replace(good, hash, strings.Repeat("1", 32), 1)
	page := "<!DOCTYPE html><html><body>Welcome to the hotel's network</body></html>\n"
	var status *origin.StatusError
	for _, c := range []struct {
		name   string
		status int
		body   string
		absent bool // else: it does not work
		found  bool
	}{
		{"there", 200, good, false, true},
		{"not there", 404, "404", true, false},
		{"gone", 410, "", true, false},
		{"an object store's way to say absent", 403, "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", true, false},
		{"no password", 401, "", true, false},
		{"a captive portal", 200, page, true, false},
		{"an error page", 404, page, true, false},
		{"nothing", 200, "", true, false},
		{"another path", 200, other, true, false},
		{"cut off", 200, good[:len(good)-20], true, false},
		{"an absolute URL", 200, narInfo("http://127.0.0.1/nar/x", "none"), true, false},
		{"a way out", 200, narInfo("../../secret", "none"), true, false},
		{"a way out, escaped", 200, narInfo("nar/%2e%2e/%2e%2e/secret", "none"), true, false},
		{"a NAR of nothing", 200, strings.Replace(good, "NarSize: ", "NarSize: 0", 1), true, false},
		{"broken", 500, "oops", false, false},
		{"overloaded", 503, page, false, false},
		{"too many questions", 429, "", false, false},
		{"a status nobody uses", 418, "", false, false},
	} {
		o := cache(t, "", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			io.WriteString(w, c.body)
		})
		info, err := o.Info(t.Context(), pathHash(t))
		switch {
		case c.found:
			if err != nil || info.StorePath.String() != path {
				t.Errorf("%s: %+v, %v", c.name, info, err)
			}
		case errors.Is(err, origin.ErrAbsent) != c.absent || err == nil:
			t.Errorf("%s: %v", c.name, err)
		case !c.absent && !errors.As(err, &status):
			t.Errorf("%s: %v does not say what the status was", c.name, err)
		}
	}
}

// TestNarOutcomes: what is read of a NAR is all of it, and what it should be as long as, or an error.
func TestNarOutcomes(t *testing.T) {
	whole := snow()
	for _, c := range []struct {
		name, format string
		serve        http.HandlerFunc
		want         string // of the error
	}{
		{"cut off", "none", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
			w.Write(whole[:len(whole)/2])
		}, "unexpected EOF"},
		{"short, and well ended", "none", func(w http.ResponseWriter, _ *http.Request) { w.Write(whole[:len(whole)-1]) }, "unexpected EOF"},
		{"long", "none", func(w http.ResponseWriter, _ *http.Request) { w.Write(append(bytes.Clone(whole), 0)) }, "longer than"},
		{"long when decompressed", "zstd", func(w http.ResponseWriter, _ *http.Request) {
			w.Write(compressed(t, "zstd"))
			w.Write(compressed(t, "zstd"))
		}, "longer than"},
		{"compressed, and cut off", "xz", func(w http.ResponseWriter, _ *http.Request) { w.Write(compressed(t, "xz")[:150]) }, "truncated"},
		{"not what it says", "zstd", func(w http.ResponseWriter, _ *http.Request) { w.Write(compressed(t, "xz")) }, "magic"},
		{"noise behind it", "zstd", func(w http.ResponseWriter, _ *http.Request) { w.Write(append(compressed(t, "zstd"), "noise!"...)) }, "magic"},
		{"a page", "zstd", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>sorry</html>") }, "magic"},
		{"gone meanwhile", "zstd", http.NotFound, "not in the cache"},
		{"reset", "none", func(w http.ResponseWriter, _ *http.Request) {
			w.Write(whole[:1000])
			panic(http.ErrAbortHandler)
		}, "EOF"},
		{"a compression nobody uses", "lzip", func(w http.ResponseWriter, _ *http.Request) { w.Write(whole) }, "none that flurry reads"},
		{"an encoding nobody uses", "none", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "compress")
			w.Write(whole)
		}, "none that flurry reads"},
	} {
		o := cache(t, "", func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, ".narinfo") {
				io.WriteString(w, narInfo("nar/snow.nar", c.format))
				return
			}
			c.serve(w, r)
		})
		if _, err := fetch(t, o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
}

// TestBrokenAtOnce: a file that breaks off before its first bytes is not one that is not there.
func TestBrokenAtOnce(t *testing.T) {
	for _, format := range []string{"gzip", "xz", "zstd", "none"} {
		o := cache(t, "", func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, ".narinfo") {
				io.WriteString(w, narInfo("nar/snow", format))
				return
			}
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush() // or it would break before the answer
			panic(http.ErrAbortHandler)
		})
		if _, err := fetch(t, o); err == nil || errors.Is(err, origin.ErrAbsent) {
			t.Errorf("%s: %v", format, err)
		}
	}
}

// TestHearsay: nobody signs FileHash and FileSize, so they are not believed either way.
func TestHearsay(t *testing.T) {
	for _, lines := range [][]string{nil, {"FileSize: 1"}, {"FileHash: sha256:" + strings.Repeat("0", 52), "FileSize: 12345678"}, {"Deriver: unknown-deriver"}} {
		o := cache(t, "", func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, ".narinfo") {
				io.WriteString(w, narInfo("nar/snow.nar.zst", "zstd", lines...))
				return
			}
			w.Write(compressed(t, "zstd"))
		})
		if got, err := fetch(t, o); err != nil || !bytes.Equal(got, snow()) {
			t.Errorf("%q: %d bytes, %v", lines, len(got), err)
		}
	}
}

// TestRedirects: some are followed, elsewhere too, and the password stays at home.
func TestRedirects(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, has := r.BasicAuth(); has {
			t.Error("the password went elsewhere")
		}
		if r.Header.Get("Referer") != "" {
			t.Errorf("elsewhere is told of %s", r.Header.Get("Referer"))
		}
		w.Write(compressed(t, "zstd"))
	}))
	defer elsewhere.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
			t.Errorf("%s is asked for by %q with %q", r.URL, user, password)
		}
		switch r.URL.Path {
		case "/" + hash + ".narinfo":
			http.Redirect(w, r, "/v2"+r.URL.Path, http.StatusMovedPermanently)
		case "/v2/" + hash + ".narinfo":
			io.WriteString(w, narInfo("nar/snow.nar.zst", "zstd"))
		case "/nar/snow.nar.zst":
			http.Redirect(w, r, elsewhere.URL+"/signed?x=1", http.StatusTemporaryRedirect)
		}
	}))
	defer s.Close()
	o := at(t, strings.Replace(s.URL, "http://", "http://me:secret@", 1))
	if got, err := fetch(t, o); err != nil || !bytes.Equal(got, snow()) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if strings.Contains(o.String(), "secret") {
		t.Errorf("%s says the password", o)
	}

	loop := cache(t, "", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) })
	if _, err := loop.Info(t.Context(), pathHash(t)); err == nil || errors.Is(err, origin.ErrAbsent) || !strings.Contains(err.Error(), "redirects") {
		t.Errorf("a loop of redirects: %v", err)
	}
	file := cache(t, "", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "file:///etc/passwd")
		w.WriteHeader(http.StatusFound)
	})
	if _, err := file.Info(t.Context(), pathHash(t)); err == nil {
		t.Error("a redirect to a file was followed")
	}
}

// TestTLS: a certificate that nobody vouches for is refused, and so is a way from https to http.
func TestTLS(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { t.Error("asked in plain text") }))
	defer plain.Close()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, plain.URL, http.StatusFound) }))
	defer s.Close()
	s.Config.ErrorLog = nil
	if _, err := at(t, s.URL).Info(t.Context(), pathHash(t)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
	o, err := origin.New(s.URL, origin.Options{Transport: s.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Info(t.Context(), pathHash(t)); err == nil || !strings.Contains(err.Error(), "redirected from https to http") {
		t.Errorf("a redirect from https to http: %v", err)
	}
}

// TestAskerLeaves: whoever has enough gets away at once.
func TestAskerLeaves(t *testing.T) {
	release := make(chan struct{})
	o := cache(t, "", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".narinfo") {
			io.WriteString(w, narInfo("nar/snow.nar", "none"))
			return
		}
		w.Write(snow()[:1000])
		w.(http.Flusher).Flush()
		<-release
	})
	defer close(release)
	info, err := o.Info(t.Context(), pathHash(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := o.Nar(ctx, info)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("after leaving: %v", err)
	}
}

func TestNew(t *testing.T) {
	for _, bad := range []string{"", "cache.nixos.org", "s3://bucket", "file:///srv/cache", "http://", "http:cache", "https://%zz/"} {
		if _, err := origin.New(bad, origin.Options{}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func BenchmarkNar(b *testing.B) {
	for _, format := range []string{"none", "zstd", "xz"} {
		b.Run(format, func(b *testing.B) {
			raw := compressed(b, format)
			o := cache(b, "", func(w http.ResponseWriter, r *http.Request) { w.Write(raw) })
			info, err := nix.ParseNarInfo([]byte(narInfo("nar/x", format)))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(info.NarSize))
			for b.Loop() {
				if _, err := read(b, o, info); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
