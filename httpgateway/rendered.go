package httpgateway

import (
	"container/list"
	"strconv"
	"sync"

	"github.com/flurry-nix/flurry/nix"
)

// asked is one question of the narinfo kind.
type asked struct {
	view string
	hash nix.PathHash
}

// narInfoText is a narinfo as it goes to Nix. Immutable once made.
type narInfoText struct {
	generation uint64 // of the Cache, read before it was asked
	body       []byte
	length     []string // the value of Content-Length, ready for a header map
	print      [32]byte // SHA-256 of the fingerprint that sig covers
	sig        nix.Signature
}

func newNarInfoText(generation uint64, body []byte) *narInfoText {
	return &narInfoText{generation: generation, body: body, length: []string{strconv.Itoa(len(body))}}
}

// rendered keeps the narinfo texts given last, within a number of bytes, the
// longest unused leaving first. Texts of an old generation stay until then:
// their signature may be good still. Safe for concurrent use.
type rendered struct {
	max int

	mu    sync.Mutex
	size  int
	texts map[asked]*list.Element // of *renderedText
	order list.List               // most recently used in front
}

type renderedText struct {
	key  asked
	text *narInfoText
}

// renderedOverhead is what a text costs beside its bytes and its view's name:
// the structs above, the list element and the map's slot.
const renderedOverhead = 512

func newRendered(max int) *rendered {
	return &rendered{max: max, texts: make(map[asked]*list.Element)}
}

// get returns what is kept for key, of whatever generation, or nil.
func (r *rendered) get(key asked) *narInfoText {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.texts[key]
	if e == nil {
		return nil
	}
	r.order.MoveToFront(e)
	return e.Value.(*renderedText).text
}

// put keeps text for key in place of what was kept for it.
func (r *rendered) put(key asked, text *narInfoText) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.texts[key]; e != nil {
		r.remove(e)
	}
	if len(text.body) > maxRenderedText {
		return
	}
	r.texts[key] = r.order.PushFront(&renderedText{key: key, text: text})
	r.size += cost(key, text)
	for r.size > r.max {
		r.remove(r.order.Back())
	}
}

func (r *rendered) remove(e *list.Element) {
	t := r.order.Remove(e).(*renderedText)
	delete(r.texts, t.key)
	r.size -= cost(t.key, t.text)
}

func cost(key asked, text *narInfoText) int {
	return cap(text.body) + len(key.view) + renderedOverhead
}
