package node_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/trust"
)

// community is some machines that use one namespace and give it to everybody, and all that was signed in it.
type community struct {
	*world
	*catalogtest.Publisher
	rng      *rand.Rand
	machines []*machine

	writers []nix.SecretKey
	serial  uint64
	lists   []*namespace.KeepList
	latest  namespace.Document
	signers map[namespace.ID]nix.PublicKey // of what some catalog took
	ids     []namespace.ID                 // the same, in order
}

func newCommunity(t *testing.T, seed uint64, size int) *community {
	c := &community{world: newWorld(t), Publisher: catalogtest.NewPublisher(t, "acme-1", seed), rng: rand.New(rand.NewPCG(seed, 2)),
		signers: make(map[namespace.ID]nix.PublicKey)}
	c.Start = time.Now().Truncate(time.Second)
	c.Life = 300 * 24 * time.Hour
	c.writers = []nix.SecretKey{c.Key("a"), c.Key("b"), c.Key("c")}
	for i := range size {
		m := c.machine(fmt.Sprint("m", i), node.ShareAll, nil)
		c.machines = append(c.machines, m)
		c.joins(m)
	}
	c.edits(0)
	return c
}

func (c *community) joins(m *machine) {
	c.t.Helper()
	if err := m.Put(node.Space{Alias: "acme-1", Address: c.Address, Use: true}); err != nil {
		c.t.Fatal(err)
	}
}

// edits makes a document of the next serial known to machine i: who is a writer, who is closed with what kept, and what is
// withdrawn is left to chance.
func (c *community) edits(i int) {
	c.t.Helper()
	time.Sleep(2 * time.Second) // a serial is at most the seconds of its time
	c.serial++
	d := c.Document(c.serial, func(d *namespace.Document) {
		d.Issued = time.Now().Truncate(time.Second)
		d.Expires = d.Issued.AddDate(1, 0, 0)
		for _, w := range c.writers {
			switch {
			case c.serial == 1 || c.rng.IntN(3) > 0:
				d.Writers = append(d.Writers, namespace.Writer{Key: w.Public()})
			case c.rng.IntN(2) == 0:
				list := &namespace.KeepList{Namespace: c.Address}
				for _, id := range c.ids {
					if c.rng.IntN(2) == 0 {
						list.Publications = append(list.Publications, id)
					}
				}
				slices.SortFunc(list.Publications, namespace.ID.Compare)
				c.lists = append(c.lists, list)
				d.Closed = append(d.Closed, namespace.Closed{Key: w.Public(), Keep: list.ID()})
			}
		}
		for _, id := range c.ids {
			if c.rng.IntN(10) == 0 {
				d.Withdrawn = append(d.Withdrawn, namespace.Withdrawal{Publication: id, Reason: "test"})
			}
		}
	})
	c.latest = *d.Value()
	if err := c.machines[i].list.Adopt(c.t.Context(), d, c.lists); err != nil {
		c.t.Fatal(err)
	}
}

// publishes makes a publication on machine i, which the policy there may refuse.
func (c *community) publishes(i int) {
	c.t.Helper()
	policy, ok := c.machines[i].list.Policy(c.Address)
	if !ok {
		return
	}
	key := append(c.writers, c.Root)[c.rng.IntN(len(c.writers)+1)]
	raw := c.Publication(key, func(p *namespace.Publication) {
		p.Time = time.Now().Truncate(time.Second)
		p.Expires = p.Time.Add(c.Life)
		p.Entries = append(p.Entries, catalogtest.Entry(fmt.Sprint("path", c.rng.IntN(1000)), fmt.Sprint(c.rng.IntN(1000))))
	})
	pub, err := policy.VerifyPublication(raw)
	if err == nil {
		_, err = c.machines[i].list.Add(c.t.Context(), pub)
	}
	if errors.Is(err, trust.ErrUntrusted) {
		return
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.signers[pub.ID()] = key.Public()
	c.ids = append(c.ids, pub.ID())
}

// acceptable is the model: what counts, under the latest document, of all that was ever taken in somewhere.
func (c *community) acceptable() []namespace.ID {
	kept := func(key nix.PublicKey, id namespace.ID) bool {
		for _, closed := range c.latest.Closed {
			for _, l := range c.lists {
				if closed.Key == key && l.ID() == closed.Keep && slices.Contains(l.Publications, id) {
					return true
				}
			}
		}
		return false
	}
	var ids []namespace.ID
	for id, key := range c.signers {
		writes := key == c.Root.Public() || slices.ContainsFunc(c.latest.Writers, func(w namespace.Writer) bool { return w.Key == key })
		withdrawn := slices.ContainsFunc(c.latest.Withdrawn, func(w namespace.Withdrawal) bool { return w.Publication == id })
		if (writes || kept(key, id)) && !withdrawn {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, namespace.ID.Compare)
	return ids
}

// has is what counts on a machine.
func (c *community) has(m *machine) []namespace.ID {
	c.t.Helper()
	var ids []namespace.ID
	for b := range 256 {
		some, err := m.list.IDs(c.t.Context(), c.Address, byte(b))
		if err != nil && !errors.Is(err, catalog.ErrNotFound) {
			c.t.Fatal(err)
		}
		ids = append(ids, some...)
	}
	return ids
}

// parts breaks the network into two parts.
func (c *community) parts() {
	var groups [2][]peer.ID
	for _, m := range c.machines {
		k := c.rng.IntN(2)
		groups[k] = append(groups[k], m.link.Self().ID)
	}
	c.net.Partition(groups[0], groups[1])
}

// meets connects two machines, if they can reach each other now.
func (c *community) meets(i, j int) {
	if i != j {
		_ = c.machines[i].Meet(c.t.Context(), c.machines[j].link.Self())
	}
}

func (c *community) any() int { return c.rng.IntN(len(c.machines)) }

// step lets one thing happen.
func (c *community) step() {
	switch c.rng.IntN(18) {
	case 0:
		c.parts()
	case 1:
		c.net.Heal()
	case 2:
		c.net.Drop(c.rng.Float64() / 2)
	case 3:
		c.net.Drop(0)
	case 4:
		i := c.any()
		c.machines[i] = c.restart(c.machines[i])
		c.joins(c.machines[i])
	case 5:
		c.net.Delay(time.Duration(c.rng.IntN(100)) * time.Millisecond)
	case 6:
		// Only who follows the latest document can sign the next one.
		for i, m := range c.machines {
			if m.list.Stats(c.Address).Serial == c.serial {
				c.edits(i)
				break
			}
		}
	case 7, 8:
		c.meets(c.any(), c.any())
	default:
		c.publishes(c.any())
	}
	time.Sleep(time.Duration(c.rng.ExpFloat64() * float64(10*time.Second)))
}

// TestConverge: machines publish, sign documents, lose connections and streams, restart, and are parted, in an order left to
// chance. When all can talk again, over others if need be, each has what the model says.
func TestConverge(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, rand.Uint64()}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCommunity(t, seed, 5)
				for range 120 {
					c.step()
				}
				c.net.Heal()
				c.net.Drop(0)
				for i := range c.machines[1:] {
					c.meets(i, i+1)
				}
				time.Sleep(15 * time.Minute) // of the bubble's time: the slowest way to learn of something, and a little
				want := c.acceptable()
				t.Logf("%d of %d publications count, under document %d", len(want), len(c.ids), c.serial)
				for _, m := range c.machines {
					if s := m.list.Stats(c.Address).Serial; s != c.serial {
						t.Errorf("%s follows document %d, not %d", m.name, s, c.serial)
					}
					if got := c.has(m); !slices.Equal(got, want) {
						t.Errorf("%s counts %d publications, not %d", m.name, len(got), len(want))
					}
				}
			})
		})
	}
}

// TestReinstatedPublicationComes: what a node could not take under its document is asked for again under the next one, over
// the connection that has been there all along, though whoever has it told of it long ago and follows an older document.
func TestReinstatedPublicationComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommunity(t, 1, 1)
		for len(c.ids) < 3 {
			c.publishes(0)
		}
		bob := c.machine("bob", node.ShareNone, nil) // whom nobody learns a document from
		c.joins(bob)
		adopts := func(serial uint64, withdrawn ...namespace.ID) {
			time.Sleep(10 * time.Second)
			d := c.Document(serial, func(d *namespace.Document) {
				d.Issued = time.Now().Truncate(time.Second)
				d.Expires = d.Issued.AddDate(1, 0, 0)
				catalogtest.Writers(c.writers...)(d)
				for _, id := range withdrawn {
					d.Withdrawn = append(d.Withdrawn, namespace.Withdrawal{Publication: id, Reason: "by mistake"})
				}
			})
			if err := bob.list.Adopt(t.Context(), d, nil); err != nil {
				t.Fatal(err)
			}
		}
		adopts(2, c.ids...)
		bob.meet(c.machines[0])
		time.Sleep(2 * time.Minute)
		if got := c.has(bob); len(got) != 0 {
			t.Fatalf("bob has %d publications that the document takes back", len(got))
		}
		adopts(3)
		time.Sleep(2 * time.Minute) // a long poll has to end
		slices.SortFunc(c.ids, namespace.ID.Compare)
		if got := c.has(bob); !slices.Equal(got, c.ids) {
			t.Errorf("bob has %d publications after they were given free again, not %d", len(got), len(c.ids))
		}
	})
}
