package kad

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	libpeer "github.com/libp2p/go-libp2p/core/peer"

	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/peer"
)

func infoAt(i int, addrs ...string) peer.Info {
	return peer.Info{ID: peer.ID(someone(i).String()), Addrs: addrs}
}

func ids(infos []libpeer.AddrInfo) (out []libpeer.ID) {
	for _, i := range infos {
		out = append(out, i.ID)
	}
	return out
}

func TestCompany(t *testing.T) {
	const at = "/ip4/203.0.113.1/tcp/7670"
	c, err := openCompany(memDB(t), someone(0), []peer.Info{infoAt(1000, at)})
	if err != nil {
		t.Fatal(err)
	}
	c.add(infoAt(0, at)) // this node itself
	if all := ids(c.all()); len(all) != 1 || all[0] != someone(1000) {
		t.Fatalf("%v, want the one that was given", all)
	}
	for i := range maxKnown + 10 {
		c.add(infoAt(i, at))
	}
	c.add(infoAt(20, at, "not an address", "/ip4/203.0.113.2/tcp/7670"))
	unmet := c.unmet()
	if len(unmet) != maxKnown {
		t.Errorf("%d to meet, want %d", len(unmet), maxKnown)
	}
	if last := unmet[len(unmet)-1]; last.ID != someone(20) || len(last.Addrs) != 2 {
		t.Errorf("the last is %v, want the one that was found again", last)
	}
	if again := c.unmet(); len(again) != 0 {
		t.Errorf("%d are to be met again", len(again))
	}
	c.add(infoAt(21, at))
	if all := ids(c.all()); len(all) != maxKnown+1 || all[0] != someone(1000) || all[maxKnown] != someone(21) {
		t.Errorf("%d in all, want %d", len(all), maxKnown+1)
	}
	if again := c.unmet(); len(again) != 0 {
		t.Errorf("%d are to be met again, though all were", len(again))
	}
}

func TestCompanyOfDamagedMemory(t *testing.T) {
	for _, raw := range []string{"", "{", `[{"ID":"x","Addrs":["y"]},{}]`} {
		d := memDB(t)
		if err := d.Set([]byte(companyKey), []byte(raw), pebble.Sync); err != nil {
			t.Fatal(err)
		}
		if c, err := openCompany(d, someone(0), nil); err != nil || len(c.all()) != 0 {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func TestAddrInfoIsBounded(t *testing.T) {
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("/ip4/203.0.113.1/tcp/%d", i+1))
	}
	info, err := addrInfo(infoAt(1, many...))
	if err != nil || len(info.Addrs) > 2*dht.MaxAddrs {
		t.Errorf("%d addresses, %v", len(info.Addrs), err)
	}
	back := infoOf(info)
	if len(back.Addrs) != dht.MaxAddrs || back.ID != infoAt(1).ID {
		t.Errorf("%s with %d addresses, want %s with %d", back.ID, len(back.Addrs), infoAt(1).ID, dht.MaxAddrs)
	}
}
