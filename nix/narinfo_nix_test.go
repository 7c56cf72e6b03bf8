package nix

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/nix/nixtest"
)

// askNix puts text into a binary cache on disk and returns what the real Nix
// says of the path, as `nix path-info --json` has it.
func askNix(t *testing.T, text string) (info nixPathInfo, err error) {
	t.Helper()
	cache := t.TempDir()
	for name, content := range map[string]string{
		"nix-cache-info":   "StoreDir: /nix/store\n",
		hashA + ".narinfo": text,
	} {
		if err := os.WriteFile(filepath.Join(cache, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := nixtest.Command(t, "nix", "path-info", "--json", "--store", "file://"+cache, "/nix/store/"+hashA+"-hello-2.12").Output()
	if err != nil {
		return info, err
	}
	var infos []nixPathInfo
	if err := json.Unmarshal(out, &infos); err != nil || len(infos) != 1 {
		t.Fatalf("nix path-info says %s: %v", out, err)
	}
	return infos[0], nil
}

type nixPathInfo struct {
	Path       string
	NarHash    string
	NarSize    uint64
	References []string
	Deriver    string
	URL        string
}

func TestNixRefusesTheSameNarInfos(t *testing.T) {
	nixtest.Require(t, "nix")
	for _, v := range refusedByNix {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if info, err := askNix(t, v.text(t)); err == nil {
				t.Errorf("Nix accepts it: %+v", info)
			}
		})
	}
}

func TestNixReadsAcceptedNarInfosAlike(t *testing.T) {
	nixtest.Require(t, "nix")
	for _, v := range accepted {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			n := mustNarInfo(t, v.text(t))
			for _, text := range []string{v.text(t), string(n.AppendText(nil))} {
				info, err := askNix(t, text)
				if err != nil {
					t.Fatalf("Nix refuses it: %v\n%s", err, text)
				}
				refs := make([]string, 0, len(n.References))
				for _, ref := range n.References {
					refs = append(refs, ref.String())
				}
				slices.Sort(info.References)
				hash, err := ParseNarHash(info.NarHash)
				if err != nil || hash != n.NarHash || info.Path != n.StorePath.String() || info.NarSize != n.NarSize ||
					info.URL != n.URL || !slices.Equal(info.References, refs) || strings.TrimPrefix(info.Deriver, "/nix/store/") != n.Deriver {
					t.Errorf("Nix reads %+v, flurry %+v", info, n)
				}
			}
		})
	}
}

// Signing is deterministic, so a key made by Nix must make the same signature
// here that Nix makes with it.
func TestSignaturesEqualThoseOfNix(t *testing.T) {
	nixtest.Require(t, "nix", "nix-store", "nix-build")
	dir := t.TempDir()
	nixtest.Run(t, "nix-store", "--generate-binary-cache-key", "made-by-nix-1", filepath.Join(dir, "secret"), filepath.Join(dir, "public"))
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	secret, err := ParseSecretKey(read("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if secret.Text() != read("secret") || secret.Public().String() != read("public") {
		t.Fatalf("the key prints otherwise than Nix wrote it: %v", secret)
	}

	path := nixtest.Build(t, nixtest.Chain("sign", "1", 4))
	cache := "file://" + dir + "/cache"
	nixtest.Run(t, "nix", "copy", "--to", cache+"?secret-key="+filepath.Join(dir, "secret"), path)
	files, err := filepath.Glob(filepath.Join(dir, "cache", "*.narinfo"))
	if err != nil || len(files) != 4 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n := mustNarInfo(t, string(text))
		if got := string(n.AppendText(nil)); got != string(text) {
			t.Errorf("Nix wrote\n%s\nflurry writes\n%s", text, got)
		}
		sig := secret.Sign(n.Fingerprint())
		if !slices.Contains(n.Sigs, sig) || !secret.Public().Verify(n.Fingerprint(), sig) {
			t.Errorf("Nix signed %v, flurry signs %v", n.Sigs, sig)
		}
	}
}
