package control

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/flurry-nix/flurry/report"
)

// as is a listener whose guests have a role.
type as struct {
	*lobby
	role Role
}

func (l as) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.guest(c, callerOf(c), l.role), nil
}

// TestEveryVerbNeedsItsRole: what can be asked of a daemon is asked by each role, and the daemon hears of it from those who may, and
// from nobody else. A verb that is not in the table fails the test.
func TestEveryVerbNeedsItsRole(t *testing.T) {
	needs := map[string]Role{
		"Status": Anyone, "Why": Anyone, "Show": Anyone, "Health": Anyone, "Seeds": Anyone, "Writers": Anyone, "Expired": Anyone, "Pins": Anyone, "Wait": Anyone,
		"Publish": Publisher, "Queue": Publisher, "Copies": Publisher, "Pin": Publisher,
		"Use": Admin, "Leave": Admin, "New": Admin, "Automatic": Admin, "AddWriter": Admin, "WriterKey": Admin, "PlanRevocation": Admin, "Revoke": Admin,
		"Retract": Admin, "Edit": Admin, "Seed": Admin, "StopSeed": Admin, "Check": Admin, "Collect": Admin,
	}
	verbs := reflect.TypeFor[Daemon]()
	for _, role := range []Role{Anyone, Publisher, Admin} {
		l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
		if err != nil {
			t.Fatal(err)
		}
		f := &fake{}
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- serveGuests(ctx, as{newLobby(l, Roles{Owner: -1}), role}, newHandler(f, Roles{Owner: -1}), slog.New(slog.DiscardHandler))
		}()
		client := reflect.ValueOf(Dial(l.Addr().String()))
		for m := range verbs.NumMethod() {
			verb := verbs.Method(m)
			need, known := needs[verb.Name]
			if !known {
				t.Errorf("who may ask for %s?", verb.Name)
				continue
			}
			args := []reflect.Value{reflect.ValueOf(t.Context())}
			for n := 1; n < verb.Type.NumIn(); n++ {
				arg := reflect.New(verb.Type.In(n)).Elem() // a request, or nil for who hears of progress
				for k := 0; arg.Kind() == reflect.Struct && k < arg.NumField(); k++ {
					if field := arg.Field(k); field.Kind() == reflect.String {
						field.SetString("x")
					}
				}
				args = append(args, arg)
			}
			f.asked = nil
			answer := client.MethodByName(verb.Name).Call(args)
			err, _ := answer[len(answer)-1].Interface().(error)
			switch heard := f.asked != nil; {
			case role >= need && (!heard || err != nil):
				t.Errorf("role %d asks for %s: %v", role, verb.Name, err)
			case role < need && (heard || problemOf(err).ID != "may-not" || problemOf(err).Exit != report.ExitNoDaemon):
				t.Errorf("role %d asks for %s, and the daemon hears of it: %v; %v", role, verb.Name, heard, err)
			}
		}
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
