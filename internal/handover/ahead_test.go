package handover

import "testing"

// TestReadAheadOfWhole: an HTTP server reads on while it answers, and may have a byte of the next request when the answer is whole and it has
// not said so. That connection does not wait for a request: nobody could read it from its beginning. The giver answers it, by its note.
func TestReadAheadOfWhole(t *testing.T) {
	p := newPair(t)
	for _, take := range []func(){p.giver.TakeIdle, func() { p.giver.TakeBack(false) }, func() { p.giver.TakeBack(true) }} {
		client := p.connect()
		c := p.accept()
		say(t, client, "ask\n")
		hear(t, c, "ask\n")
		c.Active()
		say(t, c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
		say(t, client, "!ask\n")
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		take()
		if len(p.adopted) > 0 {
			t.Fatal("it was taken for one that waits")
		}
		mine := <-p.answers
		if mine.note != 9 {
			t.Errorf("note %d", mine.note)
		}
		c.Idle()
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("the taker reads on")
		}
		mine.Close()
		c.Close()
	}
	p.awaitFree(slots)
}

// TestTakeIdle: what was read is left to a taker that ends; what was not comes back.
func TestTakeIdle(t *testing.T) {
	p := newPair(t)
	asked, waits := p.connect(), p.connect()
	c, other := p.accept(), p.accept()
	say(t, asked, "ask\n")
	hear(t, c, "ask\n")
	c.Active()
	p.giver.TakeIdle()
	mine := <-p.adopted
	say(t, waits, "ask\n")
	hear(t, mine, "ask\n")
	mine.Close()
	other.Close()
	if len(p.answers) > 0 {
		t.Fatal("what was read was taken back")
	}
	say(t, c, "answer\n")
	hear(t, asked, "answer\n")
	c.Close()
	p.awaitFree(slots)
}
