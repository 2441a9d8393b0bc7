package projections

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// The state of the views is written in one plain form, so that equal states are equal bytes: integers as varints, strings
// and byte slices with their length in front, times as seconds and nanoseconds, map entries by rising key.

// ErrCorrupt says that bytes are not what Encode made.
var ErrCorrupt = errors.New("state is corrupt")

// writer appends to a buffer, and moves it on where there is somewhere to move it to.
type writer struct {
	buf []byte
	out io.Writer // when not nil, takes what is written; see spill
	err error     // of out; what is written after it is dropped
}

// spillMax is how many bytes are kept back from out.
const spillMax = 64 << 10

// spill moves what was written on, when there is enough of it: a state is written without being held as a whole.
func (w *writer) spill() {
	if len(w.buf) >= spillMax {
		w.flush()
	}
}

func (w *writer) flush() {
	if w.out == nil {
		return
	}
	if w.err == nil {
		_, w.err = w.out.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

func (w *writer) uint(v uint64)   { w.buf = binary.AppendUvarint(w.buf, v) }
func (w *writer) int(v int64)     { w.buf = binary.AppendVarint(w.buf, v) }
func (w *writer) byte(v byte)     { w.buf = append(w.buf, v) }
func (w *writer) string(s string) { w.uint(uint64(len(s))); w.buf = append(w.buf, s...) }
func (w *writer) bytes(b []byte)  { w.uint(uint64(len(b))); w.buf = append(w.buf, b...) }

func (w *writer) time(t time.Time) {
	w.int(t.Unix())
	w.uint(uint64(t.Nanosecond()))
}

func (w *writer) strings(list []string) {
	w.uint(uint64(len(list)))
	for _, s := range list {
		w.string(s)
	}
}

// tagsRoom is how many tags are sorted without taking memory for it.
const tagsRoom = 16

func (w *writer) tags(tags map[string]string) {
	w.uint(uint64(len(tags)))
	if len(tags) == 0 {
		return
	}
	var room [tagsRoom]string
	keys := room[:0]
	for k := range tags {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		w.string(k)
		w.string(tags[k])
	}
}

// reader takes from a buffer, which it fills from src where there is one. The first fault sticks in err, and every later
// read gives zero values, so a caller checks once. No length is believed before the bytes for it are known to be there.
type reader struct {
	buf   []byte
	src   io.Reader // nil: buf is all there is
	ahead int64     // bytes that src has still to give
	err   error
	seen  map[string]string // strings met before by shared
	sets  map[string]tagSet // tags met before by tagSet, as they are written
	set   []byte            // where tagSet puts them together
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s, %d bytes before the end", ErrCorrupt, what, r.left())
	}
	r.buf, r.ahead = nil, 0
}

// left is how many bytes there are still to be read.
func (r *reader) left() int64 { return int64(len(r.buf)) + r.ahead }

// fillMin is how much is taken from src at a time.
const fillMin = 256 << 10

// fill gets at least n bytes into buf, or all there are.
func (r *reader) fill(n int) {
	if len(r.buf) >= n || r.ahead == 0 {
		return
	}
	want := min(r.left(), int64(max(n, fillMin)))
	buf := make([]byte, want)
	had := copy(buf, r.buf)
	if _, err := io.ReadFull(r.src, buf[had:]); err != nil {
		if r.err == nil {
			r.err = fmt.Errorf("read a state: %w", err)
		}
		r.buf, r.ahead = nil, 0
		return
	}
	r.buf, r.ahead = buf, r.ahead-(want-int64(had))
}

func (r *reader) uint() uint64 {
	if len(r.buf) > 0 && r.buf[0] < 0x80 { // most are small
		v := r.buf[0]
		r.buf = r.buf[1:]
		return uint64(v)
	}
	return r.longUint()
}

func (r *reader) longUint() uint64 {
	r.fill(binary.MaxVarintLen64)
	v, n := binary.Uvarint(r.buf)
	if n <= 0 {
		r.fail("bad unsigned number")
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func (r *reader) int() int64 {
	r.fill(binary.MaxVarintLen64)
	v, n := binary.Varint(r.buf)
	if n <= 0 {
		r.fail("bad signed number")
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func (r *reader) byte() byte {
	r.fill(1)
	if len(r.buf) == 0 {
		r.fail("missing byte")
		return 0
	}
	v := r.buf[0]
	r.buf = r.buf[1:]
	return v
}

// count reads the length of a list whose elements take at least one byte each.
func (r *reader) count() int {
	n := r.uint()
	if n > uint64(r.left()) {
		r.fail("length beyond the end")
		return 0
	}
	return int(n)
}

// take reads the length of some bytes and returns them, to be looked at before the next read.
func (r *reader) take() []byte {
	n := r.count()
	r.fill(n)
	if n > len(r.buf) { // src failed
		return nil
	}
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b
}

// bytes returns a copy, or nil when empty.
func (r *reader) bytes() []byte {
	b := r.take()
	if len(b) == 0 {
		return nil
	}
	return slices.Clone(b)
}

func (r *reader) string() string { return string(r.take()) }

// expectMax is how many strings room is made for before they are known to be there.
const expectMax = 1 << 16

// expect makes room for n strings that shared will read.
func (r *reader) expect(n int) { r.seen = make(map[string]string, min(n, expectMax)) }

// shared reads a string that is likely to come again, an id or a constant text, and keeps one copy of it.
func (r *reader) shared() string {
	raw := r.take()
	if s, ok := r.seen[string(raw)]; ok {
		return s
	}
	if r.seen == nil {
		r.expect(0)
	}
	s := string(raw)
	r.seen[s] = s
	return s
}

func (r *reader) time() time.Time {
	sec, nsec := r.int(), r.uint()
	if nsec >= uint64(time.Second) {
		r.fail("bad time")
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC()
}

func (r *reader) strings() []string {
	n := r.count()
	if n == 0 {
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, r.shared())
	}
	return list
}

func (r *reader) tags() map[string]string {
	n := r.count()
	if n == 0 {
		return nil
	}
	tags := make(map[string]string, min(n, tagsRoom))
	before := ""
	for i := range n {
		k := r.shared()
		if i > 0 && k <= before {
			r.fail("tags out of order")
			return nil
		}
		tags[k] = r.shared()
		before = k
	}
	return tags
}

// tagSet is the tags of a node, and how they are written. Both are shared and read only.
type tagSet struct {
	tags    map[string]string
	written string
}

// tagSet reads what tags reads, and keeps one copy of what is likely to come again: many nodes have the same tags.
func (r *reader) tagSet() tagSet {
	n := r.count()
	w := writer{buf: r.set[:0]}
	w.uint(uint64(n))
	for i := 0; i < 2*n && r.err == nil; i++ {
		w.bytes(r.take())
	}
	r.set = w.buf
	if known, ok := r.sets[string(w.buf)]; ok || r.err != nil {
		return known
	}
	if r.sets == nil {
		r.sets = make(map[string]tagSet)
	}
	set := tagSet{written: string(w.buf)}
	one := reader{buf: w.buf, seen: r.seen}
	set.tags = one.tags()
	if r.seen = one.seen; one.err != nil {
		r.fail("tags out of order")
	}
	r.sets[set.written] = set
	return set
}
