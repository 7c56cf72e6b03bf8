package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/httpgateway"
)

// TestParkedMakeWay: while there is no node, however many connect and say nothing, who asks is answered at once, and those who came first
// and said nothing are gone.
func TestParkedMakeWay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inner, end := context.WithCancel(t.Context())
	s := &supervisor{log: slog.New(slog.DiscardHandler), answers: newQueue(), parked: make(chan struct{}, 4), inner: inner, changed: make(chan struct{}), state: nodeState{phase: phaseDown}}
	srv := httpgateway.NewServer(httpgateway.Standby(httpgateway.Options{}))
	served, accepted := make(chan error, 1), make(chan error, 1)
	go func() { served <- srv.Serve(s.answers) }()
	go func() { accepted <- s.accept(inner, &door{Listener: l, id: 1}) }()
	var silent []net.Conn
	for range 5 {
		for range 10 {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			silent = append(silent, c)
		}
		began := time.Now()
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get("http://" + l.Addr().String() + "/nix-cache-info")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if took := time.Since(began); resp.StatusCode != http.StatusOK || took > silenceLimit/2 {
			t.Errorf("%s after %v", resp.Status, took)
		}
	}
	for k, c := range silent[:len(silent)-4] {
		_ = c.SetReadDeadline(time.Now().Add(silenceLimit / 2))
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("silent connection %d: %v", k, err)
		}
	}
	end()
	l.Close()
	srv.Close()
	s.answers.Close()
	s.tasks.Wait()
	if err := <-accepted; err != nil {
		t.Error(err)
	}
	<-served
	if n := s.silent.all.Len() + len(s.parked); n != 0 {
		t.Errorf("%d are counted in the end", n)
	}
}
