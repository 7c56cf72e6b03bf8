package nix

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const (
	hashB = "1b8m03r63zqhnjf7l5wnldhh7c134ap5"
	hashC = "zvpj0850ymkq1iyzicy5s0123456789a"
)

// goodNarInfo is canonical and has every field.
const goodNarInfo = `StorePath: /nix/store/` + hashA + `-hello-2.12
URL: nar/` + abcNix32 + `.nar.xz
Compression: xz
FileHash: sha256:` + abcNix32 + `
FileSize: 50088
NarHash: sha256:` + abcNix32 + `
NarSize: 226488
References: ` + hashA + `-hello-2.12 ` + hashB + `-glibc-2.40
Deriver: ` + hashC + `-hello-2.12.drv
Sig: cache.nixos.org-1:8ijECciSFzWHwwGVOIVYdp2fOIOJAfmzGHPQVwpktfTQJF6kMPPDre7UtFw3o+VqenC5P8RikKOAAfN7CvPEAg==
Sig: acme-1:AAAACciSFzWHwwGVOIVYdp2fOIOJAfmzGHPQVwpktfTQJF6kMPPDre7UtFw3o+VqenC5P8RikKOAAfN7CvPEAg==
CA: fixed:r:sha256:` + abcNix32 + `
`

func mustNarInfo(t testing.TB, text string) *NarInfo {
	t.Helper()
	n, err := ParseNarInfo([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return n
}

func TestParseNarInfo(t *testing.T) {
	n := mustNarInfo(t, goodNarInfo)
	want := &NarInfo{
		StorePath:   mustBase(t, hashA+"-hello-2.12"),
		URL:         "nar/" + abcNix32 + ".nar.xz",
		Compression: "xz",
		FileHash:    "sha256:" + abcNix32,
		FileSize:    50088,
		NarSize:     226488,
		References:  []StorePath{mustBase(t, hashA+"-hello-2.12"), mustBase(t, hashB+"-glibc-2.40")},
		Deriver:     hashC + "-hello-2.12.drv",
		Sigs:        n.Sigs,
		CA:          "fixed:r:sha256:" + abcNix32,
	}
	want.NarHash, _ = ParseNarHash("sha256:" + abcHex)
	if !reflect.DeepEqual(n, want) {
		t.Errorf("got %+v\nwant %+v", n, want)
	}
	if len(n.Sigs) != 2 || n.Sigs[0].Name != "cache.nixos.org-1" || n.Sigs[1].Name != "acme-1" {
		t.Errorf("signatures %v", n.Sigs)
	}
	if got := string(n.AppendText(nil)); got != goodNarInfo {
		t.Errorf("printed\n%s", got)
	}
	if got := string(n.AppendText([]byte("before"))); got != "before"+goodNarInfo {
		t.Errorf("AppendText does not append: %q", got[:20])
	}
}

// narInfoVariant is goodNarInfo with one thing changed.
type narInfoVariant struct {
	name     string
	old, new string // the first old of goodNarInfo becomes new
}

func (v narInfoVariant) text(t testing.TB) string {
	t.Helper()
	if !strings.Contains(goodNarInfo, v.old) {
		t.Fatalf("%s: the good narinfo does not contain %q", v.name, v.old)
	}
	return strings.Replace(goodNarInfo, v.old, v.new, 1)
}

// Defects that Nix itself, 2.8 at least, refuses.
var refusedByNix = []narInfoVariant{
	{"empty", goodNarInfo, ""},
	{"a page of a captive portal", goodNarInfo, "<!DOCTYPE html>\n<html><body>Log in: here</body></html>\n"},
	{"no newline at the end", "CA: fixed:r:sha256:" + abcNix32 + "\n", "CA: fixed:r:sha256:" + abcNix32},
	{"blank line", "URL: ", "\nURL: "},
	{"blank line first", "StorePath: ", "\nStorePath: "},
	{"CRLF", "\n", "\r\n"},
	{"line without a colon", "URL: ", "nothing\nURL: "},
	{"References without the space", "References: " + hashA + "-hello-2.12 " + hashB + "-glibc-2.40\n", "References:\n"},
	{"two spaces before a number", "NarSize: ", "NarSize:  "},
	{"second References", "Deriver: ", "References: " + hashB + "-glibc-2.40\nDeriver: "},
	{"second CA", "CA: ", "CA: fixed:r:sha256:" + abcNix32 + "\nCA: "},
	{"no StorePath", "StorePath: /nix/store/" + hashA + "-hello-2.12\n", ""},
	{"no URL", "URL: nar/" + abcNix32 + ".nar.xz\n", ""},
	{"empty URL", "URL: nar/" + abcNix32 + ".nar.xz", "URL: "},
	{"no NarHash", "NarHash: sha256:" + abcNix32 + "\n", ""},
	{"empty NarHash", "NarHash: sha256:" + abcNix32, "NarHash: "},
	{"NarHash without an algorithm", "NarHash: sha256:", "NarHash: "},
	{"NarHash of another length", "NarHash: sha256:1", "NarHash: sha256:"},
	{"NarHash that is no base 32", "NarHash: sha256:1b", "NarHash: sha256:1e"},
	{"no NarSize", "NarSize: 226488\n", ""},
	{"NarSize 0", "NarSize: 226488", "NarSize: 0"},
	{"empty NarSize", "NarSize: 226488", "NarSize: "},
	{"NarSize with a unit", "NarSize: 226488", "NarSize: 226488B"},
	{"NarSize hexadecimal", "NarSize: 226488", "NarSize: 0x1000"},
	{"NarSize beyond 64 bits", "NarSize: 226488", "NarSize: 18446744073709551616"},
	{"FileSize that is no number", "FileSize: 50088", "FileSize: many"},
	{"bad FileHash", "FileHash: sha256:1", "FileHash: sha256:"},
	{"empty FileHash", "FileHash: sha256:" + abcNix32, "FileHash: "},
	{"FileHash of an unknown algorithm", "FileHash: sha256:", "FileHash: crc32:"},
	{"other store directory", "/nix/store/", "/gnu/store/"},
	{"StorePath below a path", "-hello-2.12\n", "-hello-2.12/bin\n"},
	{"StorePath relative", "StorePath: /nix/store/", "StorePath: "},
	{"StorePath with a short hash", "/nix/store/" + hashA[:4], "/nix/store/"},
	{"StorePath without a name", "-hello-2.12\n", "-\n"},
	{"StorePath with a long name", "-hello-2.12\n", "-" + strings.Repeat("n", MaxNameLength+1) + "\n"},
	{"StorePath with a bad character", "-hello-2.12\n", "-hello~2.12\n"},
	{"reference with a directory", "References: ", "References: /nix/store/"},
	{"reference without a hash", "References: ", "References: glibc-2.40 "},
	{"reference with a bad character", "-glibc-2.40", "-glibc,2.40"},
	{"empty Deriver", "Deriver: " + hashC + "-hello-2.12.drv", "Deriver: "},
	{"Deriver with a directory", "Deriver: ", "Deriver: /nix/store/"},
	{"bad Deriver", "Deriver: " + hashC, "Deriver: unknown"},
	{"CA of an unknown form", "CA: fixed:r", "CA: loose:r"},
	{"CA without an algorithm", "CA: fixed:r:sha256:", "CA: fixed:r:"},
	{"CA with a bad digest", "CA: fixed:r:sha256:1", "CA: fixed:r:sha256:"},
	{"CA text of another algorithm", "CA: fixed:r:sha256:" + abcNix32, "CA: text:md5:" + abcHex[:32]},
}

// Defects that some Nix, or all, would let pass, each with what comes of it.
var refusedHereAlone = []narInfoVariant{
	// Readers would disagree about what the text says.
	{"second StorePath", "URL: ", "StorePath: /nix/store/" + hashB + "-evil\nURL: "},
	{"second URL", "Compression: ", "URL: nar/evil\nCompression: "},
	{"second Compression", "FileHash: ", "Compression: none\nFileHash: "},
	{"second FileHash", "FileSize: ", "FileHash: sha256:" + abcHex + "\nFileSize: "},
	{"second FileSize", "NarHash: ", "FileSize: 1\nNarHash: "},
	{"second NarHash", "NarSize: ", "NarHash: sha256:" + strings.Repeat("0", 52) + "\nNarSize: "},
	{"second NarSize", "References: ", "NarSize: 1\nReferences: "},
	{"second Deriver", "Sig: ", "Deriver: " + hashB + "-evil.drv\nSig: "},
	{"second References after an empty one", "References: ", "References: \nReferences: "},
	{"no space after the colon", "URL: ", "URL:"},
	{"tab after the colon", "URL: ", "URL:\t"},
	{"tab in an unknown line", "URL: ", "X: a\tb\nURL: "},
	{"NUL in an unknown line", "URL: ", "X: a\x00b\nURL: "},
	{"DEL in an unknown line", "URL: ", "X: a\x7fb\nURL: "},
	{"unknown key without a value", "URL: ", "X:\nURL: "},
	{"colon in a key", "URL: ", "URL:x: nar/evil\nURL: "},
	{"no key", "URL: ", ": x\nURL: "},
	{"leading zero", "NarSize: 2", "NarSize: 02"},
	{"sign", "NarSize: 2", "NarSize: +2"},
	{"minus", "NarSize: 2", "NarSize: -2"},
	// No client would accept the path in the end, or only old ones.
	{"NarSize above the limit", "NarSize: 226488", "NarSize: 1099511627777"},
	{"NarHash of another algorithm", "NarHash: sha256:" + abcNix32, "NarHash: sha1:" + abcHex[:40]},
	{"unknown compression", "Compression: xz", "Compression: wibble"},
	{"compression in capitals", "Compression: xz", "Compression: XZ"},
	{"StorePath without its dash", "-hello-2.12\n", ".hello-2.12\n"},
	{"StorePath named ..", "-hello-2.12\n", "-..\n"},
	{"StorePath named .-", "-hello-2.12\n", "-.-hello\n"},
	{"Deriver that is no derivation", "-2.12.drv", "-2.12"},
	// The client, or this node, would be sent elsewhere.
	{"URL with a scheme", "URL: nar/", "URL: http://169.254.169.254/nar/"},
	{"URL of a local file", "URL: nar/", "URL: file:///etc/"},
	{"URL with an odd scheme", "URL: nar/", "URL: x:nar/"},
	{"URL with an encoded scheme", "URL: nar/", "URL: file%3a//nar/"},
	{"URL with an authority", "URL: nar/", "URL: //evil.example/nar/"},
	{"URL from the root", "URL: nar/", "URL: /nar/"},
	{"URL from the root, encoded", "URL: nar/", "URL: %2fnar/"},
	{"URL that climbs", "URL: nar/", "URL: nar/../../"},
	{"URL that climbs, encoded", "URL: nar/", "URL: nar/%2e%2E/x/"},
	{"URL that climbs, slash encoded", "URL: nar/", "URL: nar%2f..%2f../"},
	{"URL that climbs at its end", ".nar.xz\n", ".nar.xz/..\n"},
	{"URL with a dot segment", "URL: nar/", "URL: ./nar/"},
	{"URL with a backslash", "URL: nar/", "URL: nar\\..\\"},
	{"URL with an encoded backslash", "URL: nar/", "URL: nar%5c..%5c"},
	{"URL with an encoded NUL", "URL: nar/", "URL: nar%00/"},
	{"URL with an encoded newline", "URL: nar/", "URL: nar%0aX/"},
	{"URL with a bad escape", "URL: nar/", "URL: nar%zz/"},
	{"URL with a space", "URL: nar/", "URL: nar /"},
	{"URL with a fragment", ".nar.xz\n", ".nar.xz#x\n"},
	{"URL of a query alone", "URL: nar/", "URL: ?nar/"},
	{"URL beyond ASCII", "URL: nar/", "URL: nar/é"},
	{"URL too long", "URL: nar/", "URL: nar/" + strings.Repeat("n", MaxURL)},
}

// What is unusual but means one thing to everybody.
var accepted = []narInfoVariant{
	{"as it is", "", ""},
	{"unknown keys", "URL: ", "System: x86_64-linux\nProvenance: {\"a\": \"b: c\"}\nSystem: again\nÉ: é\nURL: "},
	{"other order", "StorePath: /nix/store/" + hashA + "-hello-2.12\nURL: nar/" + abcNix32 + ".nar.xz\n",
		"URL: nar/" + abcNix32 + ".nar.xz\nStorePath: /nix/store/" + hashA + "-hello-2.12\n"},
	{"no References line", "References: " + hashA + "-hello-2.12 " + hashB + "-glibc-2.40\n", ""},
	{"no references", "References: " + hashA + "-hello-2.12 " + hashB + "-glibc-2.40\n", "References: \n"},
	{"spaces between references", "-hello-2.12 " + hashB, "-hello-2.12   " + hashB},
	{"space after the references", "-glibc-2.40\n", "-glibc-2.40 \n"},
	{"references repeated and unsorted", "References: ", "References: " + hashC + "-z " + hashB + "-glibc-2.40 " + hashB + "-a "},
	{"no Deriver", "Deriver: " + hashC + "-hello-2.12.drv\n", ""},
	{"unknown deriver", "Deriver: " + hashC + "-hello-2.12.drv", "Deriver: unknown-deriver"},
	{"no Compression", "Compression: xz\n", ""},
	{"empty Compression", "Compression: xz", "Compression: "},
	{"no FileHash and no FileSize", "FileHash: sha256:" + abcNix32 + "\nFileSize: 50088\n", ""},
	{"FileSize 0", "FileSize: 50088", "FileSize: 0"},
	{"FileHash SHA-1", "FileHash: sha256:" + abcNix32, "FileHash: sha1:" + abcHex[:40]},
	{"NarHash hexadecimal", "NarHash: sha256:" + abcNix32, "NarHash: sha256:" + abcHex},
	{"NarHash SRI", "NarHash: sha256:" + abcNix32, "NarHash: sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="},
	{"empty CA", "CA: fixed:r:sha256:" + abcNix32, "CA: "},
	{"no CA", "CA: fixed:r:sha256:" + abcNix32 + "\n", ""},
	{"CA text", "CA: fixed:r:", "CA: text:"},
	{"CA flat", "CA: fixed:r:", "CA: fixed:"},
	{"URL with a query", "URL: nar/", "URL: nar/snix-castore/x?narsize=5&b=../"},
	{"URL with a colon and escapes", "URL: nar/", "URL: nar/sha256:x%20y/..z/"},
	{"largest NarSize", "NarSize: 226488", "NarSize: 1099511627776"},
}

func TestNarInfoDefects(t *testing.T) {
	for _, v := range slices.Concat(refusedByNix, refusedHereAlone) {
		if n, err := ParseNarInfo([]byte(v.text(t))); err == nil {
			t.Errorf("%s: accepted as\n%s", v.name, n.AppendText(nil))
		} else if len(err.Error()) > 500 {
			t.Errorf("%s: an error of %d bytes", v.name, len(err.Error()))
		}
	}
}

func TestNarInfoVariantsAccepted(t *testing.T) {
	for _, v := range accepted {
		n, err := ParseNarInfo([]byte(v.text(t)))
		if err != nil {
			t.Errorf("%s: %v", v.name, err)
			continue
		}
		text := n.AppendText(nil)
		again, err := ParseNarInfo(text)
		if err != nil || !reflect.DeepEqual(again, n) {
			t.Errorf("%s: what was printed reads differently: %v\n%s", v.name, err, text)
		}
	}
}

func TestNarInfoFieldsOfVariants(t *testing.T) {
	parse := func(name string) *NarInfo {
		i := slices.IndexFunc(accepted, func(v narInfoVariant) bool { return v.name == name })
		return mustNarInfo(t, accepted[i].text(t))
	}
	if got := parse("no Compression").Compression; got != "bzip2" {
		t.Errorf("absent compression is %q", got)
	}
	if got := parse("empty Compression").Compression; got != "bzip2" {
		t.Errorf("empty compression is %q", got)
	}
	if got := parse("unknown deriver").Deriver; got != "" {
		t.Errorf("unknown deriver is %q", got)
	}
	if got := parse("no references").AppendText(nil); !bytes.Contains(got, []byte("\nReferences: \n")) {
		t.Errorf("no references print as\n%s", got)
	}
	var got []string
	for _, ref := range parse("references repeated and unsorted").References {
		got = append(got, ref.Base())
	}
	want := []string{hashA + "-hello-2.12", hashB + "-a", hashB + "-glibc-2.40", hashC + "-z"}
	if !slices.Equal(got, want) {
		t.Errorf("references %v, want %v", got, want)
	}
}

func TestMalformedSignaturesAreDropped(t *testing.T) {
	good := mustNarInfo(t, goodNarInfo).Sigs
	for _, bad := range []string{"", "x", "acme-1:", "acme-1:AAAA", "acme-1:!!!!", ":" + strings.Repeat("A", 86) + "==",
		"acme-1:" + strings.Repeat("A", 86), "a b:" + strings.Repeat("A", 86) + "==", good[0].String() + " "} {
		n := mustNarInfo(t, strings.Replace(goodNarInfo, "Sig: ", "Sig: "+bad+"\nSig: ", 1))
		if !slices.Equal(n.Sigs, good) {
			t.Errorf("with a Sig line %q: %v", bad, n.Sigs)
		}
	}
	n := mustNarInfo(t, strings.Replace(goodNarInfo, "CA: ", "Sig: "+good[0].String()+"\nCA: ", 1))
	if !slices.Equal(n.Sigs, good) {
		t.Errorf("a repeated signature stays: %v", n.Sigs)
	}
}

func TestNarInfoLimits(t *testing.T) {
	sigs := func(n int) (lines string) {
		for i := range n {
			lines += "Sig: " + Signature{Name: fmt.Sprintf("k%d", i)}.String() + "\n"
		}
		return lines
	}
	base := goodNarInfo[:strings.Index(goodNarInfo, "Sig: ")]
	for have, want := range map[int]int{0: 0, MaxSigs - 1: MaxSigs - 1, MaxSigs: MaxSigs, MaxSigs + 1: MaxSigs} {
		if got := mustNarInfo(t, base+sigs(have)).Sigs; len(got) != want || want > 0 && got[want-1].Name != fmt.Sprintf("k%d", want-1) {
			t.Errorf("of %d signatures %d are kept", have, len(got))
		}
	}

	pad := func(size int) []byte {
		return []byte(goodNarInfo + "X: " + strings.Repeat("x", size-len(goodNarInfo)-len("X: \n")) + "\n")
	}
	if _, err := ParseNarInfo(pad(MaxNarInfo)); err != nil {
		t.Errorf("%d bytes: %v", MaxNarInfo, err)
	}
	if _, err := ParseNarInfo(pad(MaxNarInfo + 1)); err == nil {
		t.Errorf("accepted %d bytes", MaxNarInfo+1)
	}

	refs := func(n int) string {
		return strings.Replace(goodNarInfo, "References: ", "References: "+strings.Repeat(hashB+"-a ", n-2), 1)
	}
	if n := mustNarInfo(t, refs(MaxReferences)); len(n.References) != 3 {
		t.Errorf("%d references", len(n.References))
	}
	if _, err := ParseNarInfo([]byte(refs(MaxReferences + 1))); err == nil {
		t.Errorf("accepted %d references", MaxReferences+1)
	}
	long := strings.Replace(goodNarInfo, "URL: nar/", "URL: nar/"+strings.Repeat("n", MaxURL-len("nar/"+abcNix32+".nar.xz")), 1)
	if n := mustNarInfo(t, long); len(n.URL) != MaxURL {
		t.Errorf("URL of %d bytes", len(n.URL))
	}
}

func TestFingerprint(t *testing.T) {
	n := mustNarInfo(t, goodNarInfo)
	want := "1;/nix/store/" + hashA + "-hello-2.12;sha256:" + abcNix32 + ";226488;" +
		"/nix/store/" + hashA + "-hello-2.12,/nix/store/" + hashB + "-glibc-2.40"
	if got := string(n.Fingerprint()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	refs := []StorePath{n.References[1], n.References[0], n.References[1]}
	given := slices.Clone(refs)
	if got := string(Fingerprint(n.StorePath, n.NarHash, n.NarSize, refs)); got != want {
		t.Errorf("unsorted: got %s", got)
	}
	if !slices.Equal(refs, given) {
		t.Error("Fingerprint altered its argument")
	}
	if got := string(Fingerprint(n.StorePath, n.NarHash, 1, nil)); got != "1;/nix/store/"+hashA+"-hello-2.12;sha256:"+abcNix32+";1;" {
		t.Errorf("without references: %s", got)
	}
}

// The signature of cache.nixos.org over one of its paths, as the narinfo reader
// of any Nix checks it.
func TestFingerprintOfCacheNixosOrg(t *testing.T) {
	n := mustNarInfo(t, `StorePath: /nix/store/syd87l2rxw8cbsxmxl853h0r6pdwhwjr-curl-7.82.0-bin
URL: nar/05ra3y72i3qjri7xskf9qj8kb29r6naqy1sqpbs3azi3xcigmj56.nar.xz
Compression: xz
FileHash: sha256:05ra3y72i3qjri7xskf9qj8kb29r6naqy1sqpbs3azi3xcigmj56
FileSize: 68852
NarHash: sha256:1b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0
NarSize: 196040
References: 0jqd0rlxzra1rs38rdxl43yh6rxchgc6-curl-7.82.0 6w8g7njm4mck5dmjxws0z1xnrxvl81xa-glibc-2.34-115 j5jxw3iy7bbz4a57fh9g2xm2gxmyal8h-zlib-1.2.12 yxvjs9drzsphm9pcf42a4byzj1kb9m7k-openssl-1.1.1n
Deriver: 5rwxzi7pal3qhpsyfc16gzkh939q1np6-curl-7.82.0.drv
Sig: cache.nixos.org-1:TsTTb3WGTZKphvYdBHXwo6weVILmTytUjLB+vcX89fOjjRicCHmKA4RCPMVLkj6TMJ4GMX3HPVWRdD1hkeKZBQ==
`)
	key, err := ParsePublicKey(nixosKey)
	if err != nil {
		t.Fatal(err)
	}
	if !key.Verify(n.Fingerprint(), n.Sigs[0]) {
		t.Error("the signature does not verify")
	}
	n.NarSize++
	if key.Verify(n.Fingerprint(), n.Sigs[0]) {
		t.Error("the signature verifies for another size")
	}
}

// Whatever single bit of a narinfo is flipped, the result is an error, or the
// change shows: nothing that was signed changes under a signature that holds.
func TestFlippedBitsDoNotVerify(t *testing.T) {
	k := testSecret(t, "acme-1", 3)
	n := mustNarInfo(t, goodNarInfo)
	n.Sigs = []Signature{k.Sign(n.Fingerprint())}
	text := n.AppendText(nil)
	for i := range len(text) * 8 {
		flipped := bytes.Clone(text)
		flipped[i/8] ^= 1 << (i % 8)
		m, err := ParseNarInfo(flipped)
		if err != nil || len(m.Sigs) == 0 || !k.Public().Verify(m.Fingerprint(), m.Sigs[0]) {
			continue
		}
		if m.StorePath != n.StorePath || m.NarHash != n.NarHash || m.NarSize != n.NarSize || !slices.Equal(m.References, n.References) {
			t.Fatalf("bit %d of byte %d: the signature holds for\n%s", i%8, i/8, m.AppendText(nil))
		}
	}
}

func FuzzParseNarInfo(f *testing.F) {
	f.Add([]byte(goodNarInfo))
	for _, v := range slices.Concat(refusedByNix, refusedHereAlone, accepted) {
		f.Add([]byte(v.text(f)))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := ParseNarInfo(text)
		if err != nil {
			return
		}
		if n.StorePath.IsZero() || n.URL == "" || n.Compression == "" || n.NarSize == 0 || len(n.Sigs) > MaxSigs {
			t.Fatalf("incomplete: %+v", n)
		}
		printed := n.AppendText(nil)
		again, err := ParseNarInfo(printed)
		if err != nil || !reflect.DeepEqual(again, n) || !bytes.Equal(again.AppendText(nil), printed) {
			t.Fatalf("reads %+v, prints\n%s reads %+v, %v", n, printed, again, err)
		}
	})
}

func BenchmarkParseNarInfo(b *testing.B) {
	text := []byte(goodNarInfo)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseNarInfo(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFingerprint(b *testing.B) {
	n := mustNarInfo(b, goodNarInfo)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		var h PathHash
		for i := range h {
			h[i] = byte(rng.Uint32())
		}
		n.References = append(n.References, StorePath{hash: h, name: "reference-1.0"})
	}
	n.References = sortedUnique(n.References)
	b.ReportAllocs()
	for b.Loop() {
		n.Fingerprint()
	}
}
