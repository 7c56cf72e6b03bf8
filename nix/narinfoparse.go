package nix

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ParseNarInfo reads a narinfo as strictly as the strictest Nix does, and
// stricter where Nix's own reader is surprising (libstore/nar-info.cc), so that
// what it accepts means the same to every client once AppendText has written
// it. Lines are "Key: value" and end in a newline, the last too. Keys are in
// any order; unknown ones are ignored; a known one occurs once, except Sig.
//
// Malformed Sig lines are dropped, as are those beyond MaxSigs: they prove
// nothing, and a client given one fails. Any other defect is an error that
// names the line.
func ParseNarInfo(text []byte) (*NarInfo, error) {
	if len(text) > MaxNarInfo {
		return nil, fmt.Errorf("narinfo: %d bytes, at most %d are allowed", len(text), MaxNarInfo)
	}
	var r narInfoReader
	rest := string(text)
	for number := 1; rest != ""; number++ {
		line, after, ok := strings.Cut(rest, "\n")
		if !ok {
			return nil, fmt.Errorf("narinfo line %d: no newline at the end", number)
		}
		if err := r.line(line); err != nil {
			return nil, fmt.Errorf("narinfo line %d: %w", number, err)
		}
		rest = after
	}
	if err := r.finish(); err != nil {
		return nil, fmt.Errorf("narinfo: %w", err)
	}
	return &r.info, nil
}

// narInfoReader gathers a NarInfo line by line.
type narInfoReader struct {
	info NarInfo
	seen []string // known keys that have occurred, without Sig
}

func (r *narInfoReader) line(line string) error {
	if i := strings.IndexFunc(line, func(c rune) bool { return c < ' ' || c == 0x7f }); i >= 0 {
		return fmt.Errorf("a control character, %q", line[i:i+1])
	}
	// Nix skips one byte after the colon, whatever it is. Only a space there
	// means the same to every reader.
	key, value, ok := strings.Cut(line, ": ")
	if !ok || key == "" || strings.Contains(key, ":") {
		return fmt.Errorf(`%s is not of the form "Key: value"`, quote(line))
	}
	switch key {
	case "Sig":
		r.signature(value)
		return nil
	case "StorePath", "URL", "Compression", "FileHash", "FileSize", "NarHash", "NarSize", "References", "Deriver", "CA":
	default:
		return nil
	}
	if slices.Contains(r.seen, key) {
		return fmt.Errorf("a second %s", key)
	}
	r.seen = append(r.seen, key)
	if err := r.field(key, value); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func (r *narInfoReader) field(key, value string) (err error) {
	n := &r.info
	switch key {
	case "StorePath":
		n.StorePath, err = ParseStorePath(value)
	case "URL":
		n.URL, err = strings.Clone(value), checkURL(value)
	case "Compression":
		n.Compression, err = parseCompression(value)
	case "FileHash":
		n.FileHash, err = strings.Clone(value), checkHash(value)
	case "FileSize":
		n.FileSize, err = parseSize(value)
	case "NarHash":
		n.NarHash, err = ParseNarHash(value)
	case "NarSize":
		n.NarSize, err = parseSize(value)
		if err == nil && (n.NarSize == 0 || n.NarSize > MaxNarSize) {
			err = fmt.Errorf("%d bytes, allowed are 1 to %d", n.NarSize, uint64(MaxNarSize))
		}
	case "References":
		n.References, err = parseReferences(value)
	case "Deriver":
		n.Deriver, err = parseDeriver(value)
	case "CA":
		n.CA, err = strings.Clone(value), checkContentAddress(value)
	}
	return err
}

func (r *narInfoReader) signature(value string) {
	sig, err := ParseSignature(value)
	if err != nil || len(r.info.Sigs) == MaxSigs || slices.Contains(r.info.Sigs, sig) {
		return
	}
	r.info.Sigs = append(r.info.Sigs, sig)
}

func (r *narInfoReader) finish() error {
	for _, key := range []string{"StorePath", "URL", "NarHash", "NarSize"} {
		if !slices.Contains(r.seen, key) {
			return fmt.Errorf("no %s", key)
		}
	}
	if r.info.Compression == "" {
		r.info.Compression = "bzip2" // what Nix takes absence for
	}
	return nil
}

// checkURL accepts a URL that leads to a file of the same cache: relative, with
// an optional query, and nothing in its path that climbs out of the cache's
// directory. Nix resolves others, up to file:// of the client's own disk.
func checkURL(s string) error {
	if s == "" || len(s) > MaxURL {
		return fmt.Errorf("%d bytes, allowed are 1 to %d", len(s), MaxURL)
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || strings.IndexByte("\\\"<>^`{|}#", c) >= 0 {
			return fmt.Errorf("%s: %q cannot be in a URL here", quote(s), s[i:i+1])
		}
	}
	path, _, _ := strings.Cut(s, "?")
	path, err := url.PathUnescape(path)
	if err != nil {
		return fmt.Errorf("%s: %w", quote(s), err)
	}
	segments := strings.Split(path, "/")
	if strings.Contains(segments[0], ":") || segments[0] == "" {
		return fmt.Errorf("%s is not relative", quote(s))
	}
	for _, segment := range segments {
		if segment == "." || segment == ".." || strings.IndexFunc(segment, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\\' }) >= 0 {
			return fmt.Errorf("%s: a path segment %s", quote(s), quote(segment))
		}
	}
	return nil
}

// parseCompression knows the names of libutil/compression-algo.hh. Unknown ones
// are errors to clients since Nix 2.35, and at download since 2.22.
func parseCompression(s string) (string, error) {
	if s == "" {
		return "bzip2", nil
	}
	for _, known := range []string{"none", "br", "bzip2", "compress", "grzip", "gzip", "lrzip", "lz4", "lzip", "lzma", "lzop", "xz", "zstd"} {
		if s == known {
			return known, nil
		}
	}
	return "", fmt.Errorf("%s is not a compression that Nix knows", quote(s))
}

// parseSize reads a decimal number in its one spelling.
func parseSize(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("%s is too large", quote(s))
	}
	if err != nil || len(s) > 1 && s[0] == '0' {
		return 0, fmt.Errorf("%s is not a decimal number", quote(s))
	}
	return n, nil
}

// parseReferences reads base names between spaces. Like Nix it does not mind
// how many spaces, which order, or a repetition.
func parseReferences(s string) ([]StorePath, error) {
	if s == "" {
		return nil, nil
	}
	var refs []StorePath
	for base := range strings.SplitSeq(s, " ") {
		if base == "" {
			continue
		}
		if len(refs) == MaxReferences {
			return nil, fmt.Errorf("more than %d", MaxReferences)
		}
		ref, err := ParseBaseName(base)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	return sortedUnique(refs), nil
}

// parseDeriver returns "" for the word that old caches write when they do not
// know.
func parseDeriver(s string) (string, error) {
	if s == "unknown-deriver" {
		return "", nil
	}
	if _, err := ParseBaseName(s); err != nil {
		return "", err
	}
	if !strings.HasSuffix(s, ".drv") {
		return "", fmt.Errorf("%s does not end in .drv", quote(s))
	}
	return strings.Clone(s), nil
}
