package origin

import (
	"compress/bzip2"
	"fmt"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// decoded reads what r holds in a format: one of Compression's, or one of
// Content-Encoding's. The formats are Nix's own that caches use.
func decoded(r io.Reader, format string) (io.ReadCloser, error) {
	switch strings.ToLower(strings.TrimSpace(format)) {
	case "", "none", "identity":
		return io.NopCloser(r), nil
	case "zstd":
		d, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
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
