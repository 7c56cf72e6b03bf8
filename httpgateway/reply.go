package httpgateway

import (
	"net/http"
	"strconv"

	"github.com/flurry-nix/flurry/nix"
)

// Priority puts flurry before cache.nixos.org (40): newer Nix takes the failure
// of the last cache that it asks, and of no other, for its own.
const Priority = "35"

// cacheInfo is the whole of nix-cache-info. Nix keeps it for seven days, so it
// is constant: in every state, in every view, and while the node is down.
const cacheInfo = "StoreDir: " + nix.StoreDir + "\nWantMassQuery: 1\nPriority: " + Priority + "\n"

// What people who ask with curl are told. Nix reads the status alone.
const (
	textForeign  = "not here: this cache answers this machine's own programs (foreign Host or Origin)\n"
	textReadOnly = "not here: this cache takes no uploads (flurry publish)\n"
	textNowhere  = "not here: this cache answers nix-cache-info, HASH.narinfo and nar/NARHASH-HASH.nar\n"
	textNoPage   = "not here: no such page\n"
	textStandby  = "not here: the node is not running at this moment (flurry status)\n"
	textCrowded  = "not here: too many connections\n"
	textPage     = "This is flurry's binary cache for Nix on this machine (flurry status).\n"
)

// missText says why a path is not here.
func missText(t target, o Outcome) string {
	switch {
	case o == Late:
		return "nobody answered in time"
	case o != NotHere && t.kind == kindNar:
		return "this node failed to get the archive"
	case o != NotHere:
		return "this node failed to find out"
	case t.kind == kindNar:
		return "nobody within reach has this archive"
	case t.view != "":
		return "this namespace has not published it"
	default:
		return "no namespace in use has published it"
	}
}

func writeMiss(w http.ResponseWriter, t target, o Outcome) {
	b := make([]byte, 0, 128)
	b = append(b, "not here: "...)
	b = append(b, missText(t, o)...)
	b = append(b, " (flurry why "...)
	b = t.hash.AppendTo(b)
	b = append(b, ")\n"...)
	writeLengthed(w, http.StatusNotFound, b)
}

func writeNotFound(w http.ResponseWriter, text string) {
	writeText(w, http.StatusNotFound, text)
}

func writeText(w http.ResponseWriter, status int, text string) {
	writeLengthed(w, status, []byte(text))
}

func writeLengthed(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	writeBody(w, status, body)
}

func writeCacheInfo(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/x-nix-cache-info")
	h.Set("Content-Length", strconv.Itoa(len(cacheInfo)))
	writeBody(w, http.StatusOK, []byte(cacheInfo))
}

// writeBody ends an answer whose headers are set. To HEAD, net/http does not
// send the body; an error of Write's is the client's going away, which net/http
// notices too.
func writeBody(w http.ResponseWriter, status int, body []byte) {
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// smallPage stands in for pages where there are none.
func smallPage(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		writeNotFound(w, textNoPage)
		return
	}
	writeText(w, http.StatusOK, textPage)
}

// writeEmpty answers as a cache that has nothing.
func writeEmpty(w http.ResponseWriter, r *http.Request, t target, text string) {
	if t.kind == kindCacheInfo && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		writeCacheInfo(w)
		return
	}
	writeNotFound(w, text)
}
