package projections

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"rollcall/events"
)

// RejectedMax is how many unreadable events are kept with their reason; all of them are counted.
const RejectedMax = 100

// reasonMax bounds the reason kept with an unreadable event, in bytes.
const reasonMax = 200

// ErrVersion says that a state was encoded by another version of a view: fold the log again.
var ErrVersion = errors.New("state is of another version")

// Views are the folds of one log, all at the same position.
type Views struct {
	Registry    *Registry
	Timeline    *Timeline
	Assignments *Assignments

	roll     *events.Roll // decides what each event does; the views follow
	position uint64
	stored   time.Time
	rejected []Rejected
	rejects  uint64
	skipped  map[string]uint64 // by node: unreadable events up to this position are passed over
}

// Step is one event with what the fold made of it.
type Step struct {
	events.Recorded
	Outcome events.Outcome
	Node    events.Node // what the log says about the event's node after it; of none for an event of a group
}

// Rejected is an event that is in the log and could not be read.
type Rejected struct {
	Position uint64
	Node     string // empty when not even the subject could be read
	Reason   string // at most 200 bytes
}

// New returns the views of an empty log.
func New(cluster string) *Views {
	return &Views{
		Registry: newRegistry(), Timeline: newTimeline(), Assignments: newAssignments(),
		roll: events.NewRoll(cluster), skipped: make(map[string]uint64),
	}
}

// Clone returns views that stay as they are while v goes on, and may go on by themselves. It takes time and memory for each
// node, not for what is kept of it.
func (v *Views) Clone() *Views {
	roll, err := events.RestoreRoll(v.roll.Cluster(), v.roll.Position(), slices.Collect(v.roll.Nodes()))
	if err != nil {
		panic(fmt.Sprintf("projections: a roll's own nodes make none: %v", err))
	}
	out := *v
	out.Registry, out.Timeline, out.Assignments, out.roll = v.Registry.clone(), v.Timeline.clone(), v.Assignments.clone(), roll
	out.rejected, out.skipped = slices.Clip(v.rejected), maps.Clone(v.skipped)
	return &out
}

// Position is that of the last event folded or rejected; 0 before the first.
func (v *Views) Position() uint64 { return v.position }

// Stored is when the log accepted the last event folded; zero before the first.
func (v *Views) Stored() time.Time { return v.stored }

// Live is the number of nodes that are alive or suspect.
func (v *Views) Live() int { return v.roll.Live() }

// Apply folds one event. An event at or below Position was folded before: it changes nothing, and ok is false.
func (v *Views) Apply(rec events.Recorded) (step Step, ok bool) {
	if rec.Position <= v.position {
		return Step{}, false
	}
	step = Step{Recorded: rec, Outcome: v.roll.Apply(rec)}
	step.Node, _ = v.roll.Node(rec.Node)
	v.position, v.stored = rec.Position, rec.Stored.UTC()
	switch {
	case rec.Group != "":
		step.Outcome = v.Assignments.apply(&rec, v.roll)
	case step.Node.LastPosition == rec.Position: // else it is of another cluster and says nothing about this one's nodes
		v.Registry.apply(&step)
		v.Timeline.apply(&step)
		v.Assignments.release(rec.Node, rec.Position, step.Outcome)
	}
	return step, true
}

// Reject moves over an event that cannot be read and parks the node it is about, unless it is to be passed over (see Parked
// and SkipThrough). What the event said is missing from the views from here on, and they say so. It reports false for a
// position that was passed before.
func (v *Views) Reject(bad *events.DecodeError) bool {
	if bad.Position <= v.position {
		return false
	}
	v.position = bad.Position
	reason := bad.Err.Error()
	rej := Rejected{Position: bad.Position, Reason: reason[:min(len(reason), reasonMax)]}
	if ev, err := events.ParseSubject(bad.Subject); err == nil && ev.Cluster == v.roll.Cluster() {
		if ev.Group != "" {
			v.Assignments.reject(ev.Group, bad.Position)
		} else {
			rej.Node = ev.Node
			v.Registry.reject(rej, rej.Position <= v.skipped[rej.Node])
		}
	}
	v.rejects++
	v.rejected = append(slices.Clone(v.rejected), rej)
	if over := len(v.rejected) - RejectedMax; over > 0 {
		v.rejected = v.rejected[over:]
	}
	return true
}

// Rejected returns the last events that could not be read, oldest first, at most RejectedMax, and how many there were in
// all. The slice is read only.
func (v *Views) Rejected() (last []Rejected, total uint64) { return v.rejected, v.rejects }

// The parts of an encoded state, in order. A part is written as its name, its version and its bytes.
const (
	partFold        = "fold"
	partRegistry    = "registry"
	partTimeline    = "timeline"
	partAssignments = "assignments"

	foldVersion = 2
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

// Encode returns the state of all views: the same bytes at the same position, on every machine (invariant I9).
func (v *Views) Encode() []byte {
	w := &writer{}
	encoders := v.encoders()
	for _, part := range Versions() {
		w.string(part.Name)
		w.uint(uint64(part.Version))
		body := &writer{}
		encoders[part.Name](body)
		w.bytes(body.buf)
	}
	return w.buf
}

func (v *Views) encoders() map[string]func(*writer) {
	return map[string]func(*writer){
		partFold: v.encodeFold, partRegistry: v.Registry.encode, partTimeline: v.Timeline.encode,
		partAssignments: v.Assignments.encode,
	}
}

// Sums returns a SHA-256 of each view's encoded state, by name: equal at the same position on every machine (invariant I9).
func (v *Views) Sums() map[string][sha256.Size]byte {
	sums := make(map[string][sha256.Size]byte)
	for name, encode := range v.encoders() {
		w := &writer{sum: sha256.New()}
		encode(w)
		_, _ = w.sum.Write(w.buf) // a hash takes everything
		sums[name] = [sha256.Size]byte(w.sum.Sum(nil))
	}
	return sums
}

// Decode reads what Encode made. It fails with ErrVersion for a state of another version and with ErrCorrupt for bytes that
// Encode did not make; in both cases the log has to be folded again.
func Decode(cluster string, state []byte) (*Views, error) {
	v := New(cluster)
	rd := &reader{buf: state}
	decoders := map[string]func(*reader){
		partFold:        func(rd *reader) { v.decodeFold(cluster, rd) },
		partRegistry:    func(rd *reader) { v.Registry = decodeRegistry(rd) },
		partTimeline:    func(rd *reader) { v.Timeline = decodeTimeline(rd) },
		partAssignments: func(rd *reader) { v.Assignments = decodeAssignments(rd) },
	}
	for _, want := range Versions() {
		name, version := rd.string(), rd.uint()
		if rd.err == nil && (name != want.Name || version != uint64(want.Version)) {
			return nil, fmt.Errorf("%w: found %.40q version %d where %q version %d is read",
				ErrVersion, name, version, want.Name, want.Version)
		}
		n := rd.count()
		body := &reader{buf: rd.buf[:n], err: rd.err}
		rd.buf = rd.buf[n:]
		decoders[want.Name](body)
		if body.err != nil {
			return nil, fmt.Errorf("%s: %w", want.Name, body.err)
		}
		if len(body.buf) > 0 {
			return nil, fmt.Errorf("%s: %w: %d bytes left over", want.Name, ErrCorrupt, len(body.buf))
		}
	}
	if len(rd.buf) > 0 {
		return nil, fmt.Errorf("%w: %d bytes left over", ErrCorrupt, len(rd.buf))
	}
	return v, nil
}

func (v *Views) encodeFold(w *writer) {
	w.uint(v.position)
	w.time(v.stored)
	w.uint(v.roll.Position())
	w.uint(uint64(v.roll.Len()))
	for n := range v.roll.Nodes() {
		encodeNode(w, &n)
		w.spill()
	}
	w.uint(v.rejects)
	w.uint(uint64(len(v.rejected)))
	for _, rej := range v.rejected {
		w.uint(rej.Position)
		w.string(rej.Node)
		w.string(rej.Reason)
	}
	w.uint(uint64(len(v.skipped)))
	for _, node := range slices.Sorted(maps.Keys(v.skipped)) {
		w.string(node)
		w.uint(v.skipped[node])
	}
}

func (v *Views) decodeFold(cluster string, rd *reader) {
	v.position = rd.uint()
	v.stored = rd.time()
	at := rd.uint()
	n := rd.count()
	nodes := make([]events.Node, 0, n)
	for range n {
		nodes = append(nodes, decodeNode(rd))
	}
	v.rejects = rd.uint()
	for range rd.count() {
		v.rejected = append(v.rejected, Rejected{Position: rd.uint(), Node: rd.shared(), Reason: rd.string()})
	}
	for range rd.count() {
		node := rd.shared()
		v.skipped[node] = rd.uint()
	}
	if rd.err != nil {
		return
	}
	roll, err := events.RestoreRoll(cluster, at, nodes)
	if err != nil {
		rd.fail(err.Error())
		return
	}
	v.roll = roll
}
