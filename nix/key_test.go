package nix

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// The key of cache.nixos.org, as every nix.conf has it.
const nixosKey = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="

// testSecret is a key whose seed is 32 times the given byte.
func testSecret(t testing.TB, name string, seed byte) SecretKey {
	t.Helper()
	k, err := NewSecretKey(name, bytes.NewReader(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestParsePublicKey(t *testing.T) {
	k, err := ParsePublicKey(nixosKey)
	if err != nil || k.Name != "cache.nixos.org-1" || k.String() != nixosKey {
		t.Fatalf("ParsePublicKey = %v, %v", k, err)
	}
	data := strings.TrimPrefix(nixosKey, "cache.nixos.org-1:")
	for _, name := range []string{"a", "!", "~", "my+key=1;x", strings.Repeat("n", MaxKeyNameLength)} {
		if k, err := ParsePublicKey(name + ":" + data); err != nil || k.Name != name {
			t.Errorf("name %q: %v, %v", name, k, err)
		}
	}
}

func TestPublicKeyErrors(t *testing.T) {
	data := strings.TrimPrefix(nixosKey, "cache.nixos.org-1:")
	secret := testSecret(t, "acme-1", 7)
	long := base64.StdEncoding.EncodeToString
	for _, tt := range []struct {
		name, in string
		kind     KeyErrorKind
		have     int
		says     string
	}{
		{"empty", "", NoColon, 0, "no colon"},
		{"base64 alone", data, NoColon, 0, `"6NCHdD59X431o0gWypbM"… has no colon`},
		{"a file name", "./key.pub", NoColon, 0, `"./key.pub" has no colon`},
		{"character", "acme-1:gUPS!", BadBase64, 12, "position 12"},
		{"URL alphabet", "acme-1:" + strings.Replace(data, "6", "_", 1), BadBase64, 8, "position 8"},
		{"padding inside", "a:6N=" + data[3:], BadBase64, 5, "position 5"},
		{"trailing newline", nixosKey + "\n", BadBase64, len(nixosKey), "position 62"},
		{"leading space", " " + nixosKey, BadName, 1, "position 1"},
		{"cut short", "acme-1:gUPS5WA15etHss+qS88T", WrongLength, 15,
			`"acme-1:gUPS5WA15etHss+qS88T" is not a key: after the colon there are 15 bytes, a key has 32`},
		{"a lone last character", "a:gUPSg", WrongLength, 3, "3 bytes"},
		{"nothing after the colon", "a:", WrongLength, 0, "0 bytes"},
		{"31 bytes", "a:" + long(make([]byte, 31)), WrongLength, 31, "31 bytes"},
		{"33 bytes", "a:" + long(make([]byte, 33)), WrongLength, 33, "33 bytes"},
		{"64 bytes that are no secret key", "a:" + long(make([]byte, 64)), WrongLength, 64, "64 bytes"},
		{"secret key", secret.Text(), SecretGiven, 64, secret.Public().String()},
		{"secret key without padding", strings.TrimRight(secret.Text(), "="), SecretGiven, 64, secret.Public().String()},
		{"no name", ":" + data, BadName, 1, "position 1"},
		{"space in the name", "ac me:" + data, BadName, 3, "position 3"},
		{"slash in the name", "acme/x:" + data, BadName, 5, "position 5"},
		{"URL", "https://cache.example", BadBase64, 14, "position 14"},
		{"comma in the name", "a,b:" + data, BadName, 2, "position 2"},
		{"DEL in the name", "a\x7f:" + data, BadName, 2, "position 2"},
		{"letter beyond ASCII in the name", "é:" + data, BadName, 1, "position 1"},
		{"name too long", strings.Repeat("n", MaxKeyNameLength+1) + ":" + data, BadName, MaxKeyNameLength + 1, "position 129"},
		{"two keys", nixosKey + " " + nixosKey, SeveralKeys, 2, "2 keys"},
		{"three keys on lines", nixosKey + "\n" + nixosKey + "\n" + nixosKey, SeveralKeys, 3, "3 keys"},
		{"two keys and a comma", nixosKey + "," + nixosKey, SeveralKeys, 2, "2 keys"},
		{"no padding", strings.TrimRight(nixosKey, "="), NotCanonical, 32, "not canonical"},
		{"too much padding", nixosKey + "=", NotCanonical, 32, "not canonical"},
		{"other spelling of the last character", strings.Replace(nixosKey, "jY=", "jZ=", 1), NotCanonical, 32, "not canonical"},
		{"not on the curve", "a:" + long(append([]byte{2}, make([]byte, 31)...)), NotAPoint, 32, "no valid Ed25519 key"},
	} {
		_, err := ParsePublicKey(tt.in)
		var e *KeyError
		if !errors.As(err, &e) || e.Kind != tt.kind || e.Have != tt.have || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %#v: %v", tt.name, e, err)
		}
	}
}

// The one thing that an error must never
// do is to give a secret away.
func TestKeyErrorsKeepSecrets(t *testing.T) {
	secret := testSecret(t, "acme-1", 7)
	text := secret.Text()
	data := strings.TrimPrefix(text, "acme-1:")
	for name, in := range map[string]string{
		"whole":             text,
		"without name":      data,
		"cut to the seed":   text[:len("acme-1:")+44],
		"one wrong letter":  strings.Replace(text, data[70:71], "!", 1),
		"pair broken":       text[:len(text)-6] + "AAAA==",
		"with a space":      text + " ",
		"twice":             text + " " + text,
		"bad name":          "acme 1:" + data,
		"unpadded":          strings.TrimRight(text, "="),
		"after another key": "x:" + text,
	} {
		for _, parse := range []func(string) error{
			func(s string) error { _, err := ParsePublicKey(s); return err },
			func(s string) error { _, err := ParseSecretKey(s); return err },
		} {
			err := parse(in)
			if err == nil {
				continue // the secret parser takes the whole key
			}
			if shown := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(shown, data[:shownKeyData+1]) {
				t.Errorf("%s: the error shows the key: %s", name, shown)
			}
		}
	}
}

func TestSecretKeyRoundTrip(t *testing.T) {
	k := testSecret(t, "acme-1", 1)
	again, err := ParseSecretKey(k.Text())
	if err != nil || again.Text() != k.Text() || again.Name() != "acme-1" || again.Public() != k.Public() {
		t.Fatalf("ParseSecretKey = %v, %v", again, err)
	}
	if p, err := ParsePublicKey(k.Public().String()); err != nil || p != k.Public() {
		t.Fatalf("the public half does not parse: %v, %v", p, err)
	}
	msg := []byte("snow")
	sig := again.Sign(msg)
	if !k.Public().Verify(msg, sig) {
		t.Error("own signature does not verify")
	}
	if k.Public().Verify([]byte("snov"), sig) {
		t.Error("a signature verifies for another message")
	}
	other := k.Public()
	other.Name = "acme-2"
	if other.Verify(msg, sig) {
		t.Error("a signature verifies under another name")
	}
	for i := range len(sig.Sig) * 8 {
		flipped := sig
		flipped.Sig[i/8] ^= 1 << (i % 8)
		if k.Public().Verify(msg, flipped) {
			t.Fatalf("a signature verifies with bit %d flipped", i)
		}
	}
}

func TestParseSecretKeyErrors(t *testing.T) {
	k := testSecret(t, "acme-1", 1)
	other := testSecret(t, "acme-1", 2)
	seedOf := func(k SecretKey) []byte { return k.private()[:32] }
	mixed := append(bytes.Clone(seedOf(k)), other.private()[32:]...)
	for name, tt := range map[string]struct {
		in   string
		kind KeyErrorKind
	}{
		"public key":         {k.Public().String(), WrongLength},
		"seed alone":         {"a:" + base64.StdEncoding.EncodeToString(seedOf(k)), WrongLength},
		"halves of two keys": {"a:" + base64.StdEncoding.EncodeToString(mixed), NotAPoint},
		"final newline":      {k.Text() + "\n", BadBase64},
		"no padding":         {strings.TrimRight(k.Text(), "="), NotCanonical},
		"no colon":           {"abc", NoColon},
		"bad name":           {"a/b" + strings.TrimPrefix(k.Text(), "acme-1"), BadName},
	} {
		_, err := ParseSecretKey(tt.in)
		var e *KeyError
		if !errors.As(err, &e) || e.Kind != tt.kind {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestNewSecretKeyErrors(t *testing.T) {
	if _, err := NewSecretKey("a", bytes.NewReader(make([]byte, 31))); err == nil {
		t.Error("made a key of 31 random bytes")
	}
	var e *KeyError
	if _, err := NewSecretKey("a:b", bytes.NewReader(make([]byte, 32))); !errors.As(err, &e) || e.Kind != BadName {
		t.Errorf("name with a colon: %v", err)
	}
}

func TestSecretKeyDoesNotPrint(t *testing.T) {
	k := testSecret(t, "acme-1", 0xa5)
	var out bytes.Buffer
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%t", "%p", "%10v"} {
		fmt.Fprintf(&out, format+"\n", k)
		fmt.Fprintf(&out, format+"\n", &k)
		fmt.Fprintf(&out, format+"\n", struct{ k SecretKey }{k})
		fmt.Fprintf(&out, format+"\n", struct{ K *SecretKey }{&k})
		fmt.Fprintf(&out, format+"\n", []SecretKey{k})
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "key", k)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "key", k)
	//lint:ignore SA9005 that it says nothing is what is tested
	if err := json.NewEncoder(&out).Encode(k); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"pbW1", "a5a5", "A5A5", "165 165", "0xa5, 0xa5", "paWl"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("the seed was printed (%q)", secret)
		}
	}
	if !strings.HasPrefix(out.String(), "nix.SecretKey(acme-1)\n") {
		t.Errorf("printed %q", out.String()[:40])
	}
}

// Who signs with a key of small order? Anybody: the identity point and a zero
// scalar are a signature of every eighth message at least. The test shows the
// forgery and that the parser takes no such key.
func TestKeysOfSmallOrderAreRejected(t *testing.T) {
	forged := append([]byte{1}, make([]byte, 63)...)
	for _, y := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	} {
		for _, sign := range []byte{0, 0x80} {
			raw, _ := hex.DecodeString(y)
			raw[31] |= sign
			k := PublicKey{Name: "a", Key: [32]byte(raw)}
			works := false
			for i := 0; i < 256 && !works; i++ {
				works = ed25519.Verify(raw, []byte{byte(i)}, forged)
			}
			if !works {
				t.Errorf("%x: the forgery does not work; is the point of small order?", raw)
			}
			var e *KeyError
			if _, err := ParsePublicKey(k.String()); !errors.As(err, &e) || e.Kind != NotAPoint {
				t.Errorf("%x: accepted: %v", raw, err)
			}
		}
	}
}

func TestNonCanonicalPointsAreRejected(t *testing.T) {
	for low := range 19 { // p + low, which is low written otherwise
		var key [32]byte
		for i := range key {
			key[i] = 0xff
		}
		key[0], key[31] = byte(0xed+low), 0x7f
		if validPoint(key) {
			t.Errorf("accepted %x", key)
		}
	}
}

// The curve check agrees with crypto/ed25519, which refuses to verify with a
// key that is no point and says so differently from a wrong signature.
func TestValidPointAgreesWithEd25519(t *testing.T) {
	sig := make([]byte, ed25519.SignatureSize)
	good := testSecret(t, "a", 1).Public()
	wrongSignature := ed25519.VerifyWithOptions(good.Key[:], nil, sig, &ed25519.Options{})
	points := 0
	for i := range 512 {
		key := [32]byte{byte(i), byte(i >> 8), 77, 31: byte(i * 37)}
		err := ed25519.VerifyWithOptions(key[:], nil, sig, &ed25519.Options{})
		want := err.Error() == wrongSignature.Error()
		if validPoint(key) != want {
			t.Errorf("%x: validPoint = %v, crypto/ed25519 says %v", key, !want, err)
		}
		if want {
			points++
		}
	}
	if points < 200 || points > 312 {
		t.Errorf("%d of 512 are points; about half should be", points)
	}
}

func TestParseSignature(t *testing.T) {
	k := testSecret(t, "acme-1", 1)
	sig := k.Sign([]byte("x"))
	got, err := ParseSignature(sig.String())
	if err != nil || got != sig {
		t.Fatalf("ParseSignature = %v, %v", got, err)
	}
	data := strings.TrimPrefix(sig.String(), "acme-1:")
	for name, bad := range map[string]string{
		"empty":                  "",
		"no colon":               data,
		"no name":                ":" + data,
		"space in the name":      "a b:" + data,
		"63 bytes":               "a:" + base64.StdEncoding.EncodeToString(sig.Sig[:63]),
		"65 bytes":               "a:" + base64.StdEncoding.EncodeToString(append(sig.Sig[:], 0)),
		"32 bytes":               k.Public().String(),
		"not base64":             "a:!" + data[1:],
		"no padding":             "a:" + strings.TrimRight(data, "="),
		"trailing space":         "a:" + data + " ",
		"trailing bits":          "a:" + data[:85] + string(data[85]+1) + "==",
		"newline in the base64":  "a:" + data[:44] + "\n" + data[45:],
		"newline after it":       "a:" + data + "\n",
		"carriage return":        "a:" + data + "\r",
		"two colons":             "a:" + "b:" + data,
		"letter beyond ASCII":    "é:" + data,
		"name too long":          strings.Repeat("n", MaxKeyNameLength+1) + ":" + data,
		"very long, not a key":   "a:" + strings.Repeat("A", 1<<20),
		"URL alphabet of base64": "a:_" + data[1:],
	} {
		if got, err := ParseSignature(bad); err == nil {
			t.Errorf("%s: accepted as %v", name, got)
		}
	}
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add(nixosKey)
	f.Add("a:" + strings.Repeat("A", 43) + "=")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParsePublicKey(s)
		var e *KeyError
		switch {
		case err == nil && k.String() != s:
			t.Errorf("%q became %q", s, k)
		case err != nil && (!errors.As(err, &e) || e.Kind == 0 || len(e.Error()) > 4*MaxKeyNameLength+300):
			t.Errorf("%q: error %v", s, err)
		}
	})
}

func FuzzParseSignature(f *testing.F) {
	f.Add("a:" + strings.Repeat("A", 86) + "==")
	f.Fuzz(func(t *testing.T, s string) {
		if sig, err := ParseSignature(s); err == nil && sig.String() != s {
			t.Errorf("%q became %q", s, sig)
		}
	})
}
