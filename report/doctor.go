package report

import (
	"fmt"
	"io"
	"strings"
)

// CheckStatus says how a check of doctor's ended.
type CheckStatus string

// The ends.
const (
	CheckOK   CheckStatus = "ok"
	CheckWarn CheckStatus = "warn" // works, and could be better or soon will not
	CheckFail CheckStatus = "fail" // does not work
	CheckSkip CheckStatus = "skip" // could not be looked at; the text says why
)

// Doctor is what `flurry doctor` found.
type Doctor struct {
	Schema string        `json:"schema"` // flurry/doctor/1
	OK     bool          `json:"ok"`     // nothing fails
	Checks []DoctorCheck `json:"checks"`
}

// DoctorCheck is what one check found.
type DoctorCheck struct {
	ID     string      `json:"id"` // GROUP.NAME
	Status CheckStatus `json:"status"`
	Text   string      `json:"text"`
	Try    []string    `json:"try,omitempty"` // what to do, one line each
	Fix    string      `json:"fix,omitempty"` // what --fix would run
}

// Complete says whether all is well.
func (d *Doctor) Complete() {
	d.Schema, d.OK = "flurry/doctor/1", true
	if d.Checks == nil {
		d.Checks = []DoctorCheck{}
	}
	for _, c := range d.Checks {
		d.OK = d.OK && c.Status != CheckFail
	}
}

// Exit is 1 when something fails.
func (d Doctor) Exit() int {
	if d.OK {
		return ExitOK
	}
	return ExitFailed
}

// PrintText writes a line for each check, and what to do below those that are not well.
func (d Doctor) PrintText(w io.Writer) {
	group, fails, warns := "", 0, 0
	for _, c := range d.Checks {
		name, _, _ := strings.Cut(c.ID, ".")
		lead := ""
		if name != group {
			group, lead = name, groupName(name)
		}
		status := string(c.Status)
		switch c.Status {
		case CheckFail:
			status = "FAIL"
			fails++
		case CheckWarn:
			warns++
		case CheckSkip:
			status = "-"
		}
		fmt.Fprintf(w, "%-10s %-5s %s\n", lead, status, c.Text)
		try := "try: "
		for _, t := range c.Try {
			fmt.Fprintf(w, "%-16s %s%s\n", "", try, t)
			try = "     "
		}
	}
	switch {
	case fails+warns == 0:
		fmt.Fprintf(w, "\nall is well.\n")
	default:
		fmt.Fprintf(w, "\n%s, %s.\n", count(fails, "failure", "failures"), count(warns, "warning", "warnings"))
	}
}

func groupName(name string) string {
	if name == "ns" {
		return "namespaces"
	}
	if name == "net" {
		return "network"
	}
	return name
}
