package trust_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

func seedSecret(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("flurry test seed " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func receiptOf(t testing.TB, seed string) []byte {
	t.Helper()
	r := &namespace.Receipt{Namespace: namespace.AddressOf(secret(t, "acme-1").Public()), Publication: sha256.Sum256([]byte("one")),
		Time: time.Date(2026, 9, 1, 12, 0, 7, 0, time.UTC), Promise: namespace.Promise{Kind: namespace.PromisePinned}}
	return must(trust.SignReceipt(r, seedSecret(seed)))(t)
}

func TestReceipt(t *testing.T) {
	raw := receiptOf(t, "seed")
	r := must(trust.VerifyReceipt(raw))(t)
	if want := namespace.SeedName(seedSecret("seed").Public().(ed25519.PublicKey)); r.Seed() != want || r.IsZero() || !bytes.Equal(r.Raw(), raw) {
		t.Errorf("signed by %s, want %s", r.Seed(), want)
	}
	if v := r.Value(); v.Promise.Kind != namespace.PromisePinned || v.Publication != sha256.Sum256([]byte("one")) {
		t.Errorf("read as %+v", v)
	}
	raw[len(raw)-3] ^= 1
	if !bytes.Equal(r.Raw(), receiptOf(t, "seed")) {
		t.Error("the receipt is the caller's bytes")
	}
}

// TestFlipEveryBitOfReceipt: nothing but the bytes that were signed counts.
func TestFlipEveryBitOfReceipt(t *testing.T) {
	raw := receiptOf(t, "seed")
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			if _, err := trust.VerifyReceipt(raw); err == nil {
				t.Fatalf("bit %d of byte %d may be flipped", bit, i)
			}
			raw[i] ^= 1 << bit
		}
	}
}

// TestReceiptInAnothersName: a receipt is by the key that its name spells, and by no other.
func TestReceiptInAnothersName(t *testing.T) {
	mine, theirs := string(receiptOf(t, "seed")), string(receiptOf(t, "other"))
	name := namespace.SeedName(seedSecret("seed").Public().(ed25519.PublicKey))
	other := namespace.SeedName(seedSecret("other").Public().(ed25519.PublicKey))
	_, err := trust.VerifyReceipt([]byte(strings.Replace(mine, name, other, 1)))
	refused(t, err, trust.BadSignature)
	_, err = trust.VerifyReceipt([]byte(mine + theirs[strings.LastIndex(theirs, "\n— ")+1:]))
	refused(t, err, trust.Malformed) // two signatures
	// A writer's signature makes no receipt, nor does a receipt's text under any key whose name is not itself.
	text, _, _ := strings.Cut(mine, "\n\n")
	_, err = trust.VerifyReceipt(namespace.SignNote([]byte(text+"\n"), secret(t, "acme-1")).Append(nil))
	refused(t, err, trust.Malformed)
	_, err = trust.VerifyReceipt(bytes.Repeat([]byte("x"), namespace.MaxReceipt+1))
	refused(t, err, trust.TooLarge)
}

// TestReceiptByKeyOfSmallOrder: a key for which anything is a signature has no receipts.
func TestReceiptByKeyOfSmallOrder(t *testing.T) {
	var key [ed25519.PublicKeySize]byte
	key[0] = 1 // the neutral element
	name := namespace.SeedName(key[:])
	text, _, _ := strings.Cut(string(receiptOf(t, "seed")), "\n\n")
	weak := nix.PublicKey{Name: name, Key: key}
	note := namespace.SignNote([]byte(text+"\n"), secret(t, "acme-1"))
	note.Signer, note.Sig = name, [ed25519.SignatureSize]byte{}
	note.Sig[0] = 1 // R neutral, s = 0: Go's ed25519 takes it for this key
	if !ed25519.Verify(weak.Key[:], note.Text, note.Sig[:]) {
		t.Fatal("the attack is none")
	}
	_, err := trust.VerifyReceipt(note.Append(nil))
	refused(t, err, trust.Malformed)
}

// TestReceiptVector: the vector of docs/PROTOCOL.md is a receipt.
func TestReceiptVector(t *testing.T) {
	raw := must(os.ReadFile("../namespace/testdata/receipt.txt"))(t)
	r := must(trust.VerifyReceipt(raw))(t)
	if r.Seed() != namespace.SeedName(seedSecret("seed").Public().(ed25519.PublicKey)) {
		t.Errorf("by %s", r.Seed())
	}
}

func FuzzVerifyReceipt(f *testing.F) {
	f.Add(receiptOf(f, "seed"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if r, err := trust.VerifyReceipt(raw); err == nil && !bytes.Equal(r.Raw(), raw) {
			t.Fatal("the receipt is not what was read")
		}
	})
}
