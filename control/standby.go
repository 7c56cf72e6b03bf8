package control

import (
	"context"
	"log/slog"
	"net"
	"net/http"

	"github.com/flurry-nix/flurry/report"
)

// Standby answers on l while there is no daemon, until ctx ends: every question gets the problem that why returns, except
// health, which has it as its reason. Whole is for admins: others are not shown what the node last said. It closes l.
func Standby(ctx context.Context, l net.Listener, roles Roles, why func(whole bool) *report.Problem, log *slog.Logger) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, role := whose(r.Context())
		newReply(w).end(nil, why(role == Admin))
	})
	mux.HandleFunc("GET /v1/health", func(w http.ResponseWriter, _ *http.Request) {
		p := why(false)
		newReply(w).end(report.Health{Status: "standby", Reasons: append([]string{p.Message}, p.Found...)}, nil)
	})
	return serveGuests(ctx, newLobby(l, roles), mux, log)
}
