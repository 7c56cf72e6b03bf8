package netlab

import (
	"context"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// lab makes a lab, or ends the test where there can be none.
func lab(t *testing.T) *Lab {
	t.Helper()
	if err := Missing(); err != nil {
		if os.Getenv("FLURRY_REQUIRE_NIX") == "1" {
			t.Fatalf("FLURRY_REQUIRE_NIX=1, and %v", err)
		}
		t.Skip(err)
	}
	l, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// serves makes everybody who connects to port 7 of h be sent n bytes.
func serves(t *testing.T, h *Host, n int) {
	t.Helper()
	var listener net.Listener
	err := h.visit(func() (err error) {
		listener, err = net.Listen("tcp4", h.Addr()+":7")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { listener.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			c.Write(make([]byte, n))
			c.Close()
		}
	}()
}

// gets connects from one host to port 7 of another, reads all that it says, and returns how much that was.
func gets(t *testing.T, from, to *Host) (int64, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	c, err := from.Dial(ctx, "tcp4", to.Addr()+":7")
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return io.Copy(io.Discard, c)
}

func made(h *Host, err error) func(*testing.T) *Host {
	return func(t *testing.T) *Host {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
}

func TestRates(t *testing.T) {
	l := lab(t)
	a, b := made(l.Host(t.Context(), 0))(t), made(l.Host(t.Context(), 20*Mbit))(t)
	const size = 1_000_000
	serves(t, a, size)
	took := func() time.Duration {
		t.Helper()
		start := time.Now()
		if n, err := gets(t, b, a); err != nil || n != size {
			t.Fatalf("%d of %d bytes came: %v", n, size, err)
		}
		return time.Since(start)
	}
	if d := took(); d < 300*time.Millisecond { // 0.4 s, less what buckets hold
		t.Errorf("a megabyte took %v on a line of 20 Mbit/s", d)
	}
	if err := b.SetRate(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if d := took(); d > 300*time.Millisecond {
		t.Errorf("a megabyte took %v on a line without a limit", d)
	}
}

// TestNobodyGetsIn: who is behind a NAT reaches everybody, and nobody reaches it, at its own address or its router's.
func TestNobodyGetsIn(t *testing.T) {
	l := lab(t)
	outside, inside := made(l.Host(t.Context(), 0))(t), made(l.Behind(t.Context(), 0))(t)
	serves(t, outside, 10)
	serves(t, inside, 10)
	if n, err := gets(t, inside, outside); err != nil || n != 10 {
		t.Errorf("from behind the NAT came %d bytes: %v", n, err)
	}
	if _, err := gets(t, outside, inside); err == nil {
		t.Error("the host behind the NAT can be dialled at its own address")
	}
	router := &Host{space: inside.outer, addr: "11.7.2.2"}
	if _, err := gets(t, outside, router); err == nil {
		t.Error("the host behind the NAT can be dialled at its router's address")
	}
}
