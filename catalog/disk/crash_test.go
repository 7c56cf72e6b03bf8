package disk

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/flurry-nix/flurry/catalog"
)

func has(t *testing.T, kv *KV, key string) bool {
	t.Helper()
	_, err := kv.Get([]byte(key))
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func put(t *testing.T, kv *KV, sync bool, keys ...string) {
	t.Helper()
	var ops []catalog.Op
	for _, k := range keys {
		ops = append(ops, catalog.Op{Kind: catalog.OpPut, Key: []byte(k), Value: []byte(k)})
	}
	if err := kv.Apply(ops, sync); err != nil {
		t.Fatal(err)
	}
}

// TestCrash: what was applied with sync outlives the loss of everything that was
// not flushed, together with what was applied before; a batch comes back whole
// or not at all.
func TestCrash(t *testing.T) {
	fs := vfs.NewCrashableMem()
	kv := openTest(t, fs, "index")
	var crashed []*vfs.MemFS
	const n = 50
	for i := range n {
		put(t, kv, false, fmt.Sprintf("loose/%d", i))
		put(t, kv, true, fmt.Sprintf("a/%d", i), fmt.Sprintf("b/%d", i))
		put(t, kv, false, fmt.Sprintf("after/%d/1", i), fmt.Sprintf("after/%d/2", i))
		crashed = append(crashed, fs.CrashClone(vfs.CrashCloneCfg{}))
	}
	if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
	lost := 0
	for i, fs := range crashed {
		kv := openTest(t, fs, "index")
		for j := range i + 1 {
			for _, prefix := range []string{"loose", "a", "b"} {
				if !has(t, kv, fmt.Sprintf("%s/%d", prefix, j)) {
					t.Fatalf("crash %d: %s/%d is lost", i, prefix, j)
				}
			}
		}
		if has(t, kv, fmt.Sprintf("a/%d", i+1)) {
			t.Fatalf("crash %d: the future is here", i)
		}
		one, two := has(t, kv, fmt.Sprintf("after/%d/1", i)), has(t, kv, fmt.Sprintf("after/%d/2", i))
		if one != two {
			t.Fatalf("crash %d: half a batch is here", i)
		}
		if !one {
			lost++
		}
		if err := kv.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if lost == 0 {
		t.Fatal("nothing was ever lost: this is no crash")
	}
}

// TestOneProcess: a directory is open once at a time.
func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	kv := openTest(t, vfs.Default, dir)
	if second, err := Open(dir, quiet()); err == nil {
		second.Close()
		t.Error("opened twice")
	}
	put(t, kv, true, "k")
	if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
	kv = openTest(t, vfs.Default, dir)
	if !has(t, kv, "k") {
		t.Error("lost in an orderly restart")
	}
	if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRefuses: what no store of this kind can do is an error and changes nothing.
func TestRefuses(t *testing.T) {
	kv := openTest(t, vfs.NewMem(), "index")
	defer kv.Close()
	good := catalog.Op{Kind: catalog.OpPut, Key: []byte("k")}
	for _, bad := range []catalog.Op{
		{Kind: 0, Key: []byte("x")},
		{Kind: 99, Key: []byte("x")},
		{Kind: catalog.OpDeletePrefix, Key: []byte("\xff\xff")},
	} {
		if err := kv.Apply([]catalog.Op{good, bad}, true); err == nil {
			t.Errorf("%+v was carried out", bad)
		}
	}
	if has(t, kv, "k") {
		t.Error("part of a batch was carried out")
	}
}
