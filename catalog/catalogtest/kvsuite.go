package catalogtest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/catalog"
)

// RunKV runs the tests that every [catalog.KV] must pass. open returns an empty
// one and closes it with t.Cleanup where that is needed.
func RunKV(t *testing.T, open func(t *testing.T) catalog.KV) {
	for name, test := range map[string]func(*testing.T, catalog.KV){
		"Get":             testGet,
		"Ownership":       testOwnership,
		"ScanBounds":      testScanBounds,
		"ScanStops":       testScanStops,
		"ScanIsSnapshot":  testScanIsSnapshot,
		"OrderInBatch":    testOrderInBatch,
		"DeletePrefix":    testDeletePrefix,
		"LargeBatch":      testLargeBatch,
		"AgainstAMap":     testAgainstAMap,
		"ConcurrentApply": testConcurrentApply,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func putOp(k, v string) catalog.Op {
	return catalog.Op{Kind: catalog.OpPut, Key: []byte(k), Value: []byte(v)}
}

func deleteOp(k string) catalog.Op {
	return catalog.Op{Kind: catalog.OpDelete, Key: []byte(k)}
}

func deletePrefixOp(k string) catalog.Op {
	return catalog.Op{Kind: catalog.OpDeletePrefix, Key: []byte(k)}
}

func apply(t *testing.T, kv catalog.KV, ops ...catalog.Op) {
	t.Helper()
	if err := kv.Apply(ops, false); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

// keys returns "k=v" of what Scan shows.
func keys(t *testing.T, kv catalog.KV, prefix, from string) []string {
	t.Helper()
	var got []string
	err := kv.Scan([]byte(prefix), []byte(from), func(k, v []byte) (bool, error) {
		got = append(got, string(k)+"="+string(v))
		return true, nil
	})
	if err != nil {
		t.Fatalf("Scan(%q, %q): %v", prefix, from, err)
	}
	return got
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func testGet(t *testing.T, kv catalog.KV) {
	if _, err := kv.Get([]byte("a")); !errors.Is(err, catalog.ErrNotFound) {
		t.Fatalf("Get of nothing: %v, want ErrNotFound", err)
	}
	if err := kv.Apply([]catalog.Op{putOp("a", "1"), putOp("empty", "")}, true); err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{"a": "1", "empty": ""} {
		if got, err := kv.Get([]byte(k)); err != nil || string(got) != v {
			t.Fatalf("Get(%q) = %q, %v, want %q", k, got, err, v)
		}
	}
	apply(t, kv, deleteOp("a"), deleteOp("never"))
	if _, err := kv.Get([]byte("a")); !errors.Is(err, catalog.ErrNotFound) {
		t.Fatalf("Get of what was deleted: %v, want ErrNotFound", err)
	}
}

func testOwnership(t *testing.T, kv catalog.KV) {
	op := putOp("key", "value")
	apply(t, kv, op)
	spoil(op.Key)
	spoil(op.Value)
	got, err := kv.Get([]byte("key"))
	if err != nil || string(got) != "value" {
		t.Fatalf("after the caller reused its slices: %q, %v", got, err)
	}
	spoil(got)
	if got, err := kv.Get([]byte("key")); err != nil || string(got) != "value" {
		t.Fatalf("after the caller wrote to what Get returned: %q, %v", got, err)
	}
}

func testScanBounds(t *testing.T, kv catalog.KV) {
	apply(t, kv, putOp("b\xff\xff", "4"), putOp("b", "1"), putOp("a\xff", "0"), putOp("b\x00", "2"), putOp("c", "5"), putOp("b\xff", "3"))
	want(t, keys(t, kv, "b", ""), "b=1", "b\x00=2", "b\xff=3", "b\xff\xff=4")
	want(t, keys(t, kv, "b", "a"), "b=1", "b\x00=2", "b\xff=3", "b\xff\xff=4")
	want(t, keys(t, kv, "b", "b\x00"), "b\x00=2", "b\xff=3", "b\xff\xff=4")
	want(t, keys(t, kv, "b", "b\x00\x00"), "b\xff=3", "b\xff\xff=4")
	want(t, keys(t, kv, "b\xff", ""), "b\xff=3", "b\xff\xff=4")
	want(t, keys(t, kv, "b", "c"))
	want(t, keys(t, kv, "bb", ""))
	want(t, keys(t, kv, "", "b\xff\xff"), "b\xff\xff=4", "c=5")
}

func testScanStops(t *testing.T, kv catalog.KV) {
	apply(t, kv, putOp("1", ""), putOp("2", ""), putOp("3", ""))
	for _, end := range []error{nil, errors.New("enough")} {
		n := 0
		err := kv.Scan(nil, nil, func(k, v []byte) (bool, error) { n++; return n < 2 && end == nil, end })
		if !errors.Is(err, end) {
			t.Fatalf("Scan answered %v, want the callback's %v", err, end)
		}
		if wantCalls := map[bool]int{true: 2, false: 1}[end == nil]; n != wantCalls {
			t.Fatalf("%d calls, want %d", n, wantCalls)
		}
	}
}

func testScanIsSnapshot(t *testing.T, kv catalog.KV) {
	apply(t, kv, putOp("1", "old"), putOp("2", "old"), putOp("3", "old"))
	var got []string
	err := kv.Scan(nil, nil, func(k, v []byte) (bool, error) {
		got = append(got, string(k)+"="+string(v))
		return true, kv.Apply([]catalog.Op{putOp("2", "new"), deleteOp("3"), putOp("4", "new")}, false)
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, got, "1=old", "2=old", "3=old")
	want(t, keys(t, kv, "", ""), "1=old", "2=new", "4=new")
}

func testOrderInBatch(t *testing.T, kv catalog.KV) {
	apply(t, kv, putOp("p1", "before"))
	apply(t, kv, putOp("a", "1"), deleteOp("a"), putOp("b", "1"), putOp("b", "2"),
		putOp("p2", "gone"), deletePrefixOp("p"), putOp("p3", "stays"))
	want(t, keys(t, kv, "", ""), "b=2", "p3=stays")
}

func testDeletePrefix(t *testing.T, kv catalog.KV) {
	apply(t, kv, putOp("a\xff\xfe", ""), putOp("a\xff", ""), putOp("a\xff\xff\xff", ""), putOp("a", ""), putOp("b", ""), putOp("`", ""))
	apply(t, kv, deletePrefixOp("nothing"))
	apply(t, kv, deletePrefixOp("a\xff"))
	want(t, keys(t, kv, "", ""), "`=", "a=", "b=")
	apply(t, kv, deletePrefixOp("a"))
	want(t, keys(t, kv, "", ""), "`=", "b=")
}

// testLargeBatch applies more than fits a memtable of a small store.
func testLargeBatch(t *testing.T, kv catalog.KV) {
	const n = 4096
	value := bytes.Repeat([]byte{7}, 2048)
	var ops []catalog.Op
	for i := range n {
		ops = append(ops, catalog.Op{Kind: catalog.OpPut, Key: fmt.Appendf(nil, "%06d", i), Value: value})
	}
	if err := kv.Apply(ops, true); err != nil {
		t.Fatal(err)
	}
	if got := len(keys(t, kv, "", "")); got != n {
		t.Fatalf("%d keys after a large batch, want %d", got, n)
	}
}

// testAgainstAMap compares with the simplest store there is.
func testAgainstAMap(t *testing.T, kv catalog.KV) {
	rng := rand.New(rand.NewPCG(1, 2))
	model := map[string]string{}
	word := func() string {
		b := make([]byte, 1+rng.IntN(3))
		for i := range b {
			b[i] = "ab\x00\xff"[rng.IntN(4)]
		}
		return "k" + string(b)
	}
	for range 300 {
		var ops []catalog.Op
		for range 1 + rng.IntN(6) {
			k, v := word(), fmt.Sprint(rng.Uint32())
			switch rng.IntN(8) {
			case 0:
				ops = append(ops, deletePrefixOp(k))
				maps.DeleteFunc(model, func(have, _ string) bool { return strings.HasPrefix(have, k) })
			case 1, 2:
				ops = append(ops, deleteOp(k))
				delete(model, k)
			default:
				ops = append(ops, putOp(k, v))
				model[k] = v
			}
		}
		apply(t, kv, ops...)
		prefix, from := word(), word()
		var expect []string
		for _, k := range slices.Sorted(maps.Keys(model)) {
			if strings.HasPrefix(k, prefix) && k >= from {
				expect = append(expect, k+"="+model[k])
			}
		}
		want(t, keys(t, kv, prefix, from), expect...)
	}
}

func testConcurrentApply(t *testing.T, kv catalog.KV) {
	const writers, each = 8, 20
	failed := make(chan error, writers)
	for w := range writers {
		go func() {
			var err error
			for i := range each {
				err = errors.Join(err, kv.Apply([]catalog.Op{putOp(fmt.Sprintf("%d/%d", w, i), "x"), putOp(fmt.Sprintf("last/%d", w), fmt.Sprint(i))}, i%5 == 0))
			}
			failed <- err
		}()
	}
	for range writers {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	if got := len(keys(t, kv, "", "")); got != writers*(each+1) {
		t.Fatalf("%d keys, want %d", got, writers*(each+1))
	}
}
