package swimsim

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"rollcall/swim"
)

// LogConfig describes a Log.
type LogConfig struct {
	Latency time.Duration // between a member and the log, one way; 0: LogLatencyDefault
}

const (
	// LogLatencyDefault is one way to a log in the same LAN, its write to disk included.
	LogLatencyDefault = 2 * time.Millisecond
	// logRetry is how long a member waits for the log's answer before it sends a record again.
	logRetry = 500 * time.Millisecond
)

// Ruling is what the log made of a record.
type Ruling uint8

// The rulings.
const (
	Applied Ruling = iota + 1 // it changed the node's state
	Evident                   // kept as evidence
	Late                      // kept; the node's state had moved past it
	waits                     // not taken yet: what it builds on is still to come
)

func (r Ruling) String() string {
	return [...]string{"", "applied", "evident", "late", "waits"}[r]
}

// Record is one event in the log.
type Record struct {
	Position    uint64 // from 1
	At          time.Duration
	Kind        swim.TransitionKind
	Subject     swim.ID
	Author      swim.ID
	Incarnation uint64
	Addr        netip.AddrPort
	Tags        swim.Tags
	Accusers    []swim.Accuser // of a verdict
	Verdict     Ruling

	done  bool
	tried uint64 // position of the log when it was told to wait
}

// Log is a model of the log: it takes records in one order and keeps one legal history a node, whoever saw what. Members
// put their own transitions on record through it, one at a time each, and it tells every member what it came to hold.
type Log struct {
	cfg     LogConfig
	world   *World
	down    bool
	records []*Record
	nodes   map[swim.ID]*logNode
	live    int
}

// logNode is what the log holds of one node.
type logNode struct{ claim swim.LogClaim }

func newLog(w *World, cfg LogConfig) *Log {
	if cfg.Latency == 0 {
		cfg.Latency = LogLatencyDefault
	}
	return &Log{cfg: cfg, world: w, nodes: map[swim.ID]*logNode{}}
}

// Records are all events so far, in order.
func (l *Log) Records() []*Record { return l.records }

// Node is what the log holds of a node; ok is false when it never joined.
func (l *Log) Node(id swim.ID) (claim swim.LogClaim, ok bool) {
	n := l.nodes[id]
	if n == nil {
		return swim.LogClaim{}, false
	}
	return n.claim, true
}

// Stop makes the log unreachable for everybody; Restore ends that.
func (l *Log) Stop() {
	l.down = true
	l.world.trace.note(l.world.now, "log down", nil, nil, 0)
}

// Restore makes the log reachable again.
func (l *Log) Restore() {
	l.down = false
	l.world.trace.note(l.world.now, "log up", nil, nil, 0)
	for _, m := range l.world.all {
		l.world.drain(m)
	}
}

// Detach cuts one member off from the log; Attach ends that.
func (l *Log) Detach(m *Member) { m.records.detached = true }

// Attach lets a member reach the log again.
func (l *Log) Attach(m *Member) {
	m.records.detached = false
	l.world.drain(m)
}

// recordQueue is a member's outbox and its place in the log. The outbox is durable: it outlives a process.
type recordQueue struct {
	pending  []*Record
	busy     uint64 // number of the append under way; 0: none
	appends  uint64
	detached bool
	dirty    []swim.ID // nodes of which the log holds something that the member was not told
	marked   map[swim.ID]bool
	rung     bool // told of dirty soon
}

func (q *recordQueue) restart() {
	q.busy, q.dirty, q.marked, q.rung = 0, nil, nil, false
}

// reaches reports whether the member and the log can talk. Who leaves stays until all it had to say is on record.
func (l *Log) reaches(m *Member) bool { return !l.down && (m.Well() || m.Gone) && !m.records.detached }

// record takes one of the member's own transitions into its outbox.
func (l *Log) record(m *Member, t *swim.Transition) {
	m.records.pending = append(m.records.pending, &Record{
		Kind: t.Kind, Subject: t.Subject, Author: t.Author, Incarnation: t.Incarnation,
		Addr: t.Addr, Tags: t.Tags, Accusers: slices.Clone(t.Evidence.Accusers),
	})
	l.world.drain(m)
}

// drain moves what waits between the member and the log, in both directions.
func (w *World) drain(m *Member) {
	l := w.log
	if l == nil || !l.reaches(m) {
		return
	}
	l.ring(m)
	q := &m.records
	if q.busy != 0 {
		return
	}
	r := q.next(uint64(len(l.records)))
	if r == nil {
		return
	}
	q.appends++
	q.busy = q.appends
	number, life := q.busy, m.life
	w.At(l.cfg.Latency, func() {
		if l.reaches(m) && m.life == life {
			l.append(r)
		}
	})
	w.At(2*l.cfg.Latency, func() {
		if r.tried != 0 || r.done {
			l.answered(m, number, life)
		}
	})
	w.At(logRetry, func() { l.answered(m, number, life) })
}

// answered ends an append: the answer came, or did not in time.
func (l *Log) answered(m *Member, number, life uint64) {
	q := &m.records
	if q.busy != number || m.life != life {
		return
	}
	q.busy = 0
	q.pending = slices.DeleteFunc(q.pending, func(r *Record) bool { return r.done })
	l.world.drain(m)
}

// next is the first record that may go: records about one node keep their order, and one that was told to wait is not
// tried again before the log has grown.
func (q *recordQueue) next(position uint64) *Record {
	for i, r := range q.pending {
		if r.done || r.tried > position {
			continue
		}
		if !slices.ContainsFunc(q.pending[:i], func(e *Record) bool { return !e.done && e.Subject == r.Subject }) {
			return r
		}
	}
	return nil
}

// waiting reports whether a record was told to wait for the log to grow.
func (q *recordQueue) waiting() bool {
	return slices.ContainsFunc(q.pending, func(r *Record) bool { return r.tried != 0 && !r.done })
}

// append rules on a record and keeps it, or lets it wait.
func (l *Log) append(r *Record) {
	if r.done {
		return // sent again, because the answer got lost
	}
	ruling := l.rule(r)
	if ruling == waits {
		r.tried = uint64(len(l.records)) + 1
		return
	}
	l.keep(r, ruling)
}

func (l *Log) keep(r *Record, ruling Ruling) {
	r.done, r.Verdict = true, ruling
	r.Position, r.At = uint64(len(l.records))+1, l.world.now
	l.records = append(l.records, r)
	l.world.trace.recorded(r.At, r)
	if l.world.checker != nil {
		l.world.checker.recorded(r)
	}
	for _, m := range l.world.all {
		if ruling != Late && m.running {
			m.records.mark(r.Subject)
			l.ring(m)
		}
		if m.records.waiting() {
			l.world.At(l.cfg.Latency, func() { l.world.drain(m) })
		}
	}
}

// rule says what a record makes of its node, and does it.
func (l *Log) rule(r *Record) Ruling {
	n := l.nodes[r.Subject]
	switch r.Kind {
	case swim.TransitionJoined, swim.TransitionRefuted, swim.TransitionTagged:
		if n == nil {
			n = &logNode{}
			l.nodes[r.Subject] = n
		} else if r.Incarnation <= n.claim.Incarnation {
			return Late
		}
		l.change(n, swim.LogClaim{ID: r.Subject, Addr: r.Addr, Tags: r.Tags, Incarnation: r.Incarnation, State: swim.Alive})
		return Applied
	case swim.TransitionLeft:
		if n == nil || r.Incarnation < n.claim.Incarnation || n.claim.State == swim.Left {
			return Late
		}
		l.change(n, swim.LogClaim{ID: r.Subject, Addr: r.Addr, Tags: r.Tags, Incarnation: r.Incarnation, State: swim.Left})
		return Applied
	case swim.TransitionSuspected, swim.TransitionFailed:
		return l.accuse(n, r)
	default:
		return Evident
	}
}

// accuse rules on accusations and verdicts: only a live member accuses, and a verdict needs the quorum.
func (l *Log) accuse(n *logNode, r *Record) Ruling {
	switch author := l.nodes[r.Author]; {
	case n == nil || r.Incarnation > n.claim.Incarnation:
		return waits // its own word of that incarnation is still to come
	case r.Incarnation < n.claim.Incarnation || !n.claim.State.Live():
		return Late
	case author == nil || !author.claim.State.Live():
		return waits
	}
	if !slices.Contains(n.claim.Accusers, r.Author) {
		n.claim.Accusers = append(n.claim.Accusers, r.Author)
		if r.Kind == swim.TransitionFailed { // a verdict brings the accusation that the log lacks
			l.suspected(n, &Record{Kind: swim.TransitionSuspected, Subject: r.Subject, Author: r.Author, Incarnation: r.Incarnation})
		}
	}
	if r.Kind == swim.TransitionSuspected {
		if n.claim.State == swim.Suspect {
			return Evident
		}
		n.claim.State = swim.Suspect
		return Applied
	}
	if len(n.claim.Accusers)+l.silent(n, r) < swim.Quorum(l.live) {
		return waits
	}
	claim := n.claim
	claim.State = swim.Failed
	l.change(n, claim)
	return Applied
}

// suspected keeps an accusation that goes with a verdict.
func (l *Log) suspected(n *logNode, r *Record) {
	ruling := Evident
	if n.claim.State == swim.Alive {
		n.claim.State, ruling = swim.Suspect, Applied
	}
	l.keep(r, ruling)
}

// silent counts the implicit accusers of a verdict: observers that cannot speak, by the word of somebody besides its author.
func (l *Log) silent(n *logNode, r *Record) int {
	count := 0
	for _, a := range r.Accusers {
		c := l.nodes[a.ID]
		if !a.Implicit || c == nil || c == n || slices.Contains(n.claim.Accusers, a.ID) {
			continue
		}
		others := slices.ContainsFunc(c.claim.Accusers, func(id swim.ID) bool { return id != r.Author })
		if others && (c.claim.State == swim.Suspect || c.claim.State == swim.Failed) {
			count++
		}
	}
	return count
}

// change gives a node its new claim and keeps count of the live.
func (l *Log) change(n *logNode, claim swim.LogClaim) {
	if n.claim.State.Live() {
		l.live--
	}
	if claim.State.Live() {
		l.live++
	}
	n.claim = claim
}

// subscribe makes a member that begins a life read the log from its start.
func (l *Log) subscribe(m *Member) {
	for id := range l.nodes {
		m.records.mark(id)
	}
	l.world.drain(m)
}

func (q *recordQueue) mark(id swim.ID) {
	if q.marked == nil {
		q.marked = map[swim.ID]bool{}
	}
	if !q.marked[id] {
		q.marked[id] = true
		q.dirty = append(q.dirty, id)
	}
}

// ring has a member told of what the log holds, as soon as that can have come to it.
func (l *Log) ring(m *Member) {
	q := &m.records
	if q.rung || len(q.dirty) == 0 || !l.reaches(m) {
		return
	}
	q.rung = true
	life := m.life
	l.world.At(l.cfg.Latency, func() {
		if m.life == life {
			l.tell(m)
		}
	})
}

// tell hands a member what the log holds of every node that changed: its own claim first, then the others by id. States are
// handed over, not events: what was overtaken while the member was cut off is never acted on.
func (l *Log) tell(m *Member) {
	q := &m.records
	q.rung = false
	if !l.reaches(m) {
		return
	}
	dirty := q.dirty
	q.dirty, q.marked = nil, nil
	slices.SortFunc(dirty, func(a, b swim.ID) int {
		if (a == m.ID) != (b == m.ID) {
			if a == m.ID {
				return -1
			}
			return 1
		}
		return cmp.Compare(a, b)
	})
	for _, id := range dirty {
		claim := l.nodes[id].claim
		m.step(swim.FromLog(&claim))
	}
}
