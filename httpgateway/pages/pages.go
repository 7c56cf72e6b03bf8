package pages

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// Node is what the pages show.
type Node interface {
	// Status says how the node is, with its peers if asked.
	Status(ctx context.Context, peers bool) (report.Status, error)
	// Why says whether a path can be had, and why not. What the gateway told Nix is no part of it.
	Why(ctx context.Context, h nix.PathHash) (report.Why, error)
	// Namespace says what is known of a namespace, with its writers and at most so many publications. ErrUnknown: there is none
	// of that name.
	Namespace(ctx context.Context, alias string, publications int) (report.Show, report.Pins, error)
	// Health says whether all is well.
	Health(ctx context.Context) (report.Health, error)
	// Requests counts what Nix asked.
	Requests() Requests
}

// ErrUnknown says that there is no such namespace here.
var ErrUnknown = errors.New("unknown namespace")

// Options are what the pages need to know.
type Options struct {
	Node    Node
	Version string
	Now     func() time.Time
	Log     *slog.Logger
}

//go:embed templates/*.html style.css icon.svg
var files embed.FS

// Pages answers what is not Nix's. It is an http.Handler.
type Pages struct {
	Options
	mux       *http.ServeMux
	templates *template.Template
}

// New makes the pages. They ask nothing until they are opened.
func New(o Options) (*Pages, error) {
	p := &Pages{Options: o, mux: http.NewServeMux()}
	words := template.FuncMap(report.Words(o.Now))
	words["hashOf"], words["nameOf"] = hashOf, nameOf
	words["words"] = func(line string) []string { return strings.Split(line, " ") }
	var err error
	if p.templates, err = template.New("").Funcs(words).ParseFS(files, "templates/*.html"); err != nil {
		return nil, err
	}
	metrics, err := newMetrics(o)
	if err != nil {
		return nil, err
	}
	inTurn := turns(atOnce)
	p.mux.Handle("GET /{$}", inTurn(p.home))
	p.mux.Handle("GET /peers", inTurn(p.peers))
	p.mux.HandleFunc("GET /why", p.find)
	p.mux.Handle("GET /why/{hash}", inTurn(p.why))
	p.mux.Handle("GET /ns/{alias}/{$}", inTurn(p.namespace))
	p.mux.HandleFunc("GET /ns/{alias}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/ns/"+url.PathEscape(r.PathValue("alias"))+"/", http.StatusMovedPermanently)
	})
	p.mux.HandleFunc("GET /health", p.health)
	p.mux.Handle("GET /metrics", turns(1)(metrics.ServeHTTP))
	p.mux.HandleFunc("GET /style.css", file("style.css", "text/css; charset=utf-8"))
	p.mux.HandleFunc("GET /icon.svg", file("icon.svg", "image/svg+xml"))
	p.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p.show(w, r, http.StatusNotFound, "absent.html", page{Title: "Not here"})
	})
	return p, nil
}

// ServeHTTP answers one request.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	p.mux.ServeHTTP(w, r.WithContext(ctx))
}

// turns has at most n of the handlers that it is given work at a time; the others wait. What monitors ask is not kept waiting by
// whoever reloads a page.
func turns(n int) func(http.HandlerFunc) http.Handler {
	free := make(chan struct{}, n)
	return func(h http.HandlerFunc) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case free <- struct{}{}:
				defer func() { <-free }()
				h(w, r)
			case <-r.Context().Done():
				http.Error(w, "too many pages at once: try again", http.StatusServiceUnavailable)
			}
		})
	}
}

// page is what every template is given.
type page struct {
	Title   string
	Version string
	Status  report.Status
	Path    string // of this page
	Command string // that says the same in a terminal
	Body    any
}

func (p *Pages) home(w http.ResponseWriter, r *http.Request) {
	s, err := p.Node.Status(r.Context(), false)
	p.answer(w, r, err, s, "home.html", page{Title: "Overview", Status: s, Command: "flurry status", Body: ailing(s)})
}

// ailing is how many namespaces have something wrong.
func ailing(s report.Status) (n int) {
	for _, one := range s.Namespaces {
		if len(one.Problems) > 0 {
			n++
		}
	}
	return n
}

func (p *Pages) peers(w http.ResponseWriter, r *http.Request) {
	s, err := p.Node.Status(r.Context(), true)
	p.answer(w, r, err, s, "peers.html", page{Title: "Peers", Status: s, Command: "flurry status --peers"})
}

func (p *Pages) namespace(w http.ResponseWriter, r *http.Request) {
	show, pins, err := p.Node.Namespace(r.Context(), r.PathValue("alias"), maxPublications)
	if errors.Is(err, ErrUnknown) {
		p.show(w, r, http.StatusNotFound, "absent.html", page{Title: "No such namespace", Body: fmt.Sprintf("This node knows no namespace called %q.", r.PathValue("alias"))})
		return
	}
	p.answer(w, r, err, show, "namespace.html", page{Title: show.Alias, Command: "flurry show " + show.Alias + " --publications", Body: struct {
		report.Show
		Pins []report.Pin
	}{show, pins.Pins}})
}

// find leads from what somebody typed to the page about it.
func (p *Pages) find(w http.ResponseWriter, r *http.Request) {
	word := strings.TrimSpace(r.URL.Query().Get("path"))
	h, err := parseWord(word)
	if err != nil {
		p.show(w, r, http.StatusBadRequest, "absent.html", page{Title: "Not a store path", Body: err.Error()})
		return
	}
	http.Redirect(w, r, "/why/"+h.String(), http.StatusSeeOther)
}

// parseWord reads a hash, a store path or something below one.
func parseWord(word string) (nix.PathHash, error) {
	if len(word) > maxWord {
		return nix.PathHash{}, fmt.Errorf("%d bytes are no store path", len(word))
	}
	if h, err := nix.ParsePathHash(word); err == nil {
		return h, nil
	}
	rest, ok := strings.CutPrefix(word, nix.StoreDir+"/")
	if !ok {
		rest = word
	}
	base, _, _ := strings.Cut(rest, "/")
	path, err := nix.ParseBaseName(base)
	if err != nil {
		return nix.PathHash{}, err
	}
	return path.Hash(), nil
}

func (p *Pages) why(w http.ResponseWriter, r *http.Request) {
	h, err := parseWord(r.PathValue("hash"))
	if err != nil {
		p.show(w, r, http.StatusNotFound, "absent.html", page{Title: "Not a store path", Body: err.Error()})
		return
	}
	y, err := p.Node.Why(r.Context(), h)
	p.answer(w, r, err, y, "why.html", page{Title: nameOf(y.Path), Command: "flurry why " + y.Path, Body: struct {
		report.Why
		Headline, Rest string
	}{y, verdictWord(y.Headline(p.Now())), verdictRest(y.Headline(p.Now()))}})
}

// verdictWord and verdictRest are the two parts of a headline: "AVAILABLE from acme-1: …".
func verdictWord(headline string) string {
	end := strings.IndexFunc(headline, func(c rune) bool { return c >= 'a' && c <= 'z' || c == ':' || c >= '0' && c <= '9' })
	if end < 0 {
		return headline
	}
	return strings.TrimSpace(headline[:end])
}

func verdictRest(headline string) string {
	return strings.TrimLeft(headline[len(verdictWord(headline)):], ": ")
}

func (p *Pages) health(w http.ResponseWriter, r *http.Request) {
	h, err := p.Node.Health(r.Context())
	if err != nil {
		h = report.Health{Status: "degraded", Reasons: []string{err.Error()}}
	}
	status := http.StatusOK
	if h.Status != "ok" {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, h)
}

// answer gives the object to who wants JSON, and the page to others.
func (p *Pages) answer(w http.ResponseWriter, r *http.Request, err error, object any, name string, view page) {
	switch {
	case err != nil:
		p.Log.Warn("a page could not be made", "page", r.URL.Path, "err", err)
		p.show(w, r, http.StatusInternalServerError, "absent.html", page{Title: "That did not work", Body: err.Error()})
	case wantsJSON(r):
		writeJSON(w, http.StatusOK, object)
	default:
		p.show(w, r, http.StatusOK, name, view)
	}
}

// wantsJSON: a program that says so. A browser names HTML first, and takes anything.
func wantsJSON(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

func writeJSON(w http.ResponseWriter, status int, object any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(object) // the client's going away is the server's to notice
}

// show makes a page whole before a byte of it is sent.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, name string, view page) {
	view.Version, view.Path = p.Version, r.URL.Path
	if view.Command == "" {
		view.Command = "flurry status"
	}
	var out bytes.Buffer
	if err := p.templates.ExecuteTemplate(&out, name, view); err != nil {
		p.Log.Error("a page could not be made", "page", r.URL.Path, "err", err)
		http.Error(w, "this page could not be made; the log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // as above
}

func file(name, kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		data, err := files.ReadFile(name)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "max-age=300")
		_, _ = w.Write(data)
	}
}

// hashOf is the hash part of a store path, for a link; what is none gives nothing.
func hashOf(path string) string {
	h, err := parseWord(path)
	if err != nil {
		return ""
	}
	return h.String()
}

// nameOf is a store path without its directory and most of its hash.
func nameOf(path string) string {
	base := strings.TrimPrefix(path, nix.StoreDir+"/")
	if p, err := nix.ParseBaseName(base); err == nil {
		return p.Name()
	}
	return base
}
