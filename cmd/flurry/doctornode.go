package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/flurry-nix/flurry/report"
)

// maxHealth bounds what is read of /health: a few lines, whoever answers.
const maxHealth = 1 << 16

// gatewayURL looks whether the gateway answers over HTTP, as Nix asks it.
func (e *examined) gatewayURL(ctx context.Context) {
	urls := e.gatewayURLs()
	if len(urls) == 0 {
		e.add("gateway.url", report.CheckFail, e.sh.howToStart(), "the gateway has no address")
		return
	}
	at := urls[0]
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/health", nil)
	if err != nil {
		e.add("gateway.url", report.CheckFail, nil, "%s: %v", at, err)
		return
	}
	began := time.Now()
	resp, err := e.http.Do(req)
	if err != nil {
		e.add("gateway.url", report.CheckFail, e.sh.howToStart(), "nothing answers at %s: Nix waits and warns", at)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxHealth))
	took := time.Since(began)
	var said struct {
		Status  string   `json:"status"`
		Reasons []string `json:"reasons"`
	}
	switch {
	case err != nil || json.Unmarshal(body, &said) != nil || said.Status == "":
		who, try := "another program", "sudo ss -ltnp says whose it is"
		if h, ok := holderOf("tcp", portOf(req.URL)); ok {
			who, try = h.String(), "stop it"
		}
		e.add("gateway.url", report.CheckFail, []string{try, "or choose another: [gateway] listen in the configuration file, then flurry setup"}, "what answers at %s is not flurry: %s has the port", at, who)
	case said.Status == "standby":
		e.add("gateway.url", report.CheckFail, []string{"flurry status says why", "journalctl -u flurry"}, "%s answers from the standby: the node is not running, and Nix is told \"not here\"", at)
	case said.Status != "ok":
		e.add("gateway.url", report.CheckWarn, []string{"flurry status"}, "%s answers, and says that not all is well: %.300q", at, strings.Join(said.Reasons, "; "))
	default:
		e.ok("gateway.url", "%s answers in %.1f ms", at, float64(took.Microseconds())/1000)
	}
}

// portOf is the port of an http URL.
func portOf(u *url.URL) int {
	n, err := strconv.Atoi(u.Port())
	if err != nil {
		return 80
	}
	return n
}

// gatewayHost looks whether a web page that calls itself this gateway is refused.
func (e *examined) gatewayHost(ctx context.Context) {
	if e.down != nil {
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.status.Gateway.URL+"/", nil)
	if err != nil {
		return
	}
	req.Host = "rebound.example"
	resp, err := e.http.Do(req)
	if err != nil {
		return // said already
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		e.add("gateway.host", report.CheckFail, []string{"a proxy before the gateway has to pass on the Host that was asked for"}, "the gateway answers who calls it by another's name")
		return
	}
	e.ok("gateway.host", "web pages cannot read what this machine builds")
}

// gatewayStandby looks whether somebody answers while the node is down.
func (e *examined) gatewayStandby(context.Context) {
	switch {
	case e.down != nil:
		p := e.sh.problem(e.down)
		e.add("gateway.daemon", report.CheckFail, p.Try, "%s", p.Message)
	case e.status.Node.Standby:
		e.ok("gateway.standby", "a standby answers while the node is down")
	default:
		e.add("gateway.standby", report.CheckWarn, []string{"flurry daemon, without --no-supervisor, on Linux"}, "there is no standby: while the daemon is down Nix waits and warns")
	}
}

// renewal is how long before its end a document is spoken of.
const renewal = 14 * 24 * time.Hour

// namespaces looks at documents, holders and catalogs.
func (e *examined) namespaces(context.Context) {
	if e.down != nil {
		return
	}
	if len(e.status.Namespaces) == 0 {
		e.add("ns.use", report.CheckWarn, []string{"flurry use NAMESPACE"}, "no namespace is in use: there is nothing to give to Nix")
	}
	now := time.Now()
	for _, n := range e.status.Namespaces {
		publisher := strings.Contains(n.Note, "you publish here")
		origin := n.Serial == 0 && strings.Contains(n.Note, "origin")
		switch {
		case origin:
			e.ok("ns.origin", "%s: %s", n.Alias, n.Note)
		case n.Expires != nil && now.After(*n.Expires):
			// Status says so, with what to do.
		case n.Serial == 0:
			e.add("ns.document", report.CheckWarn, []string{"flurry use " + n.Alias + " --peer HOST        somebody who has it"}, "%s: nobody who has its document was found yet", n.Alias)
		case n.Expires != nil && n.Expires.Sub(now) < renewal:
			try := "ask its publisher to run: flurry show " + n.Alias + " --edit   (renews it)"
			if publisher {
				try = "flurry show " + n.Alias + " --edit"
			}
			e.add("ns.document", report.CheckWarn, []string{try}, "%s: its document is valid until %s", n.Alias, n.Expires.Format(time.DateOnly))
		case n.Serving == 0 && !publisher:
			e.add("ns.seeds", report.CheckWarn, []string{"flurry use " + n.Alias + " --peer HOST        somebody who has it"}, "%s: nobody who holds it is connected", n.Alias)
		case !publisher && n.Synced != nil && now.Sub(*n.Synced) > 24*time.Hour:
			e.add("ns.sync", report.CheckWarn, []string{"flurry status --peers"}, "%s: its catalog was synced %s", n.Alias, n.Synced.Format(time.DateOnly))
		case n.Expires == nil: // no document says until when
			e.ok("ns.document", "%s: serial %d, %d peers hold it", n.Alias, n.Serial, n.Serving)
		default:
			if e.writer(n, now) || e.leftOut(n) {
				continue
			}
			e.ok("ns.document", "%s: serial %d, valid until %s, %d peers hold it", n.Alias, n.Serial, n.Expires.Format(time.DateOnly), n.Serving)
		}
	}
}

// writer looks at the writer's key with which this machine publishes; true: there is something to say.
func (e *examined) writer(n report.Namespace, now time.Time) bool {
	s := e.shown[n.Alias]
	i := slices.IndexFunc(s.Writers, func(w report.Writer) bool { return s.PublishesAs != "" && w.Name == s.PublishesAs })
	if i < 0 || s.Writers[i].Until == nil || s.Writers[i].Until.Sub(now) >= renewal {
		return false
	}
	w := s.Writers[i]
	e.add("ns.writer", report.CheckWarn, []string{"where the root key is: flurry writer add " + n.Alias + " " + w.Key}, "%s: this machine publishes as %s until %s, and not after that", n.Alias, w.Name, w.Until.Format(time.DateOnly))
	return true
}

// leftOut looks whether this machine has the caches to which a namespace leaves paths; true: it lacks one.
func (e *examined) leftOut(n report.Namespace) bool {
	if !n.Trusted || e.found == "" {
		return false
	}
	for _, word := range e.shown[n.Alias].LeavesOut {
		name, _, _ := strings.Cut(word, ":")
		used := slices.ContainsFunc(e.status.Namespaces, func(o report.Namespace) bool { return o.Trusted && o.Key == word })
		if used || slices.Contains(append(slices.Clone(e.nix.trusted), e.nix.extra...), word) {
			continue
		}
		try := "flurry use " + word + " --origin URL        the cache that signs so"
		if alias := strings.TrimSuffix(name, "-1"); alias == "cache.nixos.org" {
			try = "flurry use " + alias
		}
		e.add("ns.upstream", report.CheckWarn, []string{try}, "%s leaves out what %s has, and this machine has no such cache: paths that need it are not given", n.Alias, name)
		return true
	}
	return false
}

// reach looks whether others can come.
func (e *examined) reach(context.Context) {
	n := e.status.Network
	switch {
	case e.down != nil:
	case !n.Online:
		e.ok("net.reach", "silent: nothing goes on the wire before the first use, publish or --peer")
	case e.givesToAll() && !slices.ContainsFunc(n.Addresses, isPublic):
		gives := "what it publishes is given to all"
		if e.status.Sharing.Mode == "all" {
			gives = "it gives to all"
		}
		e.add("net.reach", report.CheckWarn, []string{"open port 7670, TCP and UDP, and forward it to this machine"}, "%d peers; no public address of this machine is known, though %s", n.Peers, gives)
	default:
		e.ok("net.reach", "%d peers, %d of them on the LAN", n.Peers, n.LAN)
	}
}

func (e *examined) givesToAll() bool {
	return e.status.Sharing.Mode == "all" || slices.ContainsFunc(e.status.Namespaces, func(n report.Namespace) bool { return n.Share == "all" })
}

// isPublic reports whether a multiaddr is one that strangers can dial.
func isPublic(multiaddr string) bool {
	parts := strings.Split(multiaddr, "/")
	carriers := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) // behind a provider's NAT (RFC 6598)
	for i, p := range parts[:len(parts)-1] {
		if p == "dns4" || p == "dns6" || p == "dns" {
			return true
		}
		if a, err := netip.ParseAddr(parts[i+1]); (p == "ip4" || p == "ip6") && err == nil && a.IsGlobalUnicast() && !a.IsPrivate() && !carriers.Contains(a) {
			return true
		}
	}
	return false
}

// clock says that the clock is right, when nobody complains.
func (e *examined) clock(context.Context) {
	if e.down == nil && e.status.Network.Peers > 0 && !slices.ContainsFunc(e.status.Problems, func(p report.Problem) bool { return p.ID == "clock-skew" }) {
		e.ok("net.clock", "the clock is as the peers' are")
	}
}

// quicBuffer is what QUIC wants as receive and send buffers, in bytes (quic-go's wiki, "UDP Buffer Sizes").
const quicBuffer = 7_500_000

// buffers looks at the kernel's bounds on UDP buffers.
func (e *examined) buffers(context.Context) {
	for _, name := range []string{"rmem_max", "wmem_max"} {
		f, err := os.ReadFile(e.site.real("/proc/sys/net/core/" + name))
		n, convErr := strconv.Atoi(strings.TrimSpace(string(f)))
		if err == nil && convErr == nil && n < quicBuffer/3 {
			e.add("net.udp", report.CheckWarn, []string{fmt.Sprintf("sudo sysctl -w net.core.rmem_max=%d net.core.wmem_max=%d", quicBuffer, quicBuffer)},
				"UDP buffers are small (%s is %d kB): QUIC will be slow; TCP is used where possible", name, n/1000)
			return
		}
	}
}

// fewFiles is fewer open files than a node with many peers and packs wants.
const fewFiles = 4096

// files looks how many files the daemon may open.
func (e *examined) files(context.Context) {
	if n := e.status.Node.Files; e.down == nil && n > 0 && n < fewFiles {
		e.add("net.fd", report.CheckWarn, []string{"LimitNOFILE=65536 in its unit, or: ulimit -n 65536"}, "the daemon may open %d files: with many peers it will refuse some", n)
	}
}

// multicast looks whether neighbours can be found.
func (e *examined) multicast(context.Context) {
	if !e.conf.config.LAN {
		return
	}
	all, err := e.interfaces()
	if err == nil && !slices.ContainsFunc(all, func(i net.Interface) bool {
		return i.Flags&net.FlagUp != 0 && i.Flags&net.FlagMulticast != 0 && i.Flags&net.FlagLoopback == 0
	}) {
		e.add("net.lan", report.CheckWarn, []string{"name them: flurry daemon --peer HOST:PORT, or peers in [network]"}, "no interface of this machine takes multicast: neighbours are not found by themselves")
	}
}

// storeRoom looks how full the store is.
func (e *examined) storeRoom(context.Context) {
	s := e.status.Store
	switch {
	case e.down != nil:
	case s.DiskFree < s.Reserve:
		e.add("store.reserve", report.CheckFail, []string{"make room on the disk, or: flurry store gc"}, "the disk has %s free, less than the %s that stay free: nothing new is stored", report.Size(s.DiskFree), report.Size(s.Reserve))
	case s.Quota > 0 && float64(s.Bytes) > 0.9*float64(s.Quota):
		e.add("store.quota", report.CheckWarn, []string{"flurry store gc", "or a larger quota in [store] of the configuration file"}, "the store has %d %% of its quota", 100*s.Bytes/s.Quota)
	default:
		e.ok("store.quota", "%s of %s, %s free on the disk", report.Size(s.Bytes), report.Size(s.Quota), report.Size(s.DiskFree))
	}
}

// The file systems on which what was written is not surely on a disk (statfs(2)).
const (
	nfsMagic, smbMagic, smb2Magic, cifsMagic = 0x6969, 0x517b, 0xfe534d42, 0xff534d42
)

// storeDisk looks what kind of disk the state is on.
func (e *examined) storeDisk(context.Context) {
	state := e.stateDir()
	kind, err := e.diskKind(e.site.real(state))
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.EACCES): // not there yet, or another user's
	case err != nil:
		e.add("store.fs", report.CheckWarn, nil, "%s: %v", state, err)
	case slices.Contains([]uint32{nfsMagic, smbMagic, smb2Magic, cifsMagic}, kind):
		e.add("store.fs", report.CheckWarn, []string{"state in the configuration file: a directory on a disk of this machine"}, "%s is on a network file system: what was acknowledged can be lost with it", state)
	}
}

// diskKind is what kind of file system a directory is on.
func diskKind(dir string) (uint32, error) {
	var st syscall.Statfs_t
	err := syscall.Statfs(dir, &st)
	return uint32(st.Type), err
}

// others are what status complains of that has no check of its own.
func (e *examined) others(context.Context) {
	if e.down != nil {
		return
	}
	group := map[string]string{"document-expired": "ns.document", "document-fork": "ns.document", "clock-skew": "net.clock", "store-damaged": "store.check", "late": "gateway.late", "queue-stuck": "ns.queue", "queue-unreadable": "ns.queue",
		"key-readable": "keys.mode", "key-in-store": "keys.store"}
	for _, p := range e.status.Problems {
		id := group[p.ID]
		if id == "" {
			id = "node." + p.ID
		}
		if strings.HasPrefix(p.ID, "disk-full") || strings.HasPrefix(p.ID, "store-full") {
			continue // storeRoom says so
		}
		if p.ID == "key-readable" && strings.HasPrefix(p.Message, e.keyDir()+"/") {
			continue // keyFiles says so, and can mend it
		}
		if p.ID == "key-in-store" && slices.ContainsFunc(e.checks, func(c report.DoctorCheck) bool { return c.ID == "keys.store" && c.Status == report.CheckFail }) {
			continue // keyFiles says so
		}
		text := p.Message
		for _, f := range p.Found {
			text += "; " + f
		}
		e.add(id, report.CheckWarn, p.Try, "%s", text)
	}
	slices.SortStableFunc(e.checks, func(a, b report.DoctorCheck) int { return groupOrder(a.ID) - groupOrder(b.ID) })
}

// groupOrder is the order in which groups are shown.
func groupOrder(id string) int {
	group, _, _ := strings.Cut(id, ".")
	return slices.Index([]string{"nix", "gateway", "keys", "ns", "net", "store", "node"}, group)
}
