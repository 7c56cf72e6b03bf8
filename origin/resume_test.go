package origin_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// breaking serves a file in pieces of at most step bytes, each of which ends in a
// broken connection but the last, to whoever asks for the rest.
func breaking(raw []byte, step int, asked *[]string, bend func(w http.ResponseWriter, again bool)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from := 0
		span := r.Header.Get("Range")
		*asked = append(*asked, span+r.Header.Get("If-Range"))
		fmt.Sscanf(span, "bytes=%d-", &from)
		w.Header().Set("Accept-Ranges", "bytes")
		w.Header().Set("ETag", `"one"`)
		w.Header().Set("Content-Length", fmt.Sprint(len(raw)-from))
		status := http.StatusOK
		if span != "" {
			status = http.StatusPartialContent
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(raw)-1, len(raw)))
		}
		if bend != nil {
			bend(w, span != "")
		}
		if w.Header().Get("X-Status") == "200" || w.Header().Get("Content-Range") == "" {
			status = http.StatusOK
		}
		w.WriteHeader(status)
		if w.Write(raw[from:min(from+step, len(raw))]); from+step < len(raw) {
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	}
}

// TestResume: a NAR that breaks off is gone on with, compressed or not, and not for ever.
func TestResume(t *testing.T) {
	set := func(name, value string) func(http.ResponseWriter, bool) {
		return func(w http.ResponseWriter, again bool) {
			if again {
				w.Header().Set(name, value)
			}
		}
	}
	always := func(name, value string) func(http.ResponseWriter, bool) {
		return func(w http.ResponseWriter, _ bool) { w.Header().Set(name, value) }
	}
	size := len(snow())
	for _, c := range []struct {
		name, format string
		pieces       int
		bend         func(http.ResponseWriter, bool)
		asked        int
		whole        bool
	}{
		{"at once", "none", 1, nil, 1, true},
		{"broken once", "none", 2, nil, 2, true},
		{"broken three times", "none", 4, nil, 4, true},
		{"broken four times", "none", 5, nil, 4, false},
		{"compressed", "xz", 3, nil, 3, true},
		{"compressed by Nix's default of today", "zstd", 2, nil, 2, true},
		{"a server that cannot", "none", 2, always("Accept-Ranges", "none"), 1, false},
		{"an answer that is encoded", "none", 2, always("Content-Encoding", "identity"), 1, false},
		{"an answer that is encoded the second time", "none", 2, set("Content-Encoding", "identity"), 2, false},
		{"another file meanwhile", "none", 2, set("ETag", `"two"`), 2, false},
		{"another range", "none", 2, set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", size-1, size)), 2, false},
		{"another size", "none", 2, set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", (size+1)/2, size, size+1)), 2, false},
		{"from the start again", "none", 2, set("Content-Range", ""), 2, false},
		{"all of it, as it says, and a range", "none", 2, set("X-Status", "200"), 2, false},
		{"a tag that is weak", "none", 2, always("ETag", `W/"one"`), 2, true},
	} {
		var asked []string
		raw := compressed(t, c.format)
		file := breaking(raw, (len(raw)+c.pieces-1)/c.pieces, &asked, c.bend)
		o := cache(t, "", func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, ".narinfo") {
				io.WriteString(w, narInfo("nar/snow.nar", c.format))
				return
			}
			file(w, r)
		})
		got, err := fetch(t, o)
		if (err == nil) != c.whole || err == nil && !bytes.Equal(got, snow()) {
			t.Errorf("%s: %d bytes, %v", c.name, len(got), err)
		}
		if len(asked) != c.asked {
			t.Errorf("%s: asked %q, want %d times", c.name, asked, c.asked)
		}
		if strings.Contains(asked[len(asked)-1], "W/") {
			t.Errorf("%s: asked by a weak tag: %q", c.name, asked)
		}
		if c.name == "broken once" && asked[len(asked)-1] != fmt.Sprintf(`bytes=%d-"one"`, (size+1)/2) {
			t.Errorf("%s: asked %q", c.name, asked)
		}
	}
}

// TestUselessBody: whoever says 404 and then trickles its page is not waited for.
func TestUselessBody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.Read(make([]byte, 4096))
		io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 4000\r\n\r\n<html>")
		io.Copy(io.Discard, c) // until the asker leaves
	}()
	began := time.Now()
	if info, err := at(t, "http://"+l.Addr().String()).Info(t.Context(), pathHash(t)); err == nil || !strings.Contains(err.Error(), "not in the cache") {
		t.Errorf("%v, %v", info, err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("an answer of 404 took %v", took)
	}
	l.Close()
	<-gone
}
