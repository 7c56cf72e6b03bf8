package catalog

import (
	"context"
	"log/slog"
	"time"
)

// OpenSmall is Open with limits that a test can reach: each signer may have
// publications and entries that many, all together twice as many; an upstream
// keeps that many entries, a closure has that many paths, and half as much of
// closures is remembered.
func OpenSmall(ctx context.Context, kv KV, texts Texts, now func() time.Time, log *slog.Logger, n uint64) (*Catalog, error) {
	l := defaultLimits()
	l.signer.publications, l.namespace.publications = n, 2*n
	l.signer.entries, l.namespace.entries = n, 2*n
	l.signer.missing, l.namespace.missing = n, 2*n
	l.kept = int(n)
	l.closure, l.memo, l.rests = int(n), int(n/2), int(n/2)
	return open(ctx, kv, texts, now, log, l)
}
