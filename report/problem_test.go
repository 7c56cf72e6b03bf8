package report

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

func TestProblem(t *testing.T) {
	p := &Problem{ID: "unknown-namespace", Message: `no namespace is called "acme" here`, Found: []string{"this machine knows: acme-1", "built in: cache.nixos.org"},
		Try: []string{"flurry use acme-1:BASE64=", "did you mean acme-1?"}, Exit: ExitUsage}
	const rest = `  this machine knows: acme-1
  built in: cache.nixos.org
  try: flurry use acme-1:BASE64=
       did you mean acme-1?
`
	var b bytes.Buffer
	p.Print(&b)
	if want := "flurry: no namespace is called \"acme\" here\n" + rest; b.String() != want {
		t.Errorf("got\n%s", &b)
	}
	b.Reset()
	p.PrintWarning(&b)
	if want := "no namespace is called \"acme\" here\n" + rest; b.String() != want {
		t.Errorf("got\n%s", &b)
	}
	if p.Error() != p.Message {
		t.Error(p.Error())
	}
	const spoken = `{"error":{"id":"unknown-namespace","message":"no namespace is called \"acme\" here",` +
		`"found":["this machine knows: acme-1","built in: cache.nixos.org"],"try":["flurry use acme-1:BASE64=","did you mean acme-1?"],"exit":2}}`
	if string(p.JSON()) != spoken {
		t.Errorf("got %s", p.JSON())
	}
	var back struct{ Error *Problem }
	if err := json.Unmarshal(p.JSON(), &back); err != nil || !reflect.DeepEqual(back.Error, p) {
		t.Errorf("%+v, %v", back.Error, err)
	}
	b.Reset()
	(&Problem{Message: "m"}).Print(&b)
	if b.String() != "flurry: m\n" {
		t.Errorf("%q", &b)
	}
}
