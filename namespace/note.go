package namespace

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/flurry-nix/flurry/nix"
)

const (
	signaturePrefix = "— "
	keyHashSize     = 4
	algEd25519      = 1 // golang.org/x/mod/sumdb/note

	// rawSignature is the key hash and the signature, signatureText their base64.
	rawSignature  = keyHashSize + ed25519.SignatureSize
	signatureText = (rawSignature + 2) / 3 * 4
)

// Note is a text with its one signature, in the form of
// golang.org/x/mod/sumdb/note. That it is a Note says nothing about the
// signature: see [Note.SignedBy].
type Note struct {
	Text    []byte // through the newline before the blank line
	Signer  string // the name that the signature line gives
	KeyHash [keyHashSize]byte
	Sig     [ed25519.SignatureSize]byte
}

// ParseNote takes a signed text apart. It is stricter than note.Open, which
// accepts more than one signature line and passes over all but the one that it
// checks: here there is exactly one, in strict base64, by a name that
// [ValidName] accepts. The Text of the result is a slice of raw.
func ParseNote(raw []byte) (Note, error) {
	if len(raw) > MaxNote {
		return Note{}, fmt.Errorf("note: %d bytes, at most %d are allowed", len(raw), MaxNote)
	}
	split := bytes.LastIndex(raw, []byte("\n\n"))
	if split < 0 {
		return Note{}, fmt.Errorf("note: no blank line before a signature")
	}
	n := Note{Text: raw[: split+1 : split+1]}
	if err := checkChars(n.Text, true); err != nil {
		return Note{}, fmt.Errorf("note: %w", err)
	}
	if err := n.parseSignature(string(raw[split+2:])); err != nil {
		return Note{}, fmt.Errorf("note: %w", err)
	}
	return n, nil
}

func (n *Note) parseSignature(lines string) error {
	line, rest, ok := strings.Cut(lines, "\n")
	if !ok {
		return fmt.Errorf("no newline at the end")
	}
	if rest != "" {
		return fmt.Errorf("more than one signature line")
	}
	line, ok = strings.CutPrefix(line, signaturePrefix)
	if !ok {
		return fmt.Errorf("%s is not a signature line", quote(line))
	}
	name, encoded, _ := strings.Cut(line, " ")
	if !ValidName(name) {
		return fmt.Errorf("%s cannot be the name of a signer", quote(name))
	}
	// Strict refuses padding bits that are not zero; the length leaves no room
	// for anything else that would give one signature two spellings.
	if len(encoded) != signatureText {
		return fmt.Errorf("signature of %d characters, want %d", len(encoded), signatureText)
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(sig) != rawSignature {
		return fmt.Errorf("signature %s is not base64 of %d bytes", quote(encoded), rawSignature)
	}
	n.Signer = strings.Clone(name)
	copy(n.KeyHash[:], sig)
	copy(n.Sig[:], sig[keyHashSize:])
	return nil
}

// Append appends the signed form; it is the inverse of [ParseNote].
func (n Note) Append(dst []byte) []byte {
	var sig [rawSignature]byte
	copy(sig[:], n.KeyHash[:])
	copy(sig[keyHashSize:], n.Sig[:])
	dst = append(dst, n.Text...)
	dst = append(dst, "\n"+signaturePrefix...)
	dst = append(dst, n.Signer...)
	dst = append(dst, ' ')
	dst = base64.StdEncoding.AppendEncode(dst, sig[:])
	return append(dst, '\n')
}

// ID returns the SHA-256 of the text. The signature is not part of it, so two
// raw notes can have one id, only one of them valid: whoever keeps notes by id
// verifies before keeping.
func (n Note) ID() ID { return sha256.Sum256(n.Text) }

// SignedBy reports whether the signature is by k: its name, its key hash, and
// Ed25519 over the text.
func (n Note) SignedBy(k nix.PublicKey) bool {
	return n.Signer == k.Name && n.KeyHash == keyHash(k) && ed25519.Verify(k.Key[:], n.Text, n.Sig[:])
}

// SignNote signs a text, which it does not copy. The result can be parsed again
// only if the text is one that [ParseNote] accepts, newline at its end, and the
// key's name is valid.
func SignNote(text []byte, k nix.SecretKey) Note {
	return Note{Text: text, Signer: k.Name(), KeyHash: keyHash(k.Public()), Sig: k.Sign(text).Sig}
}

// keyHash is how a signature line hints at the key: the first 4 bytes of
// SHA-256(name ‖ "\n" ‖ 0x01 ‖ key).
func keyHash(k nix.PublicKey) [keyHashSize]byte {
	b := append([]byte(k.Name), '\n', algEd25519)
	sum := sha256.Sum256(append(b, k.Key[:]...))
	return [keyHashSize]byte(sum[:])
}

// TextID returns the id of a raw signed text, or of a kept list, without parsing
// what it says. It does not look at the signature; see [Note.ID].
func TextID(raw []byte) (ID, error) {
	if bytes.HasPrefix(raw, []byte(keepListTitle+"\n")) {
		return sha256.Sum256(raw), nil
	}
	n, err := ParseNote(raw)
	if err != nil {
		return ID{}, err
	}
	return n.ID(), nil
}
