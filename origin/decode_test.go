package origin

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// TestDecodersAgain: a decoder that broke off, was left in the middle, or is used by many in turn knows nothing of what it read before.
func TestDecodersAgain(t *testing.T) {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	var plain, packed [][]byte
	rng := rand.New(rand.NewPCG(1, 2))
	for k := range 8 {
		p := make([]byte, 300_000+k)
		for i := range p {
			p[i] = byte(rng.IntN(5 + k))
		}
		plain, packed = append(plain, p), append(packed, enc.EncodeAll(p, nil))
	}
	var ds decoders
	var all sync.WaitGroup
	for k := range plain {
		all.Go(func() {
			for round := range 30 {
				whole, err := ds.of(bytes.NewReader(packed[k]), "zstd")
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(whole)
				if err != nil || !bytes.Equal(got, plain[k]) {
					t.Errorf("round %d: other bytes, or %v", round, err)
				}
				if err := whole.Close(); err != nil {
					t.Error(err)
				}
				if _, err := whole.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("a closed decoder reads on: %v", err)
				}
				part := packed[k]
				if round%2 == 0 {
					part = part[:len(part)/2]
				}
				half, err := ds.of(bytes.NewReader(part), "zstd")
				if err != nil {
					t.Error(err)
					return
				}
				if round%2 == 0 {
					if _, err := io.ReadAll(half); err == nil {
						t.Error("half a file is whole")
					}
				} else if _, err := half.Read(make([]byte, 1000)); err != nil {
					t.Error(err)
				}
				if err := half.Close(); err != nil {
					t.Error(err)
				}
				if err := half.Close(); err != nil { // which must not give the decoder back twice
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
