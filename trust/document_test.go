package trust_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

func TestDocument(t *testing.T) {
	h := newHouse(t)
	raw := must(trust.SignDocument(&h.document, h.root))(t)
	d := must(trust.VerifyDocument(h.address(), raw))(t)
	note := must(namespace.ParseNote(raw))(t)
	if d.ID() != note.ID() || !bytes.Equal(d.Raw(), raw) || d.Value().Serial != 2 || d.IsZero() {
		t.Errorf("%+v", d)
	}
}

// version signs the house's document with another serial and text.
func (h *house) version(serial uint64, about string) trust.Document {
	d := h.document
	d.Serial, d.About = serial, about
	if serial == 1 {
		d.Previous = namespace.ID{}
	}
	return must(trust.VerifyDocument(d.Namespace, must(trust.SignDocument(&d, h.root))(h.t)))(h.t)
}

func TestSupersedes(t *testing.T) {
	h := newHouse(t)
	first, second, last := h.version(1, "a"), h.version(2, "a"), h.version(9, "a")
	small, large := h.version(5, "a"), h.version(5, "b")
	if small.ID().Compare(large.ID()) > 0 {
		small, large = large, small
	}
	other := newHouse(t)
	other.root = secret(t, "other-1")
	other.document.Namespace = other.address()

	for what, c := range map[string]struct {
		now, old trust.Document
		wins     bool
		alarm    trust.Alarm
	}{
		"nothing before":       {first, trust.Document{}, true, trust.NoAlarm},
		"nothing at all":       {trust.Document{}, trust.Document{}, false, trust.NoAlarm},
		"nothing after":        {trust.Document{}, first, false, trust.NoAlarm},
		"the next":             {second, first, true, trust.NoAlarm},
		"a gap":                {last, first, true, trust.NoAlarm},
		"the one before":       {first, second, false, trust.NoAlarm},
		"long before":          {first, last, false, trust.NoAlarm},
		"the same":             {first, first, false, trust.NoAlarm},
		"one serial, larger":   {large, small, true, trust.SameSerial},
		"one serial, smaller":  {small, large, false, trust.SameSerial},
		"after the twins":      {last, large, true, trust.NoAlarm},
		"of another namespace": {other.version(9, "a"), first, false, trust.NoAlarm},
	} {
		if wins, alarm := c.now.Supersedes(c.old); wins != c.wins || alarm != c.alarm {
			t.Errorf("%s: %v, %v; want %v, %v", what, wins, alarm, c.wins, c.alarm)
		}
	}
}

func TestDocumentTimes(t *testing.T) {
	h := newHouse(t)
	d := h.sign()
	issued, expires := d.Value().Issued, d.Value().Expires
	for _, c := range []struct {
		now           time.Time
		held, expired bool
	}{
		{issued.Add(-trust.MaxAhead - time.Second), true, false},
		{issued.Add(-trust.MaxAhead), false, false},
		{issued, false, false},
		{expires.Add(-time.Second), false, false},
		{expires, false, true},
	} {
		until, held := d.HeldUntil(c.now)
		if held != c.held || !until.Equal(issued.Add(-trust.MaxAhead)) || d.Expired(c.now) != c.expired {
			t.Errorf("at %s: held %v until %s, expired %v; want %+v", c.now, held, until, d.Expired(c.now), c)
		}
	}
}

func TestSignDocument(t *testing.T) {
	h := newHouse(t)
	_, err := trust.SignDocument(&h.document, h.ci)
	refused(t, err, trust.BadSignature)
	h.document.Serial = 0
	_, err = trust.SignDocument(&h.document, h.root)
	refused(t, err, trust.Malformed)
}
