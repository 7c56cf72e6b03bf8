package main

import (
	"encoding/json"
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

func isSocket(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode()&os.ModeSocket != 0
}

// answer prints v: as JSON if asked, else by text.
func (sh *shell) answer(v any, text func(io.Writer)) error {
	if sh.json {
		return json.NewEncoder(sh.out).Encode(v)
	}
	text(sh.out)
	return nil
}

// bar draws progress in bytes on a terminal, and is nothing elsewhere.
type bar struct {
	sh   *shell
	what string
	bar  *progressbar.ProgressBar
}

func (sh *shell) bar(what string) *bar { return &bar{sh: sh, what: what} }

func (b *bar) set(done, of uint64) {
	if !b.sh.interactive || b.sh.quiet || b.sh.json || of == 0 {
		return
	}
	if b.bar == nil {
		b.bar = progressbar.NewOptions64(int64(of), progressbar.OptionSetWriter(b.sh.err), progressbar.OptionSetDescription(b.what),
			progressbar.OptionShowBytes(true), progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100e6))
	}
	_ = b.bar.Set64(int64(done)) // a terminal that went away is no reason to stop
}

func (b *bar) end() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}
