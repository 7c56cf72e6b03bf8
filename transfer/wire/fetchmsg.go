package wire

import (
	"fmt"
	"math"
	"slices"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/transfer"
)

// kindChunks stands beside the kinds of texts in a FetchRequest.
const kindChunks = transfer.Body + 1

// fetchRequest is FetchRequest of flurry.proto.
type fetchRequest struct {
	space  namespace.Address
	kind   transfer.Kind // or kindChunks
	id     [32]byte
	ranges []transfer.Range // of kindChunks
}

func (m *fetchRequest) append(b []byte) []byte {
	b = appendBytes(b, 1, m.space.String())
	b = appendUint(b, 2, uint64(m.kind))
	b = appendDigest(b, 3, m.id)
	list := make([]uint64, 0, 2*len(m.ranges))
	for _, r := range m.ranges {
		list = append(list, uint64(r.First), uint64(r.Count))
	}
	return appendPacked(b, 4, list)
}

func parseFetchRequest(raw []byte) (m fetchRequest, err error) {
	d := decoder{rest: raw}
	for d.next() {
		switch d.num {
		case 1:
			m.space = d.address()
		case 2:
			m.kind = transfer.Kind(d.uint(uint64(kindChunks)))
		case 3:
			m.id = d.digest()
		case 4:
			list := d.packed(2*transfer.MaxRanges, content.MaxChunks)
			if len(list)%2 != 0 {
				d.fail("a range without its count")
				break
			}
			for pair := range slices.Chunk(list, 2) {
				m.ranges = append(m.ranges, transfer.Range{First: uint32(pair[0]), Count: uint32(pair[1])})
			}
		}
	}
	if d.err != nil {
		return m, d.err
	}
	return m, m.check()
}

func (m *fetchRequest) check() error {
	switch {
	case m.space.IsZero():
		return fmt.Errorf("no namespace")
	case m.kind == 0 || m.kind > kindChunks:
		return fmt.Errorf("%v is not one", m.kind)
	case m.kind == kindChunks:
		return checkRanges(m.ranges)
	case len(m.ranges) > 0:
		return fmt.Errorf("ranges of a %v", m.kind)
	}
	return nil
}

// checkRanges accepts 1 to MaxRanges ranges, none empty, none beyond the largest
// body, none overlapping another, in any order.
func checkRanges(ranges []transfer.Range) error {
	if len(ranges) == 0 || len(ranges) > transfer.MaxRanges {
		return fmt.Errorf("%d ranges, not 1 to %d", len(ranges), transfer.MaxRanges)
	}
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b transfer.Range) int { return int(int64(a.First) - int64(b.First)) })
	var end uint64
	for _, r := range sorted {
		switch {
		case r.Count == 0:
			return fmt.Errorf("no chunks from %d", r.First)
		case r.End() > content.MaxChunks:
			return fmt.Errorf("chunks %d to %d, and a body has at most %d", r.First, r.End()-1, content.MaxChunks)
		case uint64(r.First) < end:
			return fmt.Errorf("chunk %d is asked for twice", r.First)
		}
		end = r.End()
	}
	return nil
}

// textPart is TextPart of flurry.proto: a piece of a text. The first one says
// how long the text is.
type textPart struct {
	status
	size int
	data []byte // shares the message's memory
}

func (m *textPart) appendHead(b []byte) []byte {
	b = m.status.append(b)
	b = appendUint(b, 4, uint64(m.size))
	return appendLength(b, 5, len(m.data))
}

func parseTextPart(raw []byte) (m textPart, err error) {
	d := decoder{rest: raw}
	for d.next() {
		switch {
		case m.status.parse(&d):
		case d.num == 4:
			m.size = int(d.uint(math.MaxInt32))
		case d.num == 5:
			m.data = d.bytes(maxPart)
		}
	}
	switch {
	case d.err != nil:
		return m, d.err
	case m.code == codeOK && m.data == nil:
		return m, fmt.Errorf("no data")
	}
	return m, m.check(d.num)
}

// runPart is RunPart of flurry.proto: a run of chunks, whose data is the last
// field, so that it can be read and written in place.
type runPart struct {
	status
	run transfer.Run
}

func (m *runPart) appendHead(b []byte) []byte {
	b = m.status.append(b)
	b = appendUint(b, 4, uint64(m.run.First))
	b = appendUint(b, 5, uint64(m.run.Count))
	b = appendUint(b, 6, uint64(m.run.Encoding))
	b = appendUint(b, 7, uint64(m.run.RawLength))
	return appendLength(b, 8, len(m.run.Data))
}

func parseRunPart(raw []byte) (m runPart, err error) {
	d := decoder{rest: raw}
	for d.next() {
		switch {
		case m.status.parse(&d):
		case d.num == 4:
			m.run.First = uint32(d.uint(content.MaxChunks))
		case d.num == 5:
			m.run.Count = uint32(d.uint(transfer.MaxRunChunks))
		case d.num == 6:
			m.run.Encoding = transfer.Encoding(d.uint(uint64(transfer.Zstd)))
		case d.num == 7:
			m.run.RawLength = int(d.uint(transfer.MaxRunRaw))
		case d.num == 8:
			m.run.Data = d.bytes(transfer.MaxRunData)
		}
	}
	if d.err != nil {
		return m, d.err
	}
	if m.code == codeOK {
		if err := checkRun(m.run); err != nil {
			return m, err
		}
	}
	return m, m.check(d.num)
}

// checkRun looks at a run by itself.
func checkRun(r transfer.Run) error {
	switch {
	case r.Count == 0 || r.Count > transfer.MaxRunChunks:
		return fmt.Errorf("a run of %d chunks, not 1 to %d", r.Count, transfer.MaxRunChunks)
	case r.Encoding > transfer.Zstd:
		return fmt.Errorf("a run in %v", r.Encoding)
	case r.RawLength <= 0 || r.RawLength > transfer.MaxRunRaw:
		return fmt.Errorf("a run of %d bytes, not 1 to %d", r.RawLength, transfer.MaxRunRaw)
	case r.RawLength < int(r.Count) || r.RawLength > int(r.Count)*content.MaxChunk:
		return fmt.Errorf("%d chunks with %d bytes together, and each has 1 to %d", r.Count, r.RawLength, content.MaxChunk)
	case r.Encoding == transfer.Raw && len(r.Data) != r.RawLength:
		return fmt.Errorf("a run of %d bytes brings %d", r.RawLength, len(r.Data))
	case len(r.Data) == 0 || len(r.Data) > r.RawLength+maxRunHeadroom*int(r.Count):
		return fmt.Errorf("%d chunks with %d bytes together bring %d encoded", r.Count, r.RawLength, len(r.Data))
	}
	return nil
}

// runOrder checks that runs come in the order asked, within what was asked.
type runOrder struct {
	ranges []transfer.Range // the first is the one that runs come from
	done   uint32           // how many chunks of the first are behind us
	gaps   bool             // some were left out
}

// accept takes the next run, which lies within one of the ranges.
func (o *runOrder) accept(r transfer.Run) error {
	for len(o.ranges) > 0 {
		now := o.ranges[0]
		begin, end := uint64(now.First)+uint64(o.done), now.End()
		first, last := uint64(r.First), uint64(r.First)+uint64(r.Count)
		if first >= begin && last <= end {
			o.gaps = o.gaps || first > begin
			o.done = uint32(last - uint64(now.First))
			if last == end {
				o.ranges, o.done = o.ranges[1:], 0
			}
			return nil
		}
		o.ranges, o.done, o.gaps = o.ranges[1:], 0, true
	}
	return fmt.Errorf("a run of %d chunks from %d, not asked for there", r.Count, r.First)
}

// complete says that every chunk came.
func (o *runOrder) complete() bool { return len(o.ranges) == 0 && !o.gaps }

// finished says that nothing more can come.
func (o *runOrder) finished() bool { return len(o.ranges) == 0 }
