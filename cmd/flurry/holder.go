package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// holder is the program that has a port.
type holder struct {
	program string
	pid     int
}

func (h holder) String() string { return fmt.Sprintf("%q (pid %d)", h.program, h.pid) }

// holderOf asks /proc who listens at a port. Whose programs are not ours, and where there is no /proc, it does not know.
func holderOf(kind string, port int) (holder, bool) {
	inodes := make(map[string]bool)
	for _, table := range []string{kind, kind + "6"} {
		for _, inode := range listeners(filepath.Join("/proc/net", table), port) {
			inodes["socket:["+inode+"]"] = true
		}
	}
	if len(inodes) == 0 {
		return holder{}, false
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return holder{}, false
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !inodes[target] {
			continue
		}
		dir := filepath.Dir(filepath.Dir(link))
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			continue
		}
		return holder{program: strings.TrimSpace(string(name)), pid: pid}, true
	}
	return holder{}, false
}

// listeners reads the inodes of the sockets that are bound to a local port and to no remote one out of a table such as
// /proc/net/tcp (proc_pid_net(5)).
func listeners(table string, port int) []string {
	f, err := os.Open(table)
	if err != nil {
		return nil
	}
	defer f.Close()
	local := fmt.Sprintf(":%04X", port)
	var inodes []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && strings.HasSuffix(fields[1], local) && strings.HasSuffix(fields[2], ":0000") {
			inodes = append(inodes, fields[9])
		}
	}
	return inodes
}
