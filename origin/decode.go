package origin

import (
	"compress/bzip2"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// decoders decode, with what was used for it before where that saves something.
type decoders struct{ zstd sync.Pool }

// of reads what r holds in a format: one of Compression's, or one of
// Content-Encoding's.
func (ds *decoders) of(r io.Reader, format string) (io.ReadCloser, error) {
	decode, err := ds.decoder(format)
	if err != nil {
		return nil, err
	}
	return decode(r)
}

// decoder is how a format is read. The formats are Nix's own that caches use.
func (ds *decoders) decoder(format string) (decode func(io.Reader) (io.ReadCloser, error), err error) {
	plain := func(open func(io.Reader) io.Reader) func(io.Reader) (io.ReadCloser, error) {
		return func(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(open(r)), nil }
	}
	switch strings.ToLower(strings.TrimSpace(format)) {
	case "", "none", "identity":
		return plain(func(r io.Reader) io.Reader { return r }), nil
	case "zstd":
		return ds.zstdOf, nil
	case "xz":
		return xzOf, nil
	case "gzip", "x-gzip":
		return func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }, nil
	case "bzip2":
		return plain(bzip2.NewReader), nil
	case "br":
		return plain(func(r io.Reader) io.Reader { return brotli.NewReader(r) }), nil
	}
	return nil, fmt.Errorf("compression %.40q is none that flurry reads (none, zstd, xz, gzip, bzip2, br)", format)
}

func xzOf(r io.Reader) (io.ReadCloser, error) {
	d, err := xz.NewReader(r, maxWindow)
	if err != nil {
		return nil, fmt.Errorf("xz: %w", err)
	}
	return io.NopCloser(d), nil
}

// zstdOf decodes on the goroutine that reads: that the next block is decoded meanwhile on
// another one costs more processor time than it saves, and Nix wants the other processors.
func (ds *decoders) zstdOf(r io.Reader) (io.ReadCloser, error) {
	d, _ := ds.zstd.Get().(*zstd.Decoder)
	if d == nil {
		var err error
		d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
	}
	if err := d.Reset(r); err != nil {
		d.Close()
		return nil, err
	}
	return &pooled{Reader: d, zstd: d, pool: &ds.zstd}, nil
}

// pooled gives its decoder back when it is closed.
type pooled struct {
	io.Reader // the decoder, until it is closed
	zstd      *zstd.Decoder
	pool      *sync.Pool
}

func (p *pooled) Close() error {
	if p.zstd == nil {
		return nil
	}
	d := p.zstd
	p.zstd, p.Reader = nil, closedReader{}
	if err := d.Reset(nil); err != nil { // it forgets whom it reads
		d.Close()
		return nil
	}
	p.pool.Put(d)
	return nil
}

type closedReader struct{}

func (closedReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }
