package daemon

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"sync"
)

// The handshake and the messages that precede every answer, as in
// libstore/worker-protocol.hh.
const (
	clientMagic = 0x6e697863
	serverMagic = 0x6478696f

	major      = 1 << 8
	minVersion = major | 21 // Nix 2.3
	maxVersion = major | 35 // the last that both Nix and Lix speak

	versionStructuredErrors = major | 26
	versionNixVersion       = major | 33
	versionTrust            = major | 35

	// What a daemon says of its client.
	trustUnknown = 0
	trustsClient = 1

	stderrNext          = 0x6f6c6d67
	stderrLast          = 0x616c7473
	stderrError         = 0x63787470
	stderrStartActivity = 0x53545254
	stderrStopActivity  = 0x53544f50
	stderrResult        = 0x52534c54
)

// operation is a question of the protocol.
type operation uint64

const (
	opAddTempRoot           operation = 11
	opQueryAllValidPaths    operation = 23
	opQueryPathInfo         operation = 26
	opQueryPathFromHashPart operation = 29
)

// conn is one connection to a daemon, used by one caller at a time, except for
// close.
type conn struct {
	reader
	out     []byte // questions not yet sent
	stream  io.ReadWriteCloser
	version uint64       // that both sides speak
	trust   uint64       // what the daemon says of this user
	log     int          // bytes of log that the present answer may still have
	close   func() error // ends it at once, for whoever waits on it, too; always returns what it returned first
}

// newConn takes the stream over; handshake must come first.
func newConn(stream io.ReadWriteCloser) *conn {
	return &conn{
		reader: reader{bufio.NewReader(stream)},
		stream: stream,
		close:  sync.OnceValue(stream.Close),
	}
}

func (c *conn) handshake() error {
	c.out = appendUint(c.out, clientMagic)
	if err := c.flush(); err != nil {
		return err
	}
	magic, err := c.uint()
	if err != nil {
		return err
	}
	if magic != serverMagic {
		return fmt.Errorf("not a Nix daemon: it greets with %#x", magic)
	}
	server, err := c.uint()
	if err != nil {
		return unexpected(err)
	}
	if server < minVersion || server>>8 != major>>8 {
		return fmt.Errorf("a Nix daemon of protocol %d.%d; flurry needs 1.%d (Nix 2.3) or a later 1", server>>8, server&0xff, minVersion&0xff)
	}
	c.version = min(server, maxVersion)
	c.out = appendUint(c.out, c.version)
	c.out = appendUint(c.out, 0) // no CPU affinity
	c.out = appendUint(c.out, 0) // no reserve space
	if err := c.flush(); err != nil {
		return err
	}
	if c.version >= versionNixVersion {
		if _, err := c.string(maxString); err != nil {
			return unexpected(err)
		}
	}
	if c.version >= versionTrust {
		if c.trust, err = c.uint(); err != nil {
			return unexpected(err)
		}
	}
	return unexpected(c.answer())
}

// ask puts a question into the buffer.
func (c *conn) ask(op operation, arg string) {
	c.out = appendString(appendUint(c.out, uint64(op)), arg)
}

// flush sends the questions.
func (c *conn) flush() error {
	_, err := c.stream.Write(c.out)
	c.out = c.out[:0]
	return err
}

// answer reads up to where the answer to the oldest open question begins. A
// *RemoteError is in place of that answer; after any other error the connection
// is of no use.
func (c *conn) answer() error {
	c.log = maxLog
	for {
		kind, err := c.uint()
		if err != nil {
			return err
		}
		switch kind {
		case stderrLast:
			return nil
		case stderrError:
			return c.remoteError()
		case stderrNext:
			err = c.skipString()
		case stderrStartActivity:
			err = c.skipActivity()
		case stderrStopActivity:
			err = c.skip(8)
		case stderrResult:
			err = c.skipResult()
		default:
			err = fmt.Errorf("the Nix daemon sends a message of unknown kind %#x", kind)
		}
		if err != nil {
			return unexpected(err)
		}
		c.log -= 8
	}
}

// remoteError reads an error, in the form of the version that was agreed on.
func (c *conn) remoteError() error {
	var err error
	readString := func() (s string) {
		if err == nil {
			s, err = c.string(maxMessage)
		}
		return s
	}
	skipUint := func() {
		if err == nil {
			_, err = c.uint()
		}
	}
	if c.version < versionStructuredErrors {
		message := readString()
		skipUint() // exit status
		return remoteError(message, err)
	}
	readString() // "Error"
	skipUint()   // level
	readString() // name
	message := readString()
	skipUint() // no position
	if err != nil {
		return unexpected(err)
	}
	traces, err := c.count("traces", maxTraces)
	for range traces {
		skipUint() // no position
		readString()
	}
	return remoteError(message, err)
}

func remoteError(message string, err error) error {
	if err != nil {
		return unexpected(err)
	}
	colours := regexp.MustCompile("\x1b\\[[0-9;]*m")
	return &RemoteError{Message: colours.ReplaceAllString(message, "")}
}

// skip skips n bytes of log, as long as there are not too many of them.
func (c *conn) skip(n int) error {
	if c.log -= n; c.log < 0 {
		return fmt.Errorf("the Nix daemon sends more than %d bytes of log", maxLog)
	}
	_, err := c.r.Discard(n)
	return err
}

func (c *conn) skipString() error {
	n, err := c.count("a log line", maxMessage)
	if err != nil {
		return err
	}
	return c.skip(n + padding(n))
}

// skipActivity skips id, level and type, text, fields, and parent.
func (c *conn) skipActivity() error {
	if err := c.skip(3 * 8); err != nil {
		return err
	}
	if err := c.skipString(); err != nil {
		return err
	}
	if err := c.skipFields(); err != nil {
		return err
	}
	return c.skip(8)
}

// skipResult skips activity and type, and fields.
func (c *conn) skipResult() error {
	if err := c.skip(2 * 8); err != nil {
		return err
	}
	return c.skipFields()
}

// skipFields skips a list of integers and strings, each with its type before it.
func (c *conn) skipFields() error {
	n, err := c.count("a list of fields", maxFields)
	if err != nil {
		return err
	}
	for range n {
		kind, err := c.count("a field's type", 1)
		if err != nil {
			return err
		}
		if kind == 0 {
			err = c.skip(8)
		} else {
			err = c.skipString()
		}
		if err != nil {
			return err
		}
	}
	return nil
}
