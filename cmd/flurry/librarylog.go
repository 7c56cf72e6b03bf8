package main

import (
	"context"
	stdlog "log"
	"log/slog"

	"github.com/libp2p/go-libp2p/gologshim"
)

// adoptLibraries has what libraries print on their own account go into log, at debug: it is about libp2p's inside, or what
// multicast DNS says twice a minute in a network without it, and asks nobody to do anything. It is for all of the process.
func adoptLibraries(log *slog.Logger) {
	h := libraryLog{log.Handler()}
	gologshim.SetDefaultHandler(h)
	stdlog.SetFlags(0)
	stdlog.SetOutput(slog.NewLogLogger(log.Handler(), slog.LevelDebug).Writer())
}

// libraryLog has a library's warnings and errors at debug, and drops what is below them.
type libraryLog struct{ to slog.Handler }

func (h libraryLog) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.to.Enabled(ctx, slog.LevelDebug)
}

func (h libraryLog) Handle(ctx context.Context, r slog.Record) error {
	r = r.Clone()
	r.Level = slog.LevelDebug
	return h.to.Handle(ctx, r)
}

func (h libraryLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return libraryLog{h.to.WithAttrs(attrs)}
}

func (h libraryLog) WithGroup(name string) slog.Handler { return libraryLog{h.to.WithGroup(name)} }
