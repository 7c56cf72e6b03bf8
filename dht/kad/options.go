package kad

import (
	"log/slog"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"

	"github.com/flurry-nix/flurry/peer"
)

// Mode is whether this node answers others and keeps their records.
type Mode byte

const (
	// ModeAuto answers unless others have found that this node cannot be dialled.
	// It is right on every network, private ones too, where nobody can tell.
	ModeAuto Mode = iota
	// ModeServer always answers: for seeds.
	ModeServer
	// ModeClient never does: for metered lines and short-lived nodes.
	ModeClient
)

func (m Mode) option() kaddht.Option {
	switch m {
	case ModeServer:
		return kaddht.Mode(kaddht.ModeServer)
	case ModeClient:
		return kaddht.Mode(kaddht.ModeClient)
	}
	// Not the library's ModeAuto: it stays a client until an AutoNAT server has
	// dialled back, which in a private network nobody does.
	return kaddht.Mode(kaddht.ModeAutoServer)
}

// Options of a [Router].
type Options struct {
	// Dir is where provided keys and others' records are kept. No other router
	// has it open. Empty: in memory.
	Dir string

	// Bootstrap is who is dialled to begin with, besides the peers that were
	// remembered from the last run.
	Bootstrap []peer.Info

	// Mode is whether this node answers others.
	Mode Mode

	// Accept reports whether the disk has room for one more record of others. It
	// is called often. Nil: it always has.
	Accept func() bool

	// Log is told what people may want to know. Nil: nobody is.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Accept == nil {
		o.Accept = func() bool { return true }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}
