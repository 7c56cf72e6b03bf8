package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/flurry-nix/flurry/report"
)

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

func isSocket(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode()&os.ModeSocket != 0
}

// answer prints v: as JSON if asked, else by text.
func (sh *shell) answer(v any, text func(io.Writer)) error {
	if !sh.json {
		text(sh.out)
		return nil
	}
	encoder := json.NewEncoder(sh.out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// confirm asks, unless --yes. Without a terminal it says what would be done, and refuses.
func (sh *shell) confirm(question, again string) error {
	if sh.yes {
		return nil
	}
	if !sh.inTerminal {
		return usage(again+" --yes", "%s Nobody is here to answer", question)
	}
	fmt.Fprintf(sh.err, "%s [y/N] ", question)
	line, err := bufio.NewReader(sh.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(line)); a == "y" || a == "yes" {
		return nil
	}
	return &report.Problem{ID: "declined", Message: "nothing was changed", Exit: report.ExitUsage}
}

// progress shows how far something is: a bar on a terminal, elsewhere one line when it begins.
type progress struct {
	sh   *shell
	what string
	bar  *progressbar.ProgressBar
	told bool
}

func (sh *shell) progress(what string) *progress { return &progress{sh: sh, what: what} }

// set says that done of so many bytes are done. words describe the whole.
func (p *progress) set(done, of uint64, words string) {
	if p.sh.quiet || p.sh.json || of == 0 {
		return
	}
	if !p.sh.errTerminal {
		if !p.told {
			p.told = true
			p.sh.say("%s: %s", p.what, words)
		}
		return
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(int64(of), progressbar.OptionSetWriter(p.sh.err), progressbar.OptionSetDescription(p.what),
			progressbar.OptionShowBytes(true), progressbar.OptionShowCount(), progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
	}
	_ = p.bar.Set64(int64(min(done, of))) // a terminal that went away is no reason to stop
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
