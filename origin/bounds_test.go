package origin

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/flurry-nix/flurry/nix"
)

// samples are some text and what it is in each format.
func samples(t *testing.T) (plain []byte, packed map[string][]byte) {
	t.Helper()
	packed = make(map[string][]byte)
	for _, format := range []string{"xz", "bzip2"} {
		raw, err := os.ReadFile("testdata/snow.nar." + format)
		if err != nil {
			t.Fatal(err)
		}
		packed[format] = raw
	}
	plain = decoded(t, "xz", packed["xz"])
	for format, pack := range map[string]func(io.Writer) io.WriteCloser{
		"gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"br":   func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
		"zstd": func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w, zstd.WithEncoderCRC(true))
			if err != nil {
				t.Fatal(err)
			}
			return z
		},
	} {
		var b bytes.Buffer
		w := pack(&b)
		w.Write(plain)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		packed[format] = b.Bytes()
	}
	return plain, packed
}

func decode(format string, packed []byte) ([]byte, error) {
	var ds decoders
	d, err := ds.of(bytes.NewReader(packed), format)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return io.ReadAll(d)
}

func decoded(t *testing.T, format string, packed []byte) []byte {
	t.Helper()
	plain, err := decode(format, packed)
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return plain
}

// TestDecoders: a file in any format is read to its end and no further: one that was cut off anywhere, or that anything else follows, is an error; several of
// one format behind each other are one, where the format says so, as those are that were compressed in parallel.
func TestDecoders(t *testing.T) {
	plain, packed := samples(t)
	for format, raw := range packed {
		for n := range raw {
			if n == 0 && format == "zstd" {
				continue // which takes no frames for a file of nothing
			}
			if got, err := decode(format, raw[:n]); err == nil {
				t.Errorf("%s, %d of %d bytes: %d bytes, and no error", format, n, len(raw), len(got))
			}
		}
		for _, garbage := range []string{"\x01", "noise behind it", strings.Repeat("x", 10_000)} {
			if _, err := decode(format, append(bytes.Clone(raw), garbage...)); err == nil {
				t.Errorf("%s with %.10q behind it: no error", format, garbage)
			}
		}
		twice, err := decode(format, append(bytes.Clone(raw), raw...))
		switch {
		case format == "br":
			if err == nil {
				t.Error("two files in br are none, and no error")
			}
		case err != nil || !bytes.Equal(twice, append(bytes.Clone(plain), plain...)):
			t.Errorf("two files in %s: %d bytes, %v", format, len(twice), err)
		}
		for other := range packed {
			if _, err := decode(other, raw); other != format && err == nil {
				t.Errorf("%s read as %s: no error", format, other)
			}
		}
	}
	// A file as long as the decoder's buffer must not hide what follows it.
	for _, size := range []int{4 << 10, 8 << 10, 32 << 10} {
		for format, raw := range packed {
			var ds decoders
			slow := io.MultiReader(bytes.NewReader(raw), strings.NewReader(strings.Repeat("x", size)))
			d, err := ds.of(slow, format)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(d); err == nil {
				t.Errorf("%s, and %d bytes that come later: no error", format, size)
			}
			d.Close()
		}
	}
}

// TestWindows: a window or dictionary that takes more memory than any cache's is refused, before the memory is taken.
func TestWindows(t *testing.T) {
	plain, packed := samples(t)
	for window, taken := range map[int]bool{8 << 20: true, 128 << 20: true, 256 << 20: false} {
		var b bytes.Buffer
		z, err := zstd.NewWriter(&b, zstd.WithWindowSize(window), zstd.WithSingleSegment(false), zstd.WithLowerEncoderMem(true))
		if err != nil {
			t.Fatal(err)
		}
		z.Write(plain)
		z.Flush() // so that the window is not made as small as the file
		z.Write(plain)
		z.Close()
		if _, err := decode("zstd", b.Bytes()); (err == nil) != taken {
			t.Errorf("zstd with a window of %d MiB: %v", window>>20, err)
		}
	}
	for dict, taken := range map[byte]bool{byte(22): true, 28: true, 30: true, 31: false, 32: false, 40: false} { // 8 MiB, 64, 128, 192, 256 MiB and 4 GiB
		if got, err := decode("xz", withDictionary(packed["xz"], dict)); (err == nil) != taken || taken && !bytes.Equal(got, plain) {
			t.Errorf("xz with a dictionary of size %d: %d bytes, %v", dict, len(got), err)
		}
	}
	if _, err := decode("br", []byte{0x11, 0x1e, 3}); err == nil {
		t.Error("br with a window of 1 GiB is taken")
	}
}

// withDictionary is an xz file whose only block says that it needs another dictionary (xz file format, 3.1 and 5.3.1).
func withDictionary(raw []byte, size byte) []byte {
	raw = bytes.Clone(raw)
	header := raw[12:]
	n := (int(header[0]) + 1) * 4
	at := bytes.Index(header[:n], []byte{0x21, 1})
	header[at+2] = size
	binary.LittleEndian.PutUint32(header[n-4:], crc32.ChecksumIEEE(header[:n-4]))
	return raw
}

// TestSlowCaches: a cache that sends a byte a second, or stops, wherever in an answer, holds nobody for ever.
func TestSlowCaches(t *testing.T) {
	info := &nix.NarInfo{URL: "nar/x", Compression: "none", NarSize: 1 << 20}
	packed := &nix.NarInfo{URL: "nar/x", Compression: "gzip", NarSize: 1 << 20}
	var h nix.PathHash
	nar := func(i *nix.NarInfo) func(*Origin) error {
		return func(o *Origin) error {
			r, err := o.Nar(context.Background(), i)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.Copy(io.Discard, r)
			return err
		}
	}
	narinfo := func(o *Origin) error { _, err := o.Info(context.Background(), h); return err }
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n"
	for _, c := range []struct {
		name   string
		url    string
		begins string
		step   time.Duration // between two bytes; 0: there are none
		ask    func(*Origin) error
		most   time.Duration
	}{
		{"a narinfo by the second", "http://cache.test", head, time.Second, narinfo, infoTimeout},
		{"a narinfo that stops", "http://cache.test", head + "StorePath: ", 0, narinfo, infoTimeout},
		{"a NAR by the second", "http://cache.test", head + strings.Repeat("x", 1000), time.Second, nar(info), slowTime},
		{"a NAR that stops", "http://cache.test", head + strings.Repeat("x", 1000), 0, nar(info), stallTimeout},
		{"a compressed NAR that stops in its first bytes", "http://cache.test", head + "\x1f\x8b", 0, nar(packed), stallTimeout},
		{"a handshake that does not come", "https://cache.test", "", 0, narinfo, tlsTimeout},
		{"a handshake by the second", "https://cache.test", "\x16\x03\x03\x40\x00", time.Second, narinfo, tlsTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := make(chan struct{})
				transport := newTransport()
				transport.Proxy = nil
				transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
					here, there := net.Pipe()
					go func() {
						defer close(left)
						defer there.Close()
						there.Read(make([]byte, 4096))
						if _, err := io.WriteString(there, c.begins); err != nil {
							return
						}
						for c.step > 0 {
							time.Sleep(c.step)
							if _, err := io.WriteString(there, "x"); err != nil {
								return
							}
						}
						io.Copy(io.Discard, there)
					}()
					return here, nil
				}
				o, err := New(c.url, Options{Transport: transport})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				err = c.ask(o)
				if took := time.Since(began); err == nil || errors.Is(err, ErrAbsent) || took > c.most+time.Second {
					t.Errorf("%v after %v", err, took)
				}
				transport.CloseIdleConnections()
				<-left
			})
		})
	}
}
