package trust_test

import (
	"testing"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

func TestNotAWriter(t *testing.T) {
	h := newHouse(t)
	p := h.policy()
	_, err := p.VerifyPublication(h.publication(secret(t, "stranger"), day(1)))
	refused(t, err, trust.NotAWriter)

	// A stranger who takes a writer's name.
	h.ci = must(nix.NewSecretKey("ci", zeros{}))(t)
	_, err = p.VerifyPublication(h.publication(h.ci, day(1)))
	refused(t, err, trust.BadSignature)
	v, err := p.Recall(&namespace.Entry{}, namespace.ID{1}, h.ci.Public())
	refused(t, err, trust.NotAWriter)
	if !v.IsZero() {
		t.Error("verified")
	}
}

// zeros is an endless source of bytes.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestClosedWriter: what the kept list names stays, whatever its date; nothing
// else does.
func TestClosedWriter(t *testing.T) {
	h := newHouse(t)
	kept, lost := h.publication(h.old2, day(1)), h.publication(h.old2, day(0))
	h.kept.Publications = []namespace.ID{{9}, must(namespace.TextID(kept))(t), {1}}
	p := h.policy()
	v := must(p.VerifyPublication(kept))(t)
	if v.BySeniority() != 4 || v.Signer() != h.old2.Public() {
		t.Errorf("seniority %d, signer %s", v.BySeniority(), v.Signer())
	}
	_, err := p.VerifyPublication(lost)
	refused(t, err, trust.WriterClosed)
	_, err = p.VerifyPublication(h.publication(h.old1, day(-300)))
	refused(t, err, trust.WriterClosed)

	// A kept id with another signature under it.
	note := must(namespace.ParseNote(kept))(t)
	note.Sig[0] ^= 1
	_, err = p.VerifyPublication(note.Append(nil))
	refused(t, err, trust.BadSignature)

	// The list of one writer is not another's.
	byOld1 := h.publication(h.old1, day(1))
	h.kept.Publications = []namespace.ID{must(namespace.TextID(byOld1))(t)}
	_, err = h.policy().VerifyPublication(byOld1)
	refused(t, err, trust.WriterClosed)
}

func TestClosing(t *testing.T) {
	h := newHouse(t)
	before := h.policy()
	kept := must(before.VerifyPublication(h.publication(h.ci, day(1))))(t)
	lost := must(before.VerifyPublication(h.publication(h.ci, day(2))))(t)

	list := &namespace.KeepList{Namespace: h.address(), Publications: []namespace.ID{kept.ID()}}
	h.document.Writers = h.document.Writers[1:]
	h.document.Closed = []namespace.Closed{{Key: h.ci.Public(), Keep: list.ID()}}
	h.document.Serial++
	after := must(trust.NewPolicy(h.sign(), []*namespace.KeepList{list}))(t)

	if s := kept.Standing(after, day(3)); s.State != trust.Live {
		t.Errorf("kept: %+v", s)
	}
	s := lost.Standing(after, day(3))
	refused(t, s.Err, trust.WriterClosed)
	if s.State != trust.Refused {
		t.Errorf("lost: %+v", s)
	}
	if v := must(after.Readmit(kept.Entries()[0]))(t); v.Seniority() != 2 {
		t.Errorf("kept entry: seniority %d", v.Seniority())
	}
	_, err := after.Readmit(lost.Entries()[0])
	refused(t, err, trust.WriterClosed)
}

func TestKeptLists(t *testing.T) {
	h := newHouse(t)
	h.policy()
	d := h.sign()
	_, err := trust.NewPolicy(d, nil)
	refused(t, err, trust.MissingList)
	other := h.kept
	other.Publications = []namespace.ID{{1}}
	p, err := trust.NewPolicy(d, []*namespace.KeepList{&other})
	refused(t, err, trust.MissingList)
	if p != nil {
		t.Error("a policy comes with the error")
	}
	must(trust.NewPolicy(d, []*namespace.KeepList{&other, &h.kept}))(t)

	foreign := namespace.KeepList{Namespace: namespace.AddressOf(h.ci.Public())}
	h.document.Closed[0] = namespace.Closed{Key: h.old1.Public(), Keep: foreign.ID()}
	_, err = trust.NewPolicy(h.sign(), []*namespace.KeepList{&foreign, &h.kept})
	refused(t, err, trust.WrongNamespace)
}

func TestWithdrawn(t *testing.T) {
	h := newHouse(t)
	for _, k := range []nix.SecretKey{h.root, h.ci} {
		raw := h.publication(k, day(1))
		v := must(h.policy().VerifyPublication(raw))(t)
		h.document.Withdrawn = []namespace.Withdrawal{{Publication: v.ID(), Reason: "a token"}}
		h.document.Serial++
		p := h.policy()
		_, err := p.VerifyPublication(raw)
		refused(t, err, trust.Withdrawn)
		refused(t, v.Standing(p, day(2)).Err, trust.Withdrawn)
		_, err = p.Readmit(v.Entries()[0])
		refused(t, err, trust.Withdrawn)
		_, err = p.Recall(v.Entries()[0].Entry(), v.ID(), v.Signer())
		refused(t, err, trust.Withdrawn)
		must(p.VerifyPublication(h.publication(k, day(2))))(t)
		h.document.Withdrawn = nil
	}
}

// TestWithdrawnAndKept: withdrawing overrides a kept list.
func TestWithdrawnAndKept(t *testing.T) {
	h := newHouse(t)
	raw := h.publication(h.old2, day(1))
	id := must(namespace.TextID(raw))(t)
	h.kept.Publications = []namespace.ID{id}
	h.document.Withdrawn = []namespace.Withdrawal{{Publication: id, Reason: "a token"}}
	_, err := h.policy().VerifyPublication(raw)
	refused(t, err, trust.Withdrawn)
}

func TestDenied(t *testing.T) {
	h := newHouse(t)
	raw := h.publication(h.ci, day(1))
	before := must(h.policy().VerifyPublication(raw))(t)
	bad := h.entry("hello-1.0", h.ci)
	h.document.Denied = []namespace.Denial{
		{Path: bad.Path.Hash(), NarHash: bad.NarHash, Reason: "a token"},
		{Path: path(t, "glibc-2.40").Hash(), NarHash: nix.NarHash{1}, Reason: "another content of a path that stays"},
	}
	h.document.Serial++
	p := h.policy()
	after := must(p.VerifyPublication(raw))(t)
	if len(after.Entries()) != 1 || after.Entries()[0].Path() != path(t, "glibc-2.40") || len(after.Value().Entries) != 2 {
		t.Errorf("%d entries of %d are left", len(after.Entries()), len(after.Value().Entries))
	}
	if s := before.Standing(p, day(2)); s.State != trust.Live {
		t.Errorf("the publication: %+v", s)
	}
	for _, v := range before.Entries() {
		readmitted, err := p.Readmit(v)
		_, errRecall := p.Recall(v.Entry(), v.Publication(), v.Signer())
		if v.Path() == bad.Path {
			refused(t, err, trust.Denied)
			refused(t, errRecall, trust.Denied)
			if !readmitted.IsZero() {
				t.Error("a denied entry is verified")
			}
		} else if err != nil || errRecall != nil {
			t.Errorf("%s: %v, %v", v.Path(), err, errRecall)
		}
	}
}

func TestSuspended(t *testing.T) {
	h := newHouse(t)
	raw := h.publication(h.root, day(1))
	before := h.policy()
	v := must(before.VerifyPublication(raw))(t)
	first, _ := before.Document()
	if line, suspended := before.Suspended(); suspended {
		t.Errorf("suspended by %q", line)
	}
	for line, change := range map[string]func(d *namespace.Document){
		"!access invited": func(d *namespace.Document) { d.Access = "invited" },
		"!quorum 2":       func(d *namespace.Document) { d.Unknown = []string{"weather snow", "!quorum 2"} },
	} {
		h := newHouse(t)
		change(&h.document)
		h.document.Serial++
		p := h.policy()
		if have, suspended := p.Suspended(); !suspended || have != line {
			t.Errorf("suspended %v by %q, want %q", suspended, have, line)
		}
		d, _ := p.Document()
		if wins, _ := d.Supersedes(first); !wins {
			t.Errorf("%s: the document does not replace the one before", line)
		}
		_, err := p.VerifyPublication(raw)
		refused(t, err, trust.Suspended)
		refused(t, v.Standing(p, day(2)).Err, trust.Suspended)
		_, err = p.Readmit(v.Entries()[0])
		refused(t, err, trust.Suspended)
		_, err = p.Recall(v.Entries()[0].Entry(), v.ID(), v.Signer())
		refused(t, err, trust.Suspended)
	}
}

func TestWriterUntil(t *testing.T) {
	h := newHouse(t)
	p := h.policy()
	v := must(p.VerifyPublication(h.publication(h.zoe, day(100))))(t)
	if s := v.Standing(p, day(150)); s.State != trust.Live {
		t.Errorf("after the writer left: %+v", s)
	}
	_, err := p.VerifyPublication(h.publication(h.zoe, day(100).Add(time.Second)))
	refused(t, err, trust.WriterExpired)

	// A newer document lets her leave earlier.
	h.document.Writers[1].Until = day(100).Add(-time.Second)
	h.document.Serial++
	refused(t, v.Standing(h.policy(), day(150)).Err, trust.WriterExpired)
}
