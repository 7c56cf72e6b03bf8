package main

import (
	"fmt"
	"path/filepath"
)

// The places of the system's daemon. A daemon that somebody else than root starts has its own, in the user's directories.
const (
	systemConfig = "/etc/flurry/flurry.toml"
	systemState  = "/var/lib/flurry"
	systemSocket = "/run/flurry/control.sock"
)

// place is where a daemon's files are.
type place struct {
	config, state, socket string
	private               bool // for one user alone: nobody else has business at the socket
}

// home is where the daemon's files are unless something says otherwise: the system's for root, else the user's.
func (sh *shell) home() place {
	if sh.uid == 0 {
		return place{config: systemConfig, state: systemState, socket: systemSocket}
	}
	p := place{
		config:  filepath.Join(sh.userDir("XDG_CONFIG_HOME", ".config"), "flurry", "flurry.toml"),
		state:   filepath.Join(sh.userDir("XDG_STATE_HOME", ".local/state"), "flurry"),
		private: true,
	}
	p.socket = stateSocket(p.state)
	if dir := sh.getenv("XDG_RUNTIME_DIR"); dir != "" {
		p.socket = filepath.Join(dir, "flurry", "control.sock")
	}
	return p
}

func (sh *shell) userDir(variable, below string) string {
	if dir := sh.getenv(variable); filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(sh.getenv("HOME"), below)
}

// configFile is the configuration file, and whether somebody named it: then it has to be there.
func (sh *shell) configFile() (name string, named bool) {
	if name := first(sh.config, sh.getenv("FLURRY_CONFIG")); name != "" {
		return name, true
	}
	return sh.home().config, false
}

// loadNamed reads the configuration file that configFile found. One that nobody named need not be there; nor need the
// machine's own, which the service's unit names whether there is one or not.
func loadNamed(name string, named bool) (parsed, error) {
	return loadConfig(name, !named || name == systemConfig)
}

// locate fills in where a daemon with the configuration file f has its state and its socket. What is nearer to the person
// wins: flags, then the environment, then the file, then home.
func (sh *shell) locate(f fileConfig, home place) (state, socket string) {
	state = first(sh.state, sh.getenv("FLURRY_STATE"), f.State, home.state)
	socket = first(sh.socket, stateSocket(sh.state), sh.getenv("FLURRY_SOCKET"), stateSocket(sh.getenv("FLURRY_STATE")),
		f.Control.Socket, stateSocket(f.State), home.socket)
	return state, socket
}

// socketPath finds the socket of the daemon that a command is for. Without a word about it that is the user's, if there is
// one, else the system's.
func (sh *shell) socketPath() string {
	name, named := sh.configFile()
	if named {
		_, socket := sh.locate(readPlaces(name), sh.home())
		return socket
	}
	if _, socket := sh.locate(fileConfig{}, place{}); socket != "" {
		return socket
	}
	if _, socket := sh.locate(readPlaces(name), sh.home()); isSocket(socket) {
		return socket
	}
	_, socket := sh.locate(readPlaces(systemConfig), place{socket: systemSocket})
	return socket
}

// howToStart is what to try when no daemon is there.
func (sh *shell) howToStart() []string {
	state := first(sh.state, sh.getenv("FLURRY_STATE"))
	switch {
	case state != "":
		return []string{"flurry daemon --state " + state + "        in another terminal, or as a service"}
	case first(sh.socket, sh.getenv("FLURRY_SOCKET")) != "":
		return []string{"is it running? flurry daemon --socket PATH, in another terminal, opens it"}
	}
	elsewhere := "--state DIR, if it runs with that (or FLURRY_STATE=DIR)"
	if sh.machine == nil || !sh.machine.IsDir("/run/systemd/system") {
		return []string{"flurry daemon        in another terminal, or as a service", elsewhere}
	}
	for _, s := range []struct{ units, flag, sudo string }{
		{"/etc/systemd/system", "", "sudo "},
		{filepath.Join(sh.userDir("XDG_CONFIG_HOME", ".config"), "systemd/user"), "--user ", ""},
	} {
		if _, err := sh.machine.Read(filepath.Join(s.units, "flurry.service")); err == nil {
			return []string{fmt.Sprintf("%ssystemctl %sstart flurry.socket flurry        (journalctl %s-u flurry says why it stopped)", s.sudo, s.flag, s.flag), elsewhere}
		}
	}
	return []string{"sudo flurry setup        makes it a service", "flurry daemon        in another terminal", elsewhere}
}

// first is the first word that is not empty.
func first(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

// stateSocket is the control socket that belongs to a state directory; none to none.
func stateSocket(state string) string {
	if state == "" {
		return ""
	}
	return filepath.Join(state, "control.sock")
}
