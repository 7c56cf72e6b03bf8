package nix

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// NarChecker checks that what is written to it is one whole NAR, structure,
// order, padding and limits, as strictly as the newest Nix does and in the one
// spelling that DumpNar writes; so what it accepts, every Nix unpacks to the
// same tree. It holds a few bytes for each level of the tree and nothing of the
// files. Its zero value is ready; it is not safe for concurrent use.
type NarChecker struct {
	offset uint64 // bytes taken
	start  uint64 // where the string being read began
	state  narState
	err    error

	// The string being read. In narContents its bytes are only counted.
	phase narPhase
	word  []byte // the bytes so far of the length or of the string
	size  uint64 // the string's length
	left  uint64 // how much of it, or of its padding, is still to come

	names [][]byte // for each directory that is open: the last name in it
	depth int      // nodes that are open
}

// narPhase is a part of the string that is being read.
type narPhase uint8

const (
	narLength narPhase = iota
	narBytes
	narPadding
)

// narState says which string of the grammar is expected.
type narState uint8

const (
	wantMagic narState = iota
	wantNode
	wantType
	wantTypeName
	wantExecutableOrContents
	wantExecutableMark
	wantContents
	narContents
	wantTarget
	wantTargetName
	wantEntryOrEnd
	wantEntryOpen
	wantName
	wantNameText
	wantEntryNode
	wantNodeEnd
	wantEntryEnd
	narDone
)

// Write checks the next bytes. After an error, which names the offset of the
// string that is wrong, every further call returns it.
func (c *NarChecker) Write(p []byte) (int, error) {
	rest := p
	for len(rest) > 0 && c.err == nil {
		var n int
		n, c.err = c.step(rest)
		rest = rest[n:]
		c.offset += uint64(n)
	}
	return len(p) - len(rest), c.err
}

// Close reports whether exactly one whole NAR was written.
func (c *NarChecker) Close() error {
	if c.err == nil && c.state != narDone {
		c.err = fmt.Errorf("NAR: ends in the middle, after %d bytes", c.offset)
	}
	return c.err
}

func (c *NarChecker) fail(format string, args ...any) error {
	return fmt.Errorf("NAR at byte %d: %w", c.start, fmt.Errorf(format, args...))
}

// step takes what it can of p, at least one byte unless it fails, from within
// one part of one string.
func (c *NarChecker) step(p []byte) (int, error) {
	if c.phase == narLength && len(c.word) == 0 {
		c.start = c.offset
	}
	if c.state == narDone {
		return 0, c.fail("bytes after the end")
	}
	switch c.phase {
	case narLength:
		n := c.gather(p, 8)
		if len(c.word) < 8 {
			return n, nil
		}
		c.size = binary.LittleEndian.Uint64(c.word)
		c.word = c.word[:0]
		if limit := c.limit(); c.size > limit {
			return n, c.fail("a string of %d bytes where at most %d are allowed", c.size, limit)
		}
		c.phase, c.left = narBytes, c.size
		return n, c.endOfPhase()
	case narBytes:
		n := int(min(uint64(len(p)), c.left))
		if c.state != narContents {
			c.word = append(c.word, p[:n]...)
		}
		c.left -= uint64(n)
		return n, c.endOfPhase()
	default:
		n := int(min(uint64(len(p)), c.left))
		for _, b := range p[:n] {
			if b != 0 {
				return n, c.fail("padding that is not zero")
			}
		}
		c.left -= uint64(n)
		return n, c.endOfPhase()
	}
}

// gather adds to the word until it has size bytes, and returns how many it took.
func (c *NarChecker) gather(p []byte, size int) int {
	n := min(len(p), size-len(c.word))
	c.word = append(c.word, p[:n]...)
	return n
}

// endOfPhase goes on to the padding when the bytes are there, and to the next
// string when the padding is.
func (c *NarChecker) endOfPhase() error {
	if c.phase == narBytes && c.left == 0 {
		c.phase, c.left = narPadding, uint64(padding(c.size))
	}
	if c.phase == narBytes || c.left > 0 {
		return nil
	}
	err := c.accept(c.word)
	c.phase, c.word = narLength, c.word[:0]
	return err
}

// limit is the longest string that may come now, in bytes.
func (c *NarChecker) limit() uint64 {
	switch c.state {
	case narContents:
		return MaxNarSize
	case wantNameText:
		return MaxNarName
	case wantTargetName:
		return MaxNarTarget
	case wantExecutableMark:
		return 0
	}
	return maxNarTag
}

// accept takes a whole string and moves on in the grammar.
func (c *NarChecker) accept(word []byte) error {
	switch c.state {
	case wantMagic:
		return c.expect(word, narMagic, wantNode)
	case wantNode:
		if c.depth++; c.depth > MaxNarDepth {
			return c.fail("more than %d levels", MaxNarDepth)
		}
		return c.expect(word, "(", wantType)
	case wantType:
		return c.expect(word, "type", wantTypeName)
	case wantTypeName:
		return c.acceptType(word)
	case wantExecutableOrContents:
		if string(word) == "executable" {
			c.state = wantExecutableMark
			return nil
		}
		return c.expect(word, "contents", narContents)
	case wantExecutableMark:
		c.state = wantContents
	case wantContents:
		return c.expect(word, "contents", narContents)
	case narContents:
		c.state = wantNodeEnd
	case wantTarget:
		return c.expect(word, "target", wantTargetName)
	case wantTargetName:
		c.state = wantNodeEnd
		if err := checkTarget(string(word)); err != nil {
			return c.fail("%w", err)
		}
	case wantNodeEnd:
		if err := c.expect(word, ")", wantEntryEnd); err != nil {
			return err
		}
		c.nodeEnds()
	default:
		return c.acceptEntry(word)
	}
	return nil
}

// acceptEntry takes the strings of a directory.
func (c *NarChecker) acceptEntry(word []byte) error {
	switch c.state {
	case wantEntryOrEnd:
		if string(word) == ")" {
			c.names = c.names[:len(c.names)-1]
			c.nodeEnds()
			return nil
		}
		return c.expect(word, "entry", wantEntryOpen)
	case wantEntryOpen:
		return c.expect(word, "(", wantName)
	case wantName:
		return c.expect(word, "name", wantNameText)
	case wantNameText:
		c.state = wantEntryNode
		return c.acceptName(word)
	case wantEntryNode:
		return c.expect(word, "node", wantNode)
	}
	return c.expect(word, ")", wantEntryOrEnd) // wantEntryEnd
}

func (c *NarChecker) acceptType(word []byte) error {
	switch string(word) {
	case "regular":
		c.state = wantExecutableOrContents
	case "symlink":
		c.state = wantTarget
	case "directory":
		c.state = wantEntryOrEnd
		c.pushDirectory()
	default:
		return c.fail("type %s is not known", quote(string(word)))
	}
	return nil
}

// acceptName takes a name that must come after the one before it in the same
// directory.
func (c *NarChecker) acceptName(name []byte) error {
	if err := checkEntryName(string(name)); err != nil {
		return c.fail("%w", err)
	}
	last := &c.names[len(c.names)-1]
	if bytes.Compare(name, *last) <= 0 {
		return c.fail("the name %s after %s: not sorted", quote(string(name)), quote(string(*last)))
	}
	*last = append((*last)[:0], name...)
	return nil
}

// pushDirectory opens a directory, reusing the memory of an earlier one as deep.
func (c *NarChecker) pushDirectory() {
	if n := len(c.names); n < cap(c.names) {
		c.names = c.names[:n+1]
		c.names[n] = c.names[n][:0]
		return
	}
	c.names = append(c.names, nil)
}

// nodeEnds closes a node: the root's end is the archive's.
func (c *NarChecker) nodeEnds() {
	c.depth--
	c.state = wantEntryEnd
	if c.depth == 0 {
		c.state = narDone
	}
}

func (c *NarChecker) expect(word []byte, want string, next narState) error {
	if string(word) != want {
		return c.fail("%s where %q is expected", quote(string(word)), want)
	}
	c.state = next
	return nil
}
