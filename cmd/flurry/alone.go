package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
)

// alone is an instance that one command has for itself, on machines without a daemon. It answers what a daemon answers,
// and it is gone when the command ends.
type alone struct {
	verbs
	end       context.CancelFunc
	temporary string // its state, to be removed; empty: somebody named the state, and it stays
}

// aloneOptions are how a command wants its own instance.
type aloneOptions struct {
	peers    []string
	gateway  bool // for Nix, on a free port of loopback
	keep     bool // in the state directory that was named, if one was; false: in a new one
	loopback bool // listen to peers on loopback alone
}

// startAlone starts an instance for this command. What the configuration file says of the network holds for it, too. In a
// state of its own it uses no namespace and no port that the file declares: those are the daemon's.
func (sh *shell) startAlone(ctx context.Context, o aloneOptions) (_ *alone, err error) {
	cfg, err := sh.nodeConfig(daemonFlags{peers: o.peers, loopback: o.loopback})
	if err != nil {
		return nil, err
	}
	a := &alone{}
	cfg.Gateway, cfg.Socket = nil, ""
	if o.gateway {
		cfg.Gateway = []string{"127.0.0.1:0"}
	}
	if !o.keep || first(sh.state, sh.getenv("FLURRY_STATE")) == "" {
		if cfg.State, err = os.MkdirTemp("", "flurry-alone-"); err != nil {
			return nil, err
		}
		a.temporary = cfg.State
		cfg.Port, cfg.Spaces, cfg.KeyFiles, cfg.Share = 0, nil, nil, node.ShareNone
	}
	if a.instance, err = open(ctx, cfg, sh.calmLogger()); err != nil {
		return nil, errors.Join(stateProblem(cfg.State, sh.uid, err), a.remove())
	}
	if err := a.listen(ctx); err != nil {
		return nil, errors.Join(err, a.instance.Close(), a.remove())
	}
	running, cancel := context.WithCancel(ctx)
	if err := a.start(running); err != nil {
		cancel()
		return nil, errors.Join(err, a.instance.Close(), a.remove())
	}
	a.end = cancel
	return a, nil
}

// close ends the instance and takes away what it wrote, unless that is to stay.
func (a *alone) close() error {
	a.end()
	return errors.Join(a.wait(a.ctx), a.instance.Close(), a.remove())
}

func (a *alone) remove() error {
	if a.temporary == "" {
		return nil
	}
	return os.RemoveAll(a.temporary)
}

// publishTo makes the instance know the namespace that word means, as one that is published from here, and waits a little
// for its document.
func (a *alone) publishTo(ctx context.Context, word string, peers []string, wait time.Duration) error {
	sp, err := a.spaceToUse(control.UseRequest{Namespace: word, Peers: peers})
	if err != nil {
		return err
	}
	sp = givenToAll(sp)
	if sp.Declared != "" {
		err = a.node.Put(sp)
	} else {
		err = a.spaces.put(sp, a.node.Put)
	}
	if err != nil {
		return err
	}
	if err := a.goOnline(); err != nil {
		return err
	}
	a.instance.find(sp.Peers)
	if _, ok := a.catalog.Policy(sp.Address); ok {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	a.node.WaitSynced(waiting, sp.Address)
	return ctx.Err()
}

// givenToAll is sp as all are given it, unless something else was said: what is published from here has to be fetched from
// here.
func givenToAll(sp node.Space) node.Space {
	if sp.Share == node.ShareDefault && !sp.Publish {
		sp.Share = node.ShareAll
	}
	return sp
}

// publisher is whom to ask to publish to the namespace called word: the daemon, or without one, when the key to sign with
// came along, an instance of this command's own. done ends that.
func (sh *shell) publisher(ctx context.Context, word string, peers []string, loopback bool) (d control.Daemon, own bool, done func() error, err error) {
	nothing := func() error { return nil }
	client := sh.daemon()
	if sh.givenSecret() == "" {
		return client, false, nothing, nil
	}
	if _, err := client.Status(ctx, control.StatusRequest{}); !isProblem(err, "no-daemon") {
		return client, false, nothing, nil // what else is wrong with it is found out when it is asked to publish
	}
	a, err := sh.startAlone(ctx, aloneOptions{peers: peers, keep: true, loopback: loopback})
	if err != nil {
		return nil, true, nil, err
	}
	if err := a.publishTo(ctx, word, peers, useWait); err != nil {
		return nil, true, nil, errors.Join(err, a.close())
	}
	return a, true, a.close, nil
}

// isProblem reports whether err is a problem of that id.
func isProblem(err error, id string) bool {
	var p *report.Problem
	return errors.As(err, &p) && p.ID == id
}
