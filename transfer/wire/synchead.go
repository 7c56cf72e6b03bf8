package wire

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/transfer"
)

const idSize = len(namespace.ID{})

// syncHead is SyncHead of flurry.proto: an answer but for what is long. Sizes
// and numbers tell what follows, in their order: the document, its lists, the
// ids that were added, the ids of buckets.
type syncHead struct {
	status
	answer    transfer.SyncAnswer // without RawDocument, Lists, Added and BucketIDs
	document  int                 // bytes
	lists     []uint64            // bytes of each
	added     int                 // ids
	asked     []byte              // the buckets whose ids follow
	askedIDs  []uint64            // ids of each
	digestRaw []byte              // bucket digests' sums, while parsing
}

func (m *syncHead) append(b []byte) []byte {
	a := &m.answer
	b = m.status.append(b)
	b = appendUint(b, 4, a.Serial)
	b = appendDigest(b, 5, a.Document)
	b = appendFlag(b, 6, a.Equal)
	b = appendFlag(b, 7, a.Known)
	b = appendEpoch(b, 8, a.Epoch)
	b = appendUint(b, 9, a.Cursor)
	b = appendFlag(b, 10, a.More)
	b = appendUint(b, 11, uint64(m.document))
	b = appendPacked(b, 12, m.lists)
	b = appendUint(b, 13, uint64(m.added))
	b = appendBytes(b, 14, m.asked)
	b = appendPacked(b, 15, m.askedIDs)
	counts := make([]uint64, len(a.Buckets))
	for i, d := range a.Buckets {
		counts[i] = d.Count
	}
	b = appendPacked(b, 16, counts)
	b = appendLength(b, 17, idSize*len(a.Buckets))
	for i := range a.Buckets {
		b = append(b, a.Buckets[i].Sum[:]...)
	}
	if !a.Time.IsZero() {
		b = appendUint(b, 18, uint64(max(0, min(a.Time.UnixMilli(), maxTime))))
	}
	return b
}

func parseSyncHead(raw []byte) (m syncHead, err error) {
	d := decoder{rest: raw}
	var counts []uint64
	for d.next() {
		if !m.status.parse(&d) && !m.parseAnswer(&d) {
			counts = m.parseLists(&d, counts)
		}
	}
	if d.err != nil {
		return m, d.err
	}
	if err := m.digests(counts); err != nil {
		return m, err
	}
	if err := m.status.check(d.num); err != nil {
		return m, err
	}
	return m, m.checkShape()
}

// parseAnswer reads the current field if it is one of fields 4 to 10.
func (m *syncHead) parseAnswer(d *decoder) bool {
	a := &m.answer
	switch d.num {
	case 4:
		a.Serial = d.uint(math.MaxUint64)
	case 5:
		a.Document = d.digest()
	case 6:
		a.Equal = d.flag()
	case 7:
		a.Known = d.flag()
	case 8:
		a.Epoch = d.epoch()
	case 9:
		a.Cursor = d.uint(math.MaxUint64)
	case 10:
		a.More = d.flag()
	default:
		return false
	}
	return true
}

// parseLists reads the current field if it is one of fields 11 to 18.
func (m *syncHead) parseLists(d *decoder, counts []uint64) []uint64 {
	switch d.num {
	case 11:
		m.document = int(d.uint(namespace.MaxDocument))
	case 12:
		m.lists = d.packed(transfer.MaxSyncListCount, namespace.MaxKeepList)
	case 13:
		m.added = int(d.uint(transfer.MaxSyncIDs))
	case 14:
		m.asked = slices.Clone(d.bytes(transfer.Buckets))
	case 15:
		m.askedIDs = d.packed(transfer.Buckets, transfer.MaxSyncIDs)
	case 16:
		return d.packed(transfer.Buckets, math.MaxUint64)
	case 17:
		m.digestRaw = d.records(idSize, transfer.Buckets)
	case 18:
		if ms := d.uint(maxTime); ms > 0 {
			m.answer.Time = time.UnixMilli(int64(ms)).UTC()
		}
	}
	return counts
}

// digests joins the two halves of the buckets' digests.
func (m *syncHead) digests(counts []uint64) error {
	sums := m.digestRaw
	m.digestRaw = nil
	if len(counts) == 0 && len(sums) == 0 {
		return nil
	}
	if len(counts) != transfer.Buckets || len(sums) != transfer.Buckets*idSize {
		return fmt.Errorf("%d counts and %d bytes of sums for %d buckets", len(counts), len(sums), transfer.Buckets)
	}
	m.answer.Buckets = make([]transfer.BucketDigest, transfer.Buckets)
	for i, n := range counts {
		m.answer.Buckets[i] = transfer.BucketDigest{Count: n, Sum: [32]byte(sums[i*idSize:])}
	}
	return nil
}

// checkShape looks at an answer by itself.
func (m *syncHead) checkShape() error {
	a := &m.answer
	ids := uint64(m.added)
	for _, n := range m.askedIDs {
		ids += n
	}
	var lists uint64
	for _, n := range m.lists {
		if n == 0 {
			return fmt.Errorf("an empty kept list")
		}
		lists += n
	}
	switch {
	case (a.Serial == 0) != a.Document.IsZero():
		return fmt.Errorf("serial %d of document %s", a.Serial, a.Document)
	case m.document > 0 && a.Serial == 0, m.document == 0 && len(m.lists) > 0:
		return fmt.Errorf("a document without a serial, or lists without a document")
	case lists > transfer.MaxSyncLists:
		return fmt.Errorf("kept lists of %d bytes, at most %d", lists, transfer.MaxSyncLists)
	case ids > transfer.MaxSyncIDs:
		return fmt.Errorf("%d ids, at most %d", ids, transfer.MaxSyncIDs)
	case !ascending(m.asked) || len(m.asked) != len(m.askedIDs):
		return fmt.Errorf("%d buckets, not in ascending order or not with %d numbers", len(m.asked), len(m.askedIDs))
	case a.Epoch == [16]byte{} && (a.Cursor != 0 || a.Known):
		return fmt.Errorf("cursor %d without an epoch", a.Cursor)
	case m.added > 0 && !a.Known, a.More && m.added == 0:
		return fmt.Errorf("%d ids added to an unknown epoch, or more after none", m.added)
	case a.Equal && (m.added > 0 || len(m.asked) > 0 || len(a.Buckets) > 0):
		return fmt.Errorf("the same publications, and differences")
	}
	return nil
}

// checkAgainst looks at an answer beside its question.
func (m *syncHead) checkAgainst(r transfer.SyncRequest) error {
	a := &m.answer
	switch {
	case m.document > 0 && a.Document == r.Document:
		return fmt.Errorf("brings the document that is here already")
	case a.Known && a.Epoch != r.Epoch:
		return fmt.Errorf("knows an epoch that is not the one asked about")
	case a.Known && (a.Cursor < r.Cursor || m.added > 0 && a.Cursor == r.Cursor):
		return fmt.Errorf("cursor %d after %d, with %d ids added", a.Cursor, r.Cursor, m.added)
	case len(r.Buckets) > 0 && len(m.asked) == 0 && !a.Equal:
		return fmt.Errorf("none of %d buckets", len(r.Buckets))
	}
	for _, b := range m.asked {
		if !slices.Contains(r.Buckets, b) {
			return fmt.Errorf("bucket %d, not asked for", b)
		}
	}
	return nil
}

// bodySize is how many bytes follow.
func (m *syncHead) bodySize() int {
	n := m.document + m.added*idSize
	for _, l := range m.lists {
		n += int(l)
	}
	for _, ids := range m.askedIDs {
		n += int(ids) * idSize
	}
	return n
}

// fill takes what follows, bodySize bytes, into the answer, which shares them.
func (m *syncHead) fill(body []byte) error {
	take := func(n int) []byte {
		part := body[:n:n]
		body = body[n:]
		return part
	}
	a := &m.answer
	if m.document > 0 {
		a.RawDocument = take(m.document)
	}
	for _, n := range m.lists {
		a.Lists = append(a.Lists, take(int(n)))
	}
	a.Added = readIDs(take(m.added * idSize))
	if len(m.asked) > 0 {
		a.BucketIDs = make(map[byte][]namespace.ID, len(m.asked))
	}
	for i, b := range m.asked {
		ids := readIDs(take(int(m.askedIDs[i]) * idSize))
		if err := checkBucket(b, ids); err != nil {
			return err
		}
		a.BucketIDs[b] = ids
	}
	return nil
}

func readIDs(raw []byte) []namespace.ID {
	ids := make([]namespace.ID, 0, len(raw)/idSize)
	for ; len(raw) > 0; raw = raw[idSize:] {
		ids = append(ids, namespace.ID(raw[:idSize]))
	}
	return ids
}

// checkBucket accepts ids that begin with b, in ascending order.
func checkBucket(b byte, ids []namespace.ID) error {
	for i, id := range ids {
		if id[0] != b || i > 0 && ids[i-1].Compare(id) >= 0 {
			return fmt.Errorf("id %s is out of place in bucket %d", id.Short(), b)
		}
	}
	return nil
}

// headOf is the head of an answer that a handler gave, and what follows it.
// Kept lists and buckets for which there is no room are left out.
func headOf(a *transfer.SyncAnswer) (m syncHead, body []byte, err error) {
	m.answer = *a
	m.document = len(a.RawDocument)
	body = append(body, a.RawDocument...)
	lists := 0
	for _, l := range a.Lists {
		if lists+len(l) > transfer.MaxSyncLists || len(m.lists) == transfer.MaxSyncListCount {
			continue
		}
		lists += len(l)
		m.lists = append(m.lists, uint64(len(l)))
		body = append(body, l...)
	}
	m.added = len(a.Added)
	body = appendIDs(body, a.Added)
	ids := m.added
	for b := range transfer.Buckets {
		list, asked := a.BucketIDs[byte(b)]
		if !asked || len(m.asked) > 0 && ids+len(list) > transfer.MaxSyncIDs {
			continue
		}
		if err := checkBucket(byte(b), list); err != nil {
			return m, nil, err
		}
		ids += len(list)
		m.asked = append(m.asked, byte(b))
		m.askedIDs = append(m.askedIDs, uint64(len(list)))
		body = appendIDs(body, list)
	}
	if n := len(a.Buckets); n != 0 && n != transfer.Buckets {
		return m, nil, fmt.Errorf("%d bucket digests, not %d", n, transfer.Buckets)
	}
	if m.document > namespace.MaxDocument {
		return m, nil, fmt.Errorf("a document of %d bytes", m.document)
	}
	return m, body, m.checkShape()
}

func appendIDs(b []byte, ids []namespace.ID) []byte {
	for i := range ids {
		b = append(b, ids[i][:]...)
	}
	return b
}
