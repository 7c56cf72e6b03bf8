package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/peer/static"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/trust"
)

// Writers lists who may publish.
func (v verbs) Writers(ctx context.Context, r control.NamespaceRequest) (report.Writers, error) {
	sp, err := v.find(r.Namespace)
	if err != nil {
		return report.Writers{}, err
	}
	w, err := v.node.Writers(ctx, sp.Alias)
	return w, documentProblem(sp, err)
}

// AddWriter lets a key publish: one that was given, or one that is made and whose secret is answered, once.
func (v verbs) AddWriter(ctx context.Context, r control.AddWriterRequest) (report.WriterChange, error) {
	sp, root, err := v.rootFor(r.Namespace, r.Root)
	if err != nil {
		return report.WriterChange{}, err
	}
	var key nix.PublicKey
	secret := ""
	switch {
	case (r.Writer == "") == (r.Generate == ""):
		return report.WriterChange{}, usage("flurry writer add --help", "a writer is a key, or --generate NAME")
	case r.Generate != "":
		made, err := makeKey(r.Generate)
		if err != nil {
			return report.WriterChange{}, err
		}
		key, secret = made.Public(), made.Text()
	default:
		if key, err = nix.ParsePublicKey(r.Writer); err != nil {
			return report.WriterChange{}, keyProblem(r.Writer, err)
		}
	}
	if !namespace.ValidName(key.Name) {
		return report.WriterChange{}, badName(key.Name, "letters, digits, dot, dash and underscore, at most 64")
	}
	var until time.Time
	if r.Expires < 0 {
		return report.WriterChange{}, usage("--expires 180d", "a writer expires in the future")
	}
	if r.Expires > 0 {
		until = time.Now().Add(r.Expires)
	}
	c, err := v.node.AddWriter(ctx, sp.Alias, root, key, until)
	c.Secret = secret
	return c, documentProblem(sp, err)
}

func badWriterName(name string) error {
	return usage("flurry writer key thismachine-1", "%.80q cannot be the name of a writer: small letters, digits, dot and dash, at most 63, a letter or digit first; not this node's own", name)
}

// makeKey makes a key of that name.
func makeKey(name string) (nix.SecretKey, error) {
	if !newName.MatchString(name) {
		return nix.SecretKey{}, badName(name, "small letters, digits, dot and dash, at most 63, a letter or digit first")
	}
	return nix.NewSecretKey(name, rand.Reader)
}

// WriterKey makes a key here, which may become a writer's.
func (v verbs) WriterKey(_ context.Context, r control.WriterKeyRequest) (report.WriterKey, error) {
	if r.Name == localKeyName || !newName.MatchString(r.Name) {
		return report.WriterKey{}, badWriterName(r.Name)
	}
	have, err := readSecret(v.keys.file(r.Name))
	if err != nil {
		if have, err = makeKey(r.Name); err != nil {
			return report.WriterKey{}, err
		}
		if err := v.keys.add(have); err != nil {
			return report.WriterKey{}, err
		}
	}
	return report.WriterKey{Schema: "flurry/writer-key/1", Key: have.Public().String(), File: v.keys.file(r.Name)}, nil
}

// PlanRevocation says what a revocation would keep and drop.
func (v verbs) PlanRevocation(ctx context.Context, r control.PlanRevocationRequest) (report.Revocation, error) {
	sp, err := v.find(r.Namespace)
	if err != nil {
		return report.Revocation{}, err
	}
	if r.All && r.After != nil {
		return report.Revocation{}, usage("flurry writer revoke --help", "--all keeps nothing and --after something; one of them")
	}
	hints, err := parsePeers(r.Peers)
	if err != nil {
		return report.Revocation{}, badPeer(err)
	}
	req := node.RevokeRequest{Alias: sp.Alias, Name: r.Writer, All: r.All}
	var silent []string
	if r.After != nil {
		req.After = *r.After
		if req.Ask, silent, err = v.trustedSeeds(ctx, sp, hints); err != nil {
			return report.Revocation{}, err
		}
	}
	plan, err := v.node.PlanRevocation(ctx, req)
	plan.Silent = append(plan.Silent, silent...)
	return plan, documentProblem(sp, err)
}

// trustedSeeds are the peers whose word about the past is taken: those that the owner named, by the document or by hand, each by
// the name that it was given. It waits a little for those that are not connected yet; silent are those that cannot be reached.
func (v verbs) trustedSeeds(ctx context.Context, sp node.Space, hints []peer.Hint) (ask map[peer.ID]string, silent []string, err error) {
	hints = append(hints, v.seedsOf(sp)...)
	if len(hints) == 0 {
		return nil, nil, nil
	}
	if err := v.goOnline(); err != nil {
		return nil, nil, err
	}
	ask = make(map[peer.ID]string)
	for _, s := range v.instance.reach(ctx, hints, reachTime) {
		var why *static.UnreachableError
		if errors.As(s.Err, &why) && why.Reason == static.Itself {
			continue
		}
		if len(s.Peers) == 0 {
			silent = append(silent, s.Hint.String())
		}
		for _, p := range s.Peers {
			ask[p.ID] = s.Hint.String()
		}
	}
	return ask, silent, ctx.Err()
}

// Revoke closes a writer as planned.
func (v verbs) Revoke(ctx context.Context, r control.RevokeRequest) (report.WriterChange, error) {
	sp, root, err := v.rootFor(r.Plan.Alias, r.Root)
	if err != nil {
		return report.WriterChange{}, err
	}
	c, err := v.node.Revoke(ctx, sp.Alias, root, r.Plan)
	return c, documentProblem(sp, err)
}

// Retract takes a path or a publication back.
func (v verbs) Retract(ctx context.Context, r control.RetractRequest) (report.Retraction, error) {
	sp, root, err := v.rootFor(r.Namespace, r.Root)
	if err != nil {
		return report.Retraction{}, err
	}
	if r.Reason == "" || len(r.Reason) > namespace.MaxReason || !oneLine(r.Reason) {
		return report.Retraction{}, usage(`--reason "contains a token"`, "a reason is one line of 1 to %d bytes: people are shown it", namespace.MaxReason)
	}
	done, err := v.node.Retract(ctx, sp.Alias, root, r.What, r.Reason)
	return done, documentProblem(sp, err)
}

// oneLine reports whether a text can stand on a line of a document.
func oneLine(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) && strings.TrimSpace(s) == s
}

// Edit changes what the document says to people and peers.
func (v verbs) Edit(ctx context.Context, r control.EditRequest) (report.Edited, error) {
	sp, root, err := v.rootFor(r.Namespace, r.Root)
	if err != nil {
		return report.Edited{}, err
	}
	if r.Keep != nil && (*r.Keep < time.Second || *r.Keep > namespace.MaxLife) {
		return report.Edited{}, usage("--keep 90d", "publications live for 1s to %s", days(namespace.MaxLife))
	}
	if r.About != nil && !oneLine(*r.About) {
		return report.Edited{}, usage(`--about "what it is"`, "--about: one line")
	}
	if r.Seeds != nil {
		for _, s := range *r.Seeds {
			if _, err := peer.ParsePeer(s); err != nil || !strings.HasPrefix(s, "/") {
				return report.Edited{}, usage("--seed /dns4/seed.acme.example/tcp/7670", "--seed: %.80q is no multiaddr", s)
			}
		}
	}
	d, err := v.node.EditDocument(ctx, sp.Alias, root, node.DocumentEdit{About: r.About, Keep: r.Keep, Seeds: r.Seeds})
	if err != nil {
		return report.Edited{}, documentProblem(sp, err)
	}
	e := report.Edited{Schema: "flurry/document/1", Alias: sp.Alias, Serial: d.Value().Serial, Expires: d.Value().Expires}
	e.Have, e.Of = v.node.Spread(ctx, sp.Address)
	return e, nil
}

// rootFor is the namespace that word means, and the root key that was given for it; nil: the daemon's own.
func (v verbs) rootFor(word, given string) (node.Space, *nix.SecretKey, error) {
	sp, err := v.find(word)
	if err != nil || given == "" {
		return sp, nil, err
	}
	key, err := nix.ParseSecretKey(given)
	if err != nil {
		return sp, nil, secretProblem("FLURRY_KEY", err)
	}
	if key.Public() != sp.Address.Key() {
		return sp, nil, &report.Problem{ID: "no-root-key", Exit: report.ExitRefused, Message: fmt.Sprintf("FLURRY_KEY is %s, not the root key of %s", key.Public(), sp.Alias),
			Try: []string{"the key whose public half is " + sp.Address.String()}}
	}
	return sp, &key, nil
}

// documentProblem says why a document was not signed.
func documentProblem(sp node.Space, err error) error {
	var p *report.Problem
	var taken *node.WriterExistsError
	switch {
	case err == nil || errors.As(err, &p):
		return err
	case errors.As(err, &taken) && taken.Closed:
		return &report.Problem{ID: "writer-revoked", Exit: report.ExitRefused, Message: fmt.Sprintf("%s of %s was revoked; neither its name nor its key can publish again", taken.Name, sp.Alias),
			Try: []string{"flurry writer add " + sp.Alias + " --generate ANOTHER-NAME"}}
	case errors.As(err, &taken):
		return &report.Problem{ID: "writer-exists", Exit: report.ExitUsage, Message: fmt.Sprintf("%s: %v", sp.Alias, err), Try: []string{"flurry writer list " + sp.Alias}}
	case errors.Is(err, node.ErrNoWriter):
		return &report.Problem{ID: "no-such-writer", Exit: report.ExitUsage, Message: err.Error(), Try: []string{"flurry writer list " + sp.Alias}}
	case errors.Is(err, node.ErrNoPin):
		return &report.Problem{ID: "no-such-pin", Exit: report.ExitUsage, Message: err.Error(), Try: []string{"flurry pin " + sp.Alias}}
	case errors.Is(err, node.ErrNoRootKey):
		return noRootKey(sp.Alias)
	case errors.Is(err, node.ErrNotHere):
		return &report.Problem{ID: "not-published", Exit: report.ExitUnavailable, Message: err.Error(), Try: []string{"flurry show " + sp.Alias + " --publications", "flurry show " + sp.Alias + " '*'"}}
	case errors.Is(err, node.ErrUnsignable):
		return &report.Problem{ID: "unsignable", Exit: report.ExitRefused, Message: fmt.Sprintf("%s: %v. Nothing was signed", sp.Alias, err), Try: []string{"flurry show " + sp.Alias + " --document"}}
	case errors.Is(err, trust.ErrUntrusted):
		return &report.Problem{ID: "no-document", Exit: report.ExitUnavailable, Message: fmt.Sprintf("%s has no document here yet: nobody who holds it was found", sp.Alias),
			Try: []string{fmt.Sprintf("flurry use %s --peer seed.acme.example", sp.Alias)}}
	}
	return err
}

// Pins lists the pins of a namespace.
func (v verbs) Pins(ctx context.Context, r control.NamespaceRequest) (report.Pins, error) {
	sp, err := v.find(r.Namespace)
	if err != nil {
		return report.Pins{}, err
	}
	p, err := v.node.Pins(ctx, sp.Alias)
	return p, documentProblem(sp, err)
}

// Expired lists what goes first.
func (v verbs) Expired(ctx context.Context, r control.NamespaceRequest) (report.Expired, error) {
	sp, err := v.find(r.Namespace)
	if err != nil {
		return report.Expired{}, err
	}
	return v.node.Expired(ctx, sp.Alias)
}

// Pin names published paths, or changes a pin.
func (v verbs) Pin(ctx context.Context, r control.PinRequest) (report.Pinned, error) {
	sp, err := v.find(r.Namespace)
	if err != nil {
		return report.Pinned{}, err
	}
	if !pinName.MatchString(r.Name) || len(r.Name) > namespace.MaxPinName {
		return report.Pinned{}, usage("flurry pin acme-1 v1.0 ./result", "%.80q cannot be the name of a pin: printable ASCII without spaces, at most %d", r.Name, namespace.MaxPinName)
	}
	if r.KeepLast < 0 || r.KeepLast > namespace.MaxPinLast || r.KeepFor < 0 || r.KeepFor > namespace.MaxPinFor || r.KeepFor%time.Second != 0 {
		return report.Pinned{}, usage("flurry pin --help", "a pin keeps 1 to %d versions, or those of 1s to %s", namespace.MaxPinLast, days(namespace.MaxPinFor))
	}
	req := node.PinRequest{Alias: sp.Alias, Name: r.Name, Last: r.KeepLast, For: r.KeepFor, Delete: r.Delete}
	for _, p := range r.Paths {
		path, err := nix.ParseStorePath(p)
		if err != nil {
			return report.Pinned{}, &report.Problem{ID: "bad-store-path", Exit: report.ExitUsage, Message: err.Error()}
		}
		req.Paths = append(req.Paths, path)
	}
	if r.Key != "" {
		if req.Key, err = v.givenKey(sp, r.Key); err != nil {
			return report.Pinned{}, err
		}
	}
	p, err := v.node.Pin(ctx, req)
	return p, documentProblem(sp, err)
}
