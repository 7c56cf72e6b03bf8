package pages_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// browser is a headless Chromium, spoken to over two pipes (--remote-debugging-pipe: JSON objects that end in a zero byte).
type browser struct {
	t       *testing.T
	to      io.Writer
	session string

	mu      sync.Mutex
	next    int
	answers map[int]chan message
	events  []message
	wake    chan struct{}
}

type message struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// newBrowser starts one with a tab, or skips the test where there is none.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	var name string
	for _, n := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(n); err == nil {
			name = found
			break
		}
	}
	if name == "" {
		if os.Getenv("FLURRY_REQUIRE_BROWSER") == "1" {
			t.Fatal("there is no Chromium, and FLURRY_REQUIRE_BROWSER=1")
		}
		t.Skip("there is no Chromium: the pages are not looked at in a browser")
	}
	home, err := os.MkdirTemp("", "flurry-browser")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
		"--hide-scrollbars", "--user-data-dir="+home, "--remote-debugging-pipe", "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+home)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	theirs, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, itsOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{theirs, itsOut}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	itsOut.Close()
	b := &browser{t: t, to: to, answers: make(map[int]chan message), wake: make(chan struct{}, 1)}
	read := make(chan struct{})
	go func() { defer close(read); b.read(from) }()
	t.Cleanup(func() {
		to.Close()
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		from.Close()
		<-read
		for range 100 { // its other processes may write for a moment
			if os.RemoveAll(home) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

func (b *browser) read(from io.Reader) {
	in := bufio.NewReader(from)
	for {
		raw, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(raw[:len(raw)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		if c := b.answers[m.ID]; m.Method == "" && c != nil {
			delete(b.answers, m.ID)
			c <- m
		} else {
			b.events = append(b.events, m)
			select {
			case b.wake <- struct{}{}:
			default:
			}
		}
		b.mu.Unlock()
	}
}

func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	b.mu.Lock()
	b.next++
	id, answer := b.next, make(chan message, 1)
	b.answers[id] = answer
	b.mu.Unlock()
	raw, err := json.Marshal(struct {
		ID        int    `json:"id"`
		SessionID string `json:"sessionId,omitempty"`
		Method    string `json:"method"`
		Params    any    `json:"params,omitempty"`
	}{id, b.session, method, params})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(raw, 0)); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	select {
	case m := <-answer:
		if len(m.Error) > 0 {
			b.t.Fatalf("%s: %s", method, m.Error)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
	case <-time.After(60 * time.Second):
		b.t.Fatalf("%s: the browser does not answer", method)
	}
}

// look is how a page is looked at.
type look struct {
	name          string
	width, height int
	dark          bool
}

// open opens a page, waits until all of it is there, and returns what the browser complained of.
func (b *browser) open(url string, l look) (complaints []string) {
	b.t.Helper()
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": l.width, "height": l.height, "deviceScaleFactor": 1, "mobile": l.width < 600}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	b.mu.Lock()
	b.events = nil
	b.mu.Unlock()
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	deadline := time.After(60 * time.Second)
	for {
		b.mu.Lock()
		events := b.events
		b.mu.Unlock()
		complaints = nil
		loaded := false
		for _, m := range events {
			switch m.Method {
			case "Page.loadEventFired":
				loaded = true
			case "Runtime.exceptionThrown", "Log.entryAdded", "Network.loadingFailed":
				complaints = append(complaints, m.Method+" "+string(m.Params))
			}
		}
		if loaded {
			return complaints
		}
		select {
		case <-b.wake:
		case <-deadline:
			b.t.Fatalf("%s: it does not load", url)
		}
	}
}

// value is what an expression gives in the page.
func (b *browser) value(expression string) string {
	b.t.Helper()
	var r struct {
		Result struct{ Value any }
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &r)
	return fmt.Sprint(r.Result.Value)
}

// picture keeps what the page looks like, where FLURRY_PICTURES names a directory.
func (b *browser) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("FLURRY_PICTURES")
	if dir == "" {
		return
	}
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true, "format": "png"}, &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// contrast is the least contrast of text on what is behind it in the page (WCAG 2.1, 1.4.3), and where that is.
const contrast = `(() => {
	const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= 0.03928 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4) }); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
	const parse = s => { const m = s.match(/[\d.]+/g).map(Number); return { c: m.slice(0, 3), a: m.length > 3 ? m[3] : 1 } };
	const behind = e => { for (; e; e = e.parentElement) { const p = parse(getComputedStyle(e).backgroundColor); if (p.a > 0) return p.c } return matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255] };
	let worst = 21, where = '';
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement;
		if (!walk.currentNode.textContent.trim() || !e.getClientRects().length) continue;
		const a = light(parse(getComputedStyle(e).color).c), b = light(behind(e));
		const c = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (c < worst) { worst = c; where = walk.currentNode.textContent.trim() }
	}
	return worst.toFixed(2) + ' ' + where;
})()`

// TestInABrowser opens each page at the width of a phone and of a desk, light and dark: nothing is wider than the screen, no
// text is hard to read, and the browser has nothing to complain of.
func TestInABrowser(t *testing.T) {
	b := newBrowser(t)
	for _, scene := range scenes(t) {
		for _, l := range []look{{"phone-light", 390, 844, false}, {"phone-dark", 390, 844, true}, {"desk-light", 1280, 800, false}, {"desk-dark", 1280, 800, true}} {
			name := scene.name + "-" + l.name
			t.Run(name, func(t *testing.T) {
				complaints := b.open(scene.url, l)
				if scene.status != 200 { // the browser complains that it is not 200
					complaints = nil
				}
				if len(complaints) > 0 {
					t.Errorf("the browser complains: %q", complaints)
				}
				if width := b.value("document.documentElement.scrollWidth"); width != fmt.Sprint(l.width) {
					t.Errorf("it is %s pixels wide on a screen of %d", width, l.width)
				}
				if text := b.value("document.body.innerText"); !strings.Contains(text, scene.says) {
					t.Errorf("it does not say %q:\n%s", scene.says, text)
				}
				if links := b.value("[...document.querySelectorAll('a')].every(a => a.origin == location.origin && a.getAttribute('href') != '/why/')"); links != "true" {
					t.Error("a link leads elsewhere, or nowhere")
				}
				if whole := b.value("[...document.querySelectorAll('pre .word')].every(w => w.textContent.length > 30 || w.offsetHeight < 30)"); whole != "true" {
					t.Error("a word of a command is broken")
				}
				var worst float64
				said := b.value(contrast)
				if _, err := fmt.Sscan(said, &worst); err != nil || worst < 4.5 {
					t.Errorf("the least contrast of text is %s, less than 4.5", said)
				}
				b.picture(name)
			})
		}
	}
}
