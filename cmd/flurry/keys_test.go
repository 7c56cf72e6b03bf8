package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/trust"
)

func noPolicy(namespace.Address) (*trust.Policy, bool) { return nil, false }

// written is a policy under which writers may publish to the namespace of root.
func written(t *testing.T, root nix.SecretKey, writers ...nix.SecretKey) func(namespace.Address) (*trust.Policy, bool) {
	t.Helper()
	a := namespace.AddressOf(root.Public())
	d := &namespace.Document{Namespace: a, Serial: 1, Issued: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Keep: time.Hour, Access: "public"}
	for _, w := range writers {
		d.Writers = append(d.Writers, namespace.Writer{Key: w.Public()})
	}
	raw, err := trust.SignDocument(d, root)
	if err != nil {
		t.Fatal(err)
	}
	verified, err := trust.VerifyDocument(a, raw)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := trust.NewPolicy(verified, nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(other namespace.Address) (*trust.Policy, bool) { return policy, other == a }
}

func problemID(err error) string {
	var p *report.Problem
	if errors.As(err, &p) {
		return p.ID
	}
	return ""
}

func TestKeyringModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	k, err := openKeyring(dir, nil, noPolicy)
	if err != nil {
		t.Fatal(err)
	}
	local, err := k.local()
	if err != nil {
		t.Fatal(err)
	}
	root := secretKey(t, "acme-1")
	if err := k.add(root); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"": 0o700, "acme-1.sec": 0o600, "flurry-local-1.sec": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v", name, info.Mode(), err)
		}
	}
	text, err := os.ReadFile(k.file("acme-1"))
	if err != nil || string(text) != root.Text()+"\n" {
		t.Errorf("the file does not hold the key: %v", err)
	}
	if again, err := k.local(); err != nil || again.Public() != local.Public() {
		t.Errorf("this machine's key is made anew: %v", err)
	}
	if local.Name() != "flurry-local-1" {
		t.Error(local.Name())
	}
	// A directory that others could look into is closed.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := openKeyring(dir, nil, noPolicy); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestKeyringUnusable: of each file in the places for keys that is none, because of who can read it, where it lies or what it holds, it is
// said what is wrong, and of no other.
func TestKeyringUnusable(t *testing.T) {
	dir, elsewhere := filepath.Join(t.TempDir(), "keys"), t.TempDir()
	named := make(map[namespace.Address]string)
	name := func(key nix.SecretKey, file string) {
		named[namespace.AddressOf(key.Public())] = filepath.Join(elsewhere, file)
	}
	k, err := openKeyring(dir, named, noPolicy)
	if err != nil {
		t.Fatal(err)
	}
	put := func(dir, file, text string, mode fs.FileMode) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, file), mode); err != nil {
			t.Fatal(err)
		}
	}
	key := secretKey(t, "acme-1")
	put(dir, "good.sec", key.Text(), 0o400)
	put(dir, "notes.txt", "no key", 0o644)
	put(elsewhere, "named.sec", key.Text(), 0o600)
	name(secretKey(t, "named-1"), "named.sec")
	if got := k.unusable(); len(got) != 0 {
		t.Errorf("nothing is wrong: %+v", got)
	}
	put(dir, "open.sec", key.Text(), 0o640)
	put(dir, "rubbish.sec", "rubbish", 0o600)
	put(elsewhere, "open.sec", key.Text(), 0o604)
	name(secretKey(t, "open-1"), "open.sec")
	name(secretKey(t, "missing-1"), "missing.sec")
	name(secretKey(t, "placed-1"), "placed.sec")
	if err := os.Symlink("/nix/store", filepath.Join(elsewhere, "placed.sec")); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{filepath.Join(dir, "open.sec"): "key-readable", filepath.Join(dir, "rubbish.sec"): "bad-key",
		filepath.Join(elsewhere, "open.sec"): "key-readable", filepath.Join(elsewhere, "missing.sec"): "bad-key", filepath.Join(elsewhere, "placed.sec"): "key-in-store"}
	found := k.unusable()
	if len(found) != len(want) {
		t.Errorf("%d are found, want %d: %+v", len(found), len(want), found)
	}
	for file, id := range want {
		if !slices.ContainsFunc(found, func(p report.Problem) bool {
			return p.ID == id && strings.Contains(p.Message, file) && len(p.Try) > 0 && !strings.Contains(p.Message, key.Text())
		}) {
			t.Errorf("%s is not found to be %s: %+v", file, id, found)
		}
	}
}

func TestKeyringAdd(t *testing.T) {
	k, err := openKeyring(filepath.Join(t.TempDir(), "keys"), nil, noPolicy)
	if err != nil {
		t.Fatal(err)
	}
	root := secretKey(t, "acme-1")
	for range 2 {
		if err := k.add(root); err != nil {
			t.Fatal(err)
		}
	}
	// Another key of the same name does not replace it.
	other, err := nix.NewSecretKey("acme-1", strings.NewReader(strings.Repeat("z", 32)))
	if err != nil {
		t.Fatal(err)
	}
	if err := k.add(other); problemID(err) != "alias-taken" {
		t.Errorf("%v", err)
	}
	if have, err := readSecret(k.file("acme-1")); err != nil || have.Public() != root.Public() {
		t.Errorf("%v", err)
	}
	// What cannot be read is not written over.
	if err := os.WriteFile(k.file("acme-1"), []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.add(root); problemID(err) != "bad-key" {
		t.Errorf("%v", err)
	}
	if err := os.Chmod(k.file("acme-1"), 0o604); err != nil {
		t.Fatal(err)
	}
	if err := k.add(root); problemID(err) != "key-readable" {
		t.Errorf("%v", err)
	}
}

// TestSigner: which key signs for a namespace, and why none does.
func TestSigner(t *testing.T) {
	root, writer, stranger := secretKey(t, "acme-1"), secretKey(t, "ci-main"), secretKey(t, "zoe")
	a := namespace.AddressOf(root.Public())
	dir := t.TempDir()
	elsewhere := filepath.Join(dir, "elsewhere")
	put := func(file string, key nix.SecretKey, mode fs.FileMode) func(t *testing.T, keys string) {
		return func(t *testing.T, keys string) {
			if !filepath.IsAbs(file) {
				file = filepath.Join(keys, file)
			}
			if err := os.WriteFile(file, []byte(key.Text()), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	text := func(file, text string) func(t *testing.T, keys string) {
		return func(t *testing.T, keys string) {
			if err := os.WriteFile(filepath.Join(keys, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	type steps []func(t *testing.T, keys string)
	withWriter := written(t, root, writer)
	for _, test := range []struct {
		name      string
		files     steps
		elsewhere map[namespace.Address]string
		policy    func(namespace.Address) (*trust.Policy, bool)
		want      nix.SecretKey // the zero key: none
		id        string
	}{
		{"nothing", nil, nil, withWriter, nix.SecretKey{}, "not-a-writer"},
		{"the root's", steps{put("acme-1.sec", root, 0o600)}, nil, noPolicy, root, ""},
		{"the root's, under another name", steps{put("backup.sec", root, 0o400)}, nil, noPolicy, root, ""},
		{"the root's before a writer's", steps{put("aaa.sec", writer, 0o600), put("acme-1.sec", root, 0o600)}, nil, withWriter, root, ""},
		{"a writer's", steps{put("ci-main.sec", writer, 0o600)}, nil, withWriter, writer, ""},
		{"a writer's, of which no document is known", steps{put("ci-main.sec", writer, 0o600)}, nil, noPolicy, nix.SecretKey{}, "not-a-writer"},
		{"a stranger's", steps{put("zoe.sec", stranger, 0o600)}, nil, withWriter, nix.SecretKey{}, "not-a-writer"},
		{"another key in the root's file, and a writer's", steps{put("acme-1.sec", stranger, 0o600), put("ci-main.sec", writer, 0o600)}, nil, withWriter, writer, ""},
		{"the root's, readable", steps{put("acme-1.sec", root, 0o640)}, nil, withWriter, nix.SecretKey{}, "key-readable"},
		{"the root's, readable, and a writer's", steps{put("acme-1.sec", root, 0o640), put("ci-main.sec", writer, 0o600)}, nil, withWriter, writer, ""},
		{"a stranger's, readable, and a writer's", steps{put("aaa.sec", stranger, 0o666), put("ci-main.sec", writer, 0o600)}, nil, withWriter, writer, ""},
		{"rubbish", steps{text("acme-1.sec", "rubbish")}, nil, withWriter, nix.SecretKey{}, "bad-key"},
		{"an empty file", steps{text("acme-1.sec", "")}, nil, withWriter, nix.SecretKey{}, "bad-key"},
		{"a directory", steps{func(t *testing.T, keys string) {
			if err := os.Mkdir(filepath.Join(keys, "acme-1.sec"), 0o700); err != nil {
				t.Fatal(err)
			}
		}}, nil, withWriter, nix.SecretKey{}, "bad-key"},
		{"other files", steps{text("README", "x"), text("acme-1.sec~", root.Text()), text("acme-1", root.Text())}, nil, withWriter, nix.SecretKey{}, "not-a-writer"},
		{"this machine's own key, were it a writer", steps{put("flurry-local-1.sec", writer, 0o600)}, nil, withWriter, nix.SecretKey{}, "not-a-writer"},
		{"elsewhere", steps{put(elsewhere, root, 0o600)}, map[namespace.Address]string{a: elsewhere}, noPolicy, root, ""},
		{"elsewhere, before the directory's", steps{put(elsewhere, writer, 0o600), put("acme-1.sec", root, 0o600)}, map[namespace.Address]string{a: elsewhere}, withWriter, writer, ""},
		{"elsewhere, where nothing is", nil, map[namespace.Address]string{a: filepath.Join(dir, "missing")}, noPolicy, nix.SecretKey{}, ""},
		{"elsewhere, of another namespace", steps{put(elsewhere, root, 0o600)}, map[namespace.Address]string{namespace.AddressOf(stranger.Public()): elsewhere}, noPolicy, nix.SecretKey{}, "not-a-writer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			keys := filepath.Join(t.TempDir(), "keys")
			k, err := openKeyring(keys, test.elsewhere, test.policy)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range test.files {
				step(t, keys)
			}
			got, err := k.Signer(a)
			if test.want.Name() != "" {
				if err != nil || got.Public() != test.want.Public() {
					t.Errorf("%v, %v", got, err)
				}
				return
			}
			if err == nil || problemID(err) != test.id {
				t.Errorf("%v, %v", got, err)
			}
			if err != nil && strings.Contains(err.Error(), root.Text()[10:20]) {
				t.Errorf("the error repeats the secret: %v", err)
			}
		})
	}
}

// TestReadKeyFile: what a person may name with --key.
func TestReadKeyFile(t *testing.T) {
	dir := t.TempDir()
	key := secretKey(t, "acme-1")
	good, missing := filepath.Join(dir, "good.sec"), filepath.Join(dir, "missing.sec")
	if err := os.WriteFile(good, []byte("\n "+key.Text()+" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := readKeyFile(good); err != nil || got.Public() != key.Public() {
		t.Errorf("%v", err)
	}
	long := filepath.Join(dir, "long.sec")
	if err := os.WriteFile(long, []byte(strings.Repeat(" ", maxKeyFile)+key.Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.sec")
	if err := os.Symlink("/nix/store/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz-key", link); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		missing: "usage", long: "bad-key", dir: "bad-key", "/nix/store/x": "key-in-store", "/nix/store/../store/x": "key-in-store", "/nix/./store/x": "key-in-store",
		"/nix/storex/y": "usage", "/nix/store": "key-in-store",
	} {
		if _, err := readKeyFile(name); problemID(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A link into a store that is there is followed; one that leads nowhere is missing.
	if _, err := readKeyFile(link); err == nil {
		t.Error("a link to nowhere")
	}
}

// TestSecretProblem: whatever is wrong with a secret, no letter of it is told.
func TestSecretProblem(t *testing.T) {
	key := secretKey(t, "acme-1").Text()
	data := key[len("acme-1:"):]
	for name, text := range map[string]string{
		"short": key[:40], "long": key + "AAAA", "half": "acme-1:" + data[44:], "no name": ":" + data, "no colon": data, "damaged": "acme-1:" + "B" + data[1:], "not base64": "acme-1:!" + data,
		"two": key + " " + key, "spelling": key[:len(key)-3] + "B" + key[len(key)-2:], "bad name": "a b:" + data, "empty": "",
	} {
		_, err := nix.ParseSecretKey(text)
		if err == nil {
			t.Errorf("%s: it is a key", name)
			continue
		}
		told := secretProblem("FLURRY_KEY", err)
		if problemID(told) != "bad-key" || !strings.HasPrefix(told.Error(), "FLURRY_KEY holds no secret key: ") {
			t.Errorf("%s: %v", name, told)
		}
		for at := 0; at+6 <= len(data); at++ {
			if strings.Contains(told.Error(), data[at:at+6]) {
				t.Errorf("%s: %v repeats the secret", name, told)
				break
			}
		}
	}
}

// TestSecretAmong: a secret key is found wherever it stands on the command line.
func TestSecretAmong(t *testing.T) {
	key := secretKey(t, "acme-1")
	for _, args := range [][]string{{key.Text()}, {"use", key.Text()}, {"new", "--key=" + key.Text()}, {"--", key.Text()}, {"use", " " + key.Text() + "\n"}} {
		err := secretAmong(args)
		if problemID(err) != "secret-key-given" || !strings.HasSuffix(err.Error(), " is "+key.Public().String()) || strings.Contains(err.Error(), key.Text()) {
			t.Errorf("%v", err)
		}
	}
	for _, args := range [][]string{nil, {""}, {"use", key.Public().String()}, {"use", acmeKey}, {"--key=x"}, {"a=b"}} {
		if err := secretAmong(args); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
}
