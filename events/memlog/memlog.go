// Package memlog is a [events.Log] in memory, for tests: of what writes to a log and of what reads one, also inside a
// testing/synctest bubble, where no server can live.
//
//	log := memlog.New("default")
//	position, err := log.Append(ctx, event, 0)
//	for rec, err := range log.Subscribe(ctx, events.Filter{}, events.From{}) { … }
//
// It holds encoded bodies, as a server does, so that whatever passes through it has passed through the codec. It fails
// on request, each failure as a server would show it: it goes away ([Log.SetAvailable]), stores and loses the answer
// ([Log.LoseAck]), is full ([Log.SetFull]), answers a retry with a conflict ([Log.SetConflictFirst]), denies an author
// ([Log.Deny]), holds what no author of ours wrote ([Log.Inject]), forgets its beginning ([Log.Trim]), is replaced
// ([Log.Replace]), is restored from an older copy ([Log.Restore]). It starts no goroutine. Nothing is ever removed: it is for tests, not for service.
package memlog

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"rollcall/events"
)

// EventsMax is how many events a log takes before it answers events.ErrFull.
const EventsMax = 1 << 20

// Log implements [events.Log]. All methods are safe for concurrent use.
type Log struct {
	cluster string

	mu            sync.Mutex
	identity      string
	stored        []entry           // the event at position p is stored[p-1]
	newest        time.Time         // when an event was last stored, in whatever was the log then
	first         uint64            // position of the oldest event still readable
	ids           map[string]uint64 // event id to position
	last          map[string]uint64 // position of the newest event, by the filter of its node or group
	denied        map[string]bool   // authors
	away          bool
	full          bool
	loseAck       bool
	conflictFirst bool
	changed       chan struct{} // closed and replaced whenever a subscription may have something to do
}

type entry struct {
	subject string
	body    []byte
	stored  time.Time
}

var _ events.Log = (*Log)(nil)

// New returns the empty log of a cluster.
func New(cluster string) *Log {
	l := &Log{cluster: cluster, denied: make(map[string]bool), changed: make(chan struct{})}
	l.empty()
	return l
}

func (l *Log) empty() {
	l.identity = events.NewID()
	l.stored, l.first = nil, 1
	l.ids, l.last = make(map[string]uint64), make(map[string]uint64)
}

// Append implements [events.Log].
func (l *Log) Append(ctx context.Context, ev events.Event, expect uint64) (uint64, error) {
	body, err := events.Encode(ev)
	if err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	if ev.Cluster != l.cluster {
		return 0, fmt.Errorf("append: %w: of cluster %s to the log of %s", events.ErrInvalid, ev.Cluster, l.cluster)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.reach(ctx); err != nil {
		return 0, fmt.Errorf("append %s: %w", ev.ID, err)
	}
	if err := l.admit(ev, expect); err != nil {
		return 0, fmt.Errorf("append %s: %w", ev.ID, err)
	}
	position := l.store(events.Subject(ev), body)
	l.ids[ev.ID] = position
	if l.loseAck {
		l.loseAck = false
		return 0, fmt.Errorf("append %s: %w", ev.ID, events.ErrUnavailable)
	}
	return position, nil
}

// reach reports whether a caller with ctx can talk to the log. l.mu is held.
func (l *Log) reach(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", events.ErrUnavailable, err)
	}
	if l.away {
		return events.ErrUnavailable
	}
	return nil
}

// admit says what stands against storing ev. l.mu is held.
func (l *Log) admit(ev events.Event, expect uint64) error {
	if l.denied[ev.Author] {
		return events.ErrDenied
	}
	var conflict, duplicate error
	if last := l.last[events.Expectation(ev)]; last != expect {
		conflict = fmt.Errorf("%w: it is at position %d, expected %d", events.ErrConflict, last, expect)
	}
	if position, ok := l.ids[ev.ID]; ok {
		duplicate = &events.DuplicateError{Position: position}
		if l.stored[position-1].subject != events.Subject(ev) {
			duplicate = &events.TakenError{Position: position}
		}
	}
	switch {
	case conflict != nil && (l.conflictFirst || duplicate == nil):
		return conflict
	case duplicate != nil:
		return duplicate
	case l.full || len(l.stored) >= EventsMax:
		return events.ErrFull
	}
	return nil
}

// store appends without a question. l.mu is held.
func (l *Log) store(subject string, body []byte) uint64 {
	now := time.Now().UTC()
	if !now.After(l.newest) {
		now = l.newest.Add(1) // no two events are stored at once, also where time stands still
	}
	l.newest = now
	l.stored = append(l.stored, entry{subject: subject, body: body, stored: now})
	position := uint64(len(l.stored))
	l.note(subject, position)
	l.wake()
	return position
}

// note remembers that the newest event about what subject names is at position. An expectation sees what its filter matches,
// also what is no event. l.mu is held.
func (l *Log) note(subject string, position uint64) {
	const about = 4 // tokens, of a node or of a group; something follows them
	if tokens := strings.SplitN(subject, ".", about+1); len(tokens) > about {
		l.last[strings.Join(tokens[:about], ".")+".>"] = position
	}
}

// wake lets every subscription look again. l.mu is held.
func (l *Log) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Last implements [events.Log]. The newest event may be one that cannot be decoded: Last then returns its Position and
// an [events.DecodeError].
func (l *Log) Last(ctx context.Context, node string) (events.Recorded, error) {
	return l.lastUnder(ctx, events.NodeFilter(l.cluster, node))
}

// LastOfGroup implements [events.Log], as Last does.
func (l *Log) LastOfGroup(ctx context.Context, group string) (events.Recorded, error) {
	return l.lastUnder(ctx, events.GroupFilter(l.cluster, group))
}

func (l *Log) lastUnder(ctx context.Context, filter string) (events.Recorded, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.reach(ctx); err != nil {
		return events.Recorded{}, fmt.Errorf("last event under %s: %w", filter, err)
	}
	position := l.last[filter]
	if position < l.first { // 0 when there is none
		return events.Recorded{}, fmt.Errorf("last event under %s: %w", filter, events.ErrNotFound)
	}
	return l.stored[position-1].decode(position)
}

func (e entry) decode(position uint64) (events.Recorded, error) {
	rec, err := events.Decode(e.subject, e.body)
	rec.Position, rec.Stored = position, e.stored
	if err != nil {
		return rec, &events.DecodeError{Position: position, Stored: rec.Stored, Subject: e.subject, Err: err}
	}
	return rec, nil
}

// Info implements [events.Log].
func (l *Log) Info(ctx context.Context) (events.Info, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.reach(ctx); err != nil {
		return events.Info{}, fmt.Errorf("describe log: %w", err)
	}
	return events.Info{Cluster: l.cluster, Identity: l.identity, First: l.first, Last: uint64(len(l.stored))}, nil
}
