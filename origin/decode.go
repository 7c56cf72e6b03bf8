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
// Content-Encoding's. The formats are Nix's own that caches use.
func (ds *decoders) of(r io.Reader, format string) (io.ReadCloser, error) {
	switch strings.ToLower(strings.TrimSpace(format)) {
	case "", "none", "identity":
		return io.NopCloser(r), nil
	case "zstd":
		return ds.zstdOf(r)
	case "xz":
		d, err := xz.NewReader(r, maxWindow)
		if err != nil {
			return nil, fmt.Errorf("xz: %w", err)
		}
		return io.NopCloser(d), nil
	case "gzip", "x-gzip":
		return gzip.NewReader(r)
	case "bzip2":
		return io.NopCloser(bzip2.NewReader(r)), nil
	case "br":
		return io.NopCloser(brotli.NewReader(r)), nil
	}
	return nil, fmt.Errorf("compression %.40q is none that flurry reads (none, zstd, xz, gzip, bzip2, br)", format)
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
