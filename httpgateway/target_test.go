package httpgateway

import (
	"regexp"
	"strings"
	"testing"
)

const (
	aHash = "0123456789abcdfghijklmnpqrsvwxyz"
	aNar  = "0" + "123456789abcdfghijklmnpqrsvwxyz0123456789abcdfghijk"
)

func TestParseTarget(t *testing.T) {
	for _, c := range []struct {
		path string
		kind kind
		view string
	}{
		{"/nix-cache-info", kindCacheInfo, ""},
		{"/" + aHash + ".narinfo", kindNarInfo, ""},
		{"/nar/" + aNar + "-" + aHash + ".nar", kindNar, ""},
		{"/ns/acme-1/nix-cache-info", kindCacheInfo, "acme-1"},
		{"/ns/cache.nixos.org-1/" + aHash + ".narinfo", kindNarInfo, "cache.nixos.org-1"},
		{"/ns/a+b=c/nar/" + aNar + "-" + aHash + ".nar", kindNar, "a+b=c"},
		{"/ns/" + strings.Repeat("a", maxViewName) + "/nix-cache-info", kindCacheInfo, strings.Repeat("a", maxViewName)},

		{"/ns/" + strings.Repeat("a", maxViewName+1) + "/nix-cache-info", kindNowhere, ""},
		{"/ns/a:b/" + aHash + ".narinfo", kindNowhere, ""},
		{"/ns/a b/nix-cache-info", kindNowhere, ""},
		{"/ns/a\x7f/nix-cache-info", kindNowhere, ""},
		{"/ns/ä/nix-cache-info", kindNowhere, ""},
		{"/ns/../nix-cache-info", kindNowhere, ""},
		{"/ns/./" + aHash + ".narinfo", kindNowhere, ""},
		{"/" + aHash[1:] + ".narinfo", kindNowhere, ""},
		{"/" + aHash + "0.narinfo", kindNowhere, ""},
		{"/e" + aHash[1:] + ".narinfo", kindNowhere, ""},
		{"/" + strings.ToUpper(aHash) + ".narinfo", kindNowhere, ""},
		{"/.narinfo", kindNowhere, ""},
		{"/x/" + aHash + ".narinfo", kindNowhere, ""},
		{"//" + aHash + ".narinfo", kindNowhere, ""},
		{"/nar/", kindNowhere, ""},
		{"/nar/" + aNar + ".nar", kindNowhere, ""},
		{"/nar/" + aNar + "-" + aHash + ".nar.xz", kindNowhere, ""},
		{"/nar/" + aNar + "-" + aHash + ".nax", kindNowhere, ""},
		{"/nar/" + aNar + "_" + aHash + ".nar", kindNowhere, ""},
		{"/nar/z" + aNar[1:] + "-" + aHash + ".nar", kindNowhere, ""}, // padding bits set
		{"/nar/" + aNar + "-e" + aHash[1:] + ".nar", kindNowhere, ""},
		{"/nar/../" + aHash + ".narinfo", kindNowhere, ""},
		{"/" + aHash + ".ls", kindNowhere, ""},
		{"/log/" + aHash + "-hello.drv", kindNowhere, ""},
		{"/realisations/sha256:00!out.doi", kindNowhere, ""},
		{"/build-trace-v2/" + aHash + "-hello.drv/out.doi", kindNowhere, ""},
		{"/debuginfo/0123.debug", kindNowhere, ""},
		{"/ns/acme-1/log/x.drv", kindNowhere, ""},

		{"/", kindPage, ""},
		{"", kindPage, ""},
		{"*", kindPage, ""},
		{"/nix-cache-info/", kindPage, ""},
		{"//nix-cache-info", kindPage, ""},
		{"/NIX-CACHE-INFO", kindPage, ""},
		{"/ns", kindPage, ""},
		{"/ns/", kindPage, ""},
		{"/ns/acme-1", kindPage, ""},
		{"/ns/acme-1/", kindPage, ""},
		{"/ns//nix-cache-info", kindPage, ""},
		{"/why/" + aHash, kindPage, ""},
		{"nix-cache-info", kindPage, ""},
	} {
		got := parseTarget(c.path)
		if got.kind != c.kind || got.view != c.view {
			t.Errorf("%q: kind %d, view %q; want %d, %q", c.path, got.kind, got.view, c.kind, c.view)
		}
	}
}

// spell is parseTarget's inverse.
func spell(tg target) string {
	prefix := "/"
	if tg.view != "" {
		prefix = viewPrefix + tg.view + "/"
	}
	switch tg.kind {
	case kindCacheInfo:
		return prefix + cacheInfoName
	case kindNarInfo:
		return prefix + tg.hash.String() + narInfoSuffix
	case kindNar:
		return prefix + narURL(tg.nar, tg.hash)
	default:
		return ""
	}
}

// FuzzParseTarget: what is answered has exactly one spelling, and it is the one
// that the protocol describes.
func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{
		"/nix-cache-info", "/" + aHash + ".narinfo", "/nar/" + aNar + "-" + aHash + ".nar",
		"/ns/acme-1/" + aHash + ".narinfo", "/ns/../nix-cache-info", "/ns/a/b/nix-cache-info", "/log/x", "/",
	} {
		f.Add(seed)
	}
	const (
		view = `(/ns/[!-+\-.0-9;-~]{1,128})?`
		c32  = `[0-9abcdfghijklmnpqrsvwxyz]`
	)
	known := regexp.MustCompile(`\A` + view + `/(nix-cache-info|` + c32 + `{32}\.narinfo|nar/[01]` + c32 + `{51}-` + c32 + `{32}\.nar)\z`)
	f.Fuzz(func(t *testing.T, path string) {
		got := parseTarget(path)
		want := known.MatchString(path) && !strings.HasPrefix(path, "/ns/./") && !strings.HasPrefix(path, "/ns/../")
		answered := got.kind != kindPage && got.kind != kindNowhere
		if answered != want {
			t.Fatalf("%q: kind %d", path, got.kind)
		}
		if answered && spell(got) != path {
			t.Fatalf("%q is understood as %q", path, spell(got))
		}
		if !answered && got != (target{kind: got.kind}) {
			t.Fatalf("%q is not answered, but says %+v", path, got)
		}
	})
}
