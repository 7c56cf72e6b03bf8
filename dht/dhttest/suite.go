package dhttest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/peer"
)

// patience is how long a test waits for what it expects before it fails. It is
// never waited for in a test that passes.
const patience = 30 * time.Second

// Member is one router of a DHT under test, and the id it is announced as.
type Member struct {
	ID     peer.ID
	Router dht.Router
}

// Run tests that a router does what [dht.Router] says. connect makes n running
// routers that reach each other, and ends them when the test ends.
func Run(t *testing.T, connect func(t *testing.T, n int) []Member) {
	for name, test := range map[string]func(*testing.T, func(*testing.T, int) []Member){
		"found by others":      testFound,
		"never oneself":        testNotSelf,
		"unknown key":          testUnknown,
		"several providers":    testSeveral,
		"many keys at once":    testMany,
		"ended early":          testBreak,
		"ended contexts":       testContexts,
		"withdrawn, again":     testWithdraw,
		"nothing to do":        testNothing,
		"used by many at once": testConcurrent,
	} {
		t.Run(name, func(t *testing.T) { test(t, connect) })
	}
}

// Key derives a key for tests from a name.
func Key(name string) dht.Key { return sha256.Sum256([]byte("dhttest:" + name)) }

// Find walks until providers of k include all of want, and returns what the last
// walk yielded. Announcing happens in the background: a walk that comes too early
// is repeated.
func Find(t *testing.T, r dht.Router, k dht.Key, want ...peer.ID) []peer.Info {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		found := slices.Collect(r.Providers(ctx, k))
		if includes(found, want) {
			return found
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the last walk for %s yielded %v, want %v among them", k, found, want)
		}
	}
}

func includes(found []peer.Info, want []peer.ID) bool {
	for _, id := range want {
		if !slices.ContainsFunc(found, func(i peer.Info) bool { return i.ID == id }) {
			return false
		}
	}
	return true
}

func provide(t *testing.T, m Member, keys ...dht.Key) {
	t.Helper()
	if err := m.Router.Provide(t.Context(), keys...); err != nil {
		t.Fatal(err)
	}
}

func testFound(t *testing.T, connect func(*testing.T, int) []Member) {
	ms := connect(t, 3)
	k := Key("found")
	provide(t, ms[0], k)
	for _, m := range ms[1:] {
		found := Find(t, m.Router, k, ms[0].ID)
		if len(found) != 1 {
			t.Fatalf("found %v, want the one that provides it", found)
		}
		checkAddrs(t, found[0])
		if len(found[0].Addrs) == 0 {
			t.Error("found without an address")
		}
	}
}

func checkAddrs(t *testing.T, i peer.Info) {
	t.Helper()
	if len(i.Addrs) > dht.MaxAddrs {
		t.Errorf("%d addresses, at most %d are handed on", len(i.Addrs), dht.MaxAddrs)
	}
	for _, a := range i.Addrs {
		if strings.Contains(a, "/p2p/"+string(i.ID)) {
			t.Errorf("the address %s repeats the id", a)
		}
	}
}

func testNotSelf(t *testing.T, connect func(*testing.T, int) []Member) {
	ms := connect(t, 2)
	k := Key("self")
	provide(t, ms[0], k)
	provide(t, ms[1], k)
	for i, m := range ms {
		other := ms[1-i].ID
		if found := Find(t, m.Router, k, other); len(found) != 1 {
			t.Errorf("router %d found %v, want the other alone", i, found)
		}
	}
}

func testUnknown(t *testing.T, connect func(*testing.T, int) []Member) {
	ms := connect(t, 2)
	provide(t, ms[0], Key("known"))
	Find(t, ms[1].Router, Key("known"), ms[0].ID)
	if found := slices.Collect(ms[1].Router.Providers(t.Context(), Key("unknown"))); len(found) != 0 {
		t.Errorf("a key that nobody provides has %v", found)
	}
}

func testSeveral(t *testing.T, connect func(*testing.T, int) []Member) {
	ms := connect(t, 4)
	k := Key("several")
	for _, m := range ms[:3] {
		provide(t, m, k)
	}
	found := Find(t, ms[3].Router, k, ms[0].ID, ms[1].ID, ms[2].ID)
	seen := make(map[peer.ID]bool)
	for _, i := range found {
		checkAddrs(t, i)
		if seen[i.ID] {
			t.Errorf("%s was yielded twice", i.ID)
		}
		seen[i.ID] = true
	}
	if len(found) != 3 {
		t.Errorf("%d providers, want 3", len(found))
	}
}

func testMany(t *testing.T, connect func(*testing.T, int) []Member) {
	ms := connect(t, 3)
	var keys []dht.Key
	for i := range 300 {
		keys = append(keys, Key(fmt.Sprint("many ", i)))
	}
	provide(t, ms[0], append(keys, keys...)...) // twice each
	for i := 0; i < len(keys); i += 29 {
		Find(t, ms[2].Router, keys[i], ms[0].ID)
	}
}

func testBreak(t *testing.T, connect func(*testing.T, int) []Member) {
	ms := connect(t, 3)
	k := Key("break")
	provide(t, ms[0], k)
	provide(t, ms[1], k)
	Find(t, ms[2].Router, k, ms[0].ID, ms[1].ID)
	yielded := 0
	for range ms[2].Router.Providers(t.Context(), k) {
		yielded++
		break
	}
	if yielded != 1 {
		t.Errorf("yielded %d before the end, want 1", yielded)
	}
}

func testContexts(t *testing.T, connect func(*testing.T, int) []Member) {
	ms := connect(t, 2)
	k := Key("contexts")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ms[0].Router.Provide(ended, k); err == nil {
		t.Error("Provide under an ended context gave no error")
	}
	provide(t, ms[0], k)
	Find(t, ms[1].Router, k, ms[0].ID)
	if found := slices.Collect(ms[1].Router.Providers(ended, k)); len(found) != 0 {
		t.Errorf("a walk under an ended context yielded %v", found)
	}
	if err := ms[0].Router.Withdraw(ended, k); err == nil {
		t.Error("Withdraw under an ended context gave no error")
	}
}

func testWithdraw(t *testing.T, connect func(*testing.T, int) []Member) {
	ms := connect(t, 2)
	k, other := Key("withdrawn"), Key("never provided")
	provide(t, ms[0], k)
	Find(t, ms[1].Router, k, ms[0].ID)
	for range 2 {
		if err := ms[0].Router.Withdraw(t.Context(), k, other); err != nil {
			t.Fatal(err)
		}
	}
	provide(t, ms[0], k)
	Find(t, ms[1].Router, k, ms[0].ID)
}

func testNothing(t *testing.T, connect func(*testing.T, int) []Member) {
	m := connect(t, 1)[0]
	if err := m.Router.Provide(t.Context()); err != nil {
		t.Error(err)
	}
	if err := m.Router.Withdraw(t.Context()); err != nil {
		t.Error(err)
	}
	provide(t, m, Key("alone"))
	if found := slices.Collect(m.Router.Providers(t.Context(), Key("alone"))); len(found) != 0 {
		t.Errorf("a router alone found %v", found)
	}
}

func testConcurrent(t *testing.T, connect func(*testing.T, int) []Member) {
	ms := connect(t, 3)
	var g sync.WaitGroup
	for i := range 8 {
		g.Go(func() {
			m, k := ms[i%len(ms)], Key(fmt.Sprint("concurrent ", i/2))
			if err := m.Router.Provide(t.Context(), k); err != nil {
				t.Error(err)
			}
			for range m.Router.Providers(t.Context(), k) {
			}
			if i%4 == 3 {
				if err := m.Router.Withdraw(t.Context(), k); err != nil {
					t.Error(err)
				}
			}
		})
	}
	g.Wait()
	Find(t, ms[2].Router, Key("concurrent 0"), ms[0].ID)
}
