package peer

import (
	"strconv"
	"strings"
)

// Version is the version of the protocols between nodes that this program
// speaks.
const Version = 1

// Protocol is the name under which libp2p negotiates one of the protocols, as
// in /flurry/lookup/1.
func Protocol(name string) string { return protocolPrefix(name) + strconv.Itoa(Version) }

func protocolPrefix(name string) string { return "/flurry/" + name + "/" }

// ProtocolVersion is the version that id names the protocol in, if it names it.
func ProtocolVersion(id, name string) (version string, ok bool) {
	version, ok = strings.CutPrefix(id, protocolPrefix(name))
	if !ok {
		return "", false
	}
	return version, true
}
