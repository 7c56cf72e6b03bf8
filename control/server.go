package control

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
)

// Serve answers on l until ctx ends, then lets running requests end for a few seconds. It closes l.
func Serve(ctx context.Context, l net.Listener, d Daemon, roles Roles, log *slog.Logger) error {
	return serveGuests(ctx, newLobby(l, roles), newHandler(d, roles), log)
}

// serveGuests answers the guests that l accepts.
func serveGuests(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	srv := &http.Server{
		Handler:           heard(h),
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext:       withGuest,
	}
	srv.SetKeepAlivesEnabled(false) // a question a connection: whoever has none to ask takes no room
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		log.Debug("control: requests were cut off", "err", errors.Join(err, srv.Close()))
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// heard tells the lobby who asked something.
func heard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g, ok := r.Context().Value(guestKey{}).(*guest); ok {
			g.asks()
		}
		h.ServeHTTP(w, r)
	})
}

type guestKey struct{}

func withGuest(ctx context.Context, c net.Conn) context.Context {
	g, ok := c.(*guest)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, guestKey{}, g)
}

// whose returns who made the request of ctx, and their role.
func whose(ctx context.Context) (caller, Role) {
	if g, ok := ctx.Value(guestKey{}).(*guest); ok {
		return g.who, g.role
	}
	return caller{}, Anyone
}
