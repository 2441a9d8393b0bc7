package projections

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"maps"
	"slices"
	"time"
)

// The state of the views is written in one plain form, so that equal states are equal bytes: integers as varints, strings
// and byte slices with their length in front, times as seconds and nanoseconds, map entries by rising key.

// ErrCorrupt says that bytes are not what Encode made.
var ErrCorrupt = errors.New("state is corrupt")

// writer appends to a buffer.
type writer struct {
	buf []byte
	sum hash.Hash // when not nil, takes what is written; see spill
}

// spillMax is how many bytes are kept back from the sum.
const spillMax = 64 << 10

// spill moves what was written into the sum, where there is one: a state is summed without being held as a whole.
func (w *writer) spill() {
	if w.sum != nil && len(w.buf) >= spillMax {
		_, _ = w.sum.Write(w.buf) // a hash takes everything
		w.buf = w.buf[:0]
	}
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

func (w *writer) tags(tags map[string]string) {
	w.uint(uint64(len(tags)))
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		w.string(k)
		w.string(tags[k])
	}
}

// reader takes from a buffer. The first fault sticks in err, and every later read gives zero values, so a caller checks
// once. No length is believed before the bytes for it are seen to be there.
type reader struct {
	buf  []byte
	err  error
	seen map[string]string // strings met before by shared
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s, %d bytes before the end", ErrCorrupt, what, len(r.buf))
	}
	r.buf = nil
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.buf)
	if n <= 0 {
		r.fail("bad unsigned number")
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.buf)
	if n <= 0 {
		r.fail("bad signed number")
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func (r *reader) byte() byte {
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
	if n > uint64(len(r.buf)) {
		r.fail("length beyond the end")
		return 0
	}
	return int(n)
}

// bytes returns a copy, or nil when empty.
func (r *reader) bytes() []byte {
	n := r.count()
	if n == 0 {
		return nil
	}
	b := slices.Clone(r.buf[:n])
	r.buf = r.buf[n:]
	return b
}

func (r *reader) string() string {
	n := r.count()
	s := string(r.buf[:n])
	r.buf = r.buf[n:]
	return s
}

// shared reads a string that is likely to come again, an id or a constant text, and keeps one copy of it.
func (r *reader) shared() string {
	n := r.count()
	raw := r.buf[:n]
	r.buf = r.buf[n:]
	if s, ok := r.seen[string(raw)]; ok {
		return s
	}
	if r.seen == nil {
		r.seen = make(map[string]string)
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
	tags := make(map[string]string, n)
	for range n {
		k := r.shared()
		tags[k] = r.shared()
	}
	return tags
}
