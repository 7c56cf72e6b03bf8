package wire

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/transfer"
)

// Throttle waits until n bytes may be sent.
type Throttle func(ctx context.Context, n int) error

// framed reads and writes frames at the agreed pace. One goroutine may read
// and another write.
type framed struct {
	stream   Stream
	throttle Throttle // nil: none
	buffers  *buffers

	read     pacer
	reader   *bufio.Reader
	frame    *buffer // of the frame read last
	believed int     // how long a frame is made room for at once
	received int     // bytes of all frames so far

	pace Pace
	out  []byte // small frames not written yet
	head []byte // of the frame being written
}

// reading is how one side reads.
type reading struct {
	ahead   int // size of the buffer that small reads go through
	trusted int // how long a first frame is made room for at once
}

func newFramed(s Stream, pace Pace, b *buffers, r reading) *framed {
	if pace == (Pace{}) {
		pace = DefaultPace()
	}
	f := &framed{
		stream: s, buffers: b, believed: r.trusted, pace: pace,
		read: pacer{pace: pace, set: s.SetReadDeadline},
	}
	f.reader = bufio.NewReaderSize(readerFunc(f.readSome), r.ahead)
	return f
}

// release gives the buffers back. Nothing that was read is valid after it.
func (f *framed) release() {
	f.buffers.put(f.frame)
	f.frame = nil
}

type readerFunc func([]byte) (int, error)

func (r readerFunc) Read(p []byte) (int, error) { return r(p) }

func (f *framed) readSome(p []byte) (int, error) {
	n, err := f.stream.Read(p)
	if n > 0 {
		if perr := f.read.moved(n); err == nil {
			err = perr
		}
	}
	return n, err
}

// resetWhen resets s when ctx ends, until stop is called: stop says whether that
// has not happened, and will not.
func resetWhen(ctx context.Context, s Stream) (stop func() bool) {
	done := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(done)
		s.Reset()
	})
	return sync.OnceValue(func() bool {
		if cancel() {
			return true
		}
		<-done
		return false
	})
}

// errTooLong is wrapped by errors about what a frame's length says.
var errTooLong = errors.New("frame")

// next reads one frame of at most limit bytes. It is valid until the next call.
// Errors are the transport's, ErrStalled, or wrap errTooLong.
func (f *framed) next(limit int) ([]byte, error) {
	n, err := readLength(f.reader)
	if err != nil {
		return nil, stalled(err)
	}
	if n > uint64(limit) {
		return nil, fmt.Errorf("%w of %d bytes, at most %d", errTooLong, n, limit)
	}
	raw, err := f.fill(int(n))
	if err != nil {
		return nil, stalled(err)
	}
	f.received += len(raw)
	f.believed = max(f.believed, 2*len(raw))
	return raw, nil
}

// fill reads n bytes into the frame's buffer, which grows as they come.
func (f *framed) fill(n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	have := 0
	for room := min(n, f.believed); ; room = min(n, 2*room) {
		if f.frame == nil || len(f.frame.b) < room {
			larger := f.buffers.get(room)
			if f.frame != nil {
				copy(larger.b, f.frame.b[:have])
			}
			f.buffers.put(f.frame)
			f.frame = larger
		}
		room = min(n, len(f.frame.b))
		if _, err := io.ReadFull(f.reader, f.frame.b[have:room]); err != nil {
			return nil, unexpected(err)
		}
		if have = room; have == n {
			return f.frame.b[:n:n], nil
		}
	}
}

// readLength reads a uvarint in its shortest form, of at most 5 bytes: no
// frame's length has more. io.EOF means that there was nothing.
func readLength(r *bufio.Reader) (uint64, error) {
	var raw [5]byte
	for i := range raw {
		b, err := r.ReadByte()
		if err != nil {
			if i > 0 {
				err = unexpected(err)
			}
			return 0, err
		}
		raw[i] = b
		if b < 0x80 {
			v, n := binary.Uvarint(raw[:i+1])
			if n != varintLen(v) {
				return 0, fmt.Errorf("%w with a length that is not in its shortest form", errTooLong)
			}
			return v, nil
		}
	}
	return 0, fmt.Errorf("%w with a length of more than %d bytes", errTooLong, len(raw))
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// stalled names what a deadline that passed means here.
func stalled(err error) error {
	var timeout interface{ Timeout() bool }
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%w (%v)", transfer.ErrStalled, err)
	}
	return err
}

// put writes a frame: the message's fields that build appends, then data as the
// rest of the last one. Small frames are gathered until flush.
func (f *framed) put(ctx context.Context, build func([]byte) []byte, data []byte) error {
	f.head = build(f.head[:0])
	f.out = binary.AppendUvarint(f.out, uint64(len(f.head)+len(data)))
	f.out = append(f.out, f.head...)
	if len(data) <= inlineData {
		f.out = append(f.out, data...)
		if len(f.out) < flushAt {
			return nil
		}
		return f.flush(ctx)
	}
	if err := f.flush(ctx); err != nil {
		return err
	}
	return f.writeAll(ctx, data)
}

// flush writes what was gathered.
func (f *framed) flush(ctx context.Context) error {
	err := f.writeAll(ctx, f.out)
	f.out = f.out[:0]
	return err
}

// writeAll writes p in steps, each of which the peer has to take at the agreed
// pace. What this side takes between steps is not counted.
func (f *framed) writeAll(ctx context.Context, p []byte) error {
	for len(p) > 0 {
		step := p[:min(len(p), WriteStep)]
		if f.throttle != nil {
			if err := f.throttle(ctx, len(step)); err != nil {
				return err
			}
		}
		periods := (len(step) + f.pace.Bytes - 1) / f.pace.Bytes
		if err := f.stream.SetWriteDeadline(time.Now().Add(time.Duration(periods) * f.pace.Within)); err != nil {
			return err
		}
		if _, err := f.stream.Write(step); err != nil {
			return stalled(err)
		}
		p = p[len(step):]
	}
	return nil
}
