package projections

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"strconv"

	"rollcall/events"
)

// The parts of an encoded state, in order. A part is written as its name, its version and its bytes.
const (
	partFold        = "fold"
	partRegistry    = "registry"
	partTimeline    = "timeline"
	partAssignments = "assignments"
	partSkips       = "skips" // of whoever runs the fold, not of the log

	foldVersion  = 4
	skipsVersion = 1
)

// Version is one view's name and the version of its fold and encoding.
type Version struct {
	Name    string
	Version int
}

// Versions lists the views in the order in which they are encoded.
func Versions() []Version {
	return []Version{
		{partFold, foldVersion}, {partRegistry, registryVersion}, {partTimeline, timelineVersion},
		{partAssignments, assignmentsVersion},
	}
}

// parts are the versions of what is encoded: the views, and what was skipped.
func parts() []Version { return append(Versions(), Version{partSkips, skipsVersion}) }

// StateVersion names the form of an encoded state, in characters of a file name: where it is the same, Decode reads it.
func StateVersion() string {
	name := ""
	for i, part := range parts() {
		if i > 0 {
			name += "-"
		}
		name += strconv.Itoa(part.Version)
	}
	return name
}

// Encode returns the state of all views: the same bytes at the same position, on every machine that skipped the same
// (invariant I9).
func (v *Views) Encode() []byte {
	w := &writer{}
	v.write(w, false)
	return w.buf
}

// EncodeTo writes what Encode returns. It fails with what w says.
func (v *Views) EncodeTo(w io.Writer) error { return v.writeTo(w, false) }

// EncodeBareTo writes a state without what the events in the timeline said: of each there is its position, and what it did,
// and the log has the rest (see History.Complete). It is a fraction of the size, and goes on to the same bytes but for those.
func (v *Views) EncodeBareTo(w io.Writer) error { return v.writeTo(w, true) }

func (v *Views) writeTo(to io.Writer, bare bool) error {
	w := &writer{out: to}
	v.write(w, bare)
	w.flush()
	return w.err
}

func (v *Views) write(w *writer, bare bool) {
	encoders := v.encoders(bare)
	for _, part := range parts() {
		w.string(part.Name)
		w.uint(uint64(part.Version))
		encoders[part.Name](w)
	}
}

func (v *Views) encoders(bare bool) map[string]func(*writer) {
	return map[string]func(*writer){
		partFold: v.encodeFold, partRegistry: v.Registry.encode,
		partTimeline:    func(w *writer) { v.Timeline.encode(w, bare) },
		partAssignments: v.Assignments.encode, partSkips: v.Registry.encodeSkips,
	}
}

// Sums returns a SHA-256 of each view's encoded state, by name: equal at the same position on every machine (invariant I9).
// What was skipped is no part of it.
func (v *Views) Sums() map[string][sha256.Size]byte {
	sums := make(map[string][sha256.Size]byte)
	encoders := v.encoders(false)
	for _, part := range Versions() {
		sum := sha256.New()
		w := &writer{out: sum}
		encoders[part.Name](w)
		w.flush() // a hash takes everything
		sums[part.Name] = [sha256.Size]byte(sum.Sum(nil))
	}
	return sums
}

// Decode reads what Encode made. It fails with ErrVersion for a state of another version and with ErrCorrupt for bytes that
// Encode did not make; in both cases the log has to be folded again.
func Decode(cluster string, state []byte) (*Views, error) {
	return DecodeFrom(cluster, bytes.NewReader(state), int64(len(state)))
}

// DecodeFrom reads what EncodeTo wrote, which is length bytes. It fails as Decode does, or with what src says. Of bytes that a
// checksum does not vouch for, histories may say anything.
func DecodeFrom(cluster string, src io.Reader, length int64) (*Views, error) {
	v := New(cluster)
	rd := &reader{src: src, ahead: length}
	decoders := map[string]func(*reader){
		partFold:        v.decodeFold,
		partRegistry:    func(rd *reader) { v.Registry = decodeRegistry(rd) },
		partTimeline:    func(rd *reader) { v.Timeline = decodeTimeline(rd) },
		partAssignments: func(rd *reader) { v.Assignments = decodeAssignments(rd) },
		partSkips:       func(rd *reader) { v.Registry.decodeSkips(rd) },
	}
	for _, want := range parts() {
		name, version := rd.string(), rd.uint()
		if rd.err == nil && (name != want.Name || version != uint64(want.Version)) {
			return nil, fmt.Errorf("%w: found %.40q version %d where %q version %d is read",
				ErrVersion, name, version, want.Name, want.Version)
		}
		decoders[want.Name](rd)
		if rd.err != nil {
			return nil, fmt.Errorf("%s: %w", want.Name, rd.err)
		}
	}
	if n := rd.left(); n > 0 {
		return nil, fmt.Errorf("%w: %d bytes left over", ErrCorrupt, n)
	}
	roll, err := events.RestoreRoll(cluster, v.rolled, v.Registry.nodes())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	v.roll, v.live = roll, roll.Live()
	return v, nil
}

// encodeFold writes what belongs to no view alone. What the roll knows of the nodes, the registry's rows say.
func (v *Views) encodeFold(w *writer) {
	w.uint(v.position)
	w.time(v.stored)
	w.uint(v.rolled)
	w.uint(v.rejects)
	w.uint(uint64(len(v.rejected)))
	for _, rej := range v.rejected {
		w.uint(rej.Position)
		w.string(rej.Node)
		w.string(rej.Reason)
	}
}

func (v *Views) decodeFold(rd *reader) {
	v.position = rd.uint()
	v.stored = rd.time()
	v.rolled = rd.uint()
	v.rejects = rd.uint()
	for range rd.count() {
		v.rejected = append(v.rejected, Rejected{Position: rd.uint(), Node: rd.shared(), Reason: rd.string()})
	}
}
