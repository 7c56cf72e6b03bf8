// Package netlab makes several hosts on one Linux machine: network namespaces, each with a line of its own to a router
// in their middle, at given rates, some behind a NAT that lets nobody in. What runs on them are ordinary programs.
//
// It is for tests and measurements. It needs root, iproute2, nftables and nsenter. Nothing of it has a name in the
// system, and all of it is gone when the process that made it is: each namespace lives as long as a program that waits
// for that process, and the lines live in the namespaces.
//
// Hosts have addresses of the public internet, so that programs treat each other as strangers there, though no packet
// leaves the machine. There is no delay on the lines.
package netlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// maxHosts bounds the hosts of one lab: each has an address 11.7.N.2, behind a NAT also 192.168.N.2.
const maxHosts = 250

// Missing says what this machine lacks to make a lab; nil when nothing is known to.
func Missing() error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	for _, tool := range []string{"ip", "tc", "nft", "nsenter", "cat"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("network namespaces need iproute2, nftables and util-linux: %w", err)
		}
	}
	return nil
}

// Rate is what a line carries each way, in bits a second; 0: what the machine can.
type Rate int64

// Mbit is a million bits a second.
const Mbit Rate = 1e6

// Lab is a router and the hosts around it. It may be used by several goroutines.
type Lab struct {
	core *space

	mu     sync.Mutex
	spaces []*space
	hosts  int
}

// New makes a lab without hosts. The caller must close it. ctx bounds the making alone.
func New(ctx context.Context) (*Lab, error) {
	l := &Lab{}
	core, err := l.space(ctx)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	l.core = core
	return l, nil
}

// Close ends the lab. The programs on its hosts must have ended before: they would go on without a network.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, s := range l.spaces {
		errs = append(errs, s.close())
	}
	l.spaces = nil
	return errors.Join(errs...)
}

// Host adds a host whose line to the middle carries rate each way.
func (l *Lab) Host(ctx context.Context, rate Rate) (*Host, error) {
	n, err := l.number()
	if err != nil {
		return nil, err
	}
	s, err := l.space(ctx)
	if err != nil {
		return nil, err
	}
	h := &Host{space: s, lab: l, n: n, addr: fmt.Sprintf("11.7.%d.2", n), outer: s}
	return h, errors.Join(l.line(ctx, n, s), h.SetRate(ctx, rate))
}

// Behind adds a host behind a router of its own, which translates addresses, lets out everything and in only what
// answers. addr is the host's own, private address; nobody can dial it.
func (l *Lab) Behind(ctx context.Context, rate Rate) (*Host, error) {
	n, err := l.number()
	if err != nil {
		return nil, err
	}
	router, err := l.space(ctx)
	if err != nil {
		return nil, err
	}
	s, err := l.space(ctx)
	if err != nil {
		return nil, err
	}
	h := &Host{space: s, lab: l, n: n, addr: fmt.Sprintf("192.168.%d.2", n), outer: router}
	if err := l.line(ctx, n, router); err != nil {
		return nil, err
	}
	inner := fmt.Sprintf("192.168.%d.1", n)
	err = errors.Join(
		run(ctx, "", "ip", "link", "add", "lan", "netns", router.pid(), "type", "veth", "peer", "name", "eth0", "netns", s.pid()),
		router.address(ctx, "lan", inner+"/24"),
		s.address(ctx, "eth0", h.addr+"/24"),
		s.run(ctx, "", "ip", "route", "add", "default", "via", inner),
		router.run(ctx, translation, "nft", "-f", "-"))
	if err != nil {
		return nil, err
	}
	return h, h.SetRate(ctx, rate)
}

// translation is what makes a router of a home: eth0 is its line to the world.
const translation = `
table ip home {
	chain out {
		type nat hook postrouting priority 100
		oifname "eth0" masquerade
	}
	chain through {
		type filter hook forward priority 0
		iifname "eth0" ct state established,related accept
		iifname "eth0" drop
	}
	chain in {
		type filter hook input priority 0
		iifname "eth0" ct state established,related accept
		iifname "eth0" drop
	}
}
`

func (l *Lab) number() (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hosts >= maxHosts {
		return 0, fmt.Errorf("a lab has at most %d hosts", maxHosts)
	}
	l.hosts++
	return l.hosts, nil
}

// line joins s to the middle as host n: by eth0 there, by port n here.
func (l *Lab) line(ctx context.Context, n int, s *space) error {
	port := fmt.Sprintf("port%d", n)
	gate := fmt.Sprintf("11.7.%d.1", n)
	return errors.Join(
		run(ctx, "", "ip", "link", "add", port, "netns", l.core.pid(), "type", "veth", "peer", "name", "eth0", "netns", s.pid()),
		l.core.address(ctx, port, gate+"/30"),
		s.address(ctx, "eth0", fmt.Sprintf("11.7.%d.2/30", n)),
		s.run(ctx, "", "ip", "route", "add", "default", "via", gate))
}

// run runs a program to its end, with input on its standard input.
func run(ctx context.Context, input string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
