package rollcall

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"rollcall/swim"
)

// unsaidMax is how many transitions of its own a member keeps that has not joined yet. Of more the oldest are dropped: the
// newest says all that the log needs, the incarnation and the tags.
const unsaidMax = 16

// threshold is what a member stands before until it has joined: a member that has seeds has when it has met another, and
// before that it is nobody's to speak of. What it has to say of itself is kept; what it says of others is dropped, because
// whoever has met nobody has nothing to say of them.
type threshold struct {
	mu      sync.Mutex // held while what was unsaid is recorded: what follows comes after it
	crossed bool
	unsaid  []swim.Transition
}

// keep takes ts in and reports true, or reports false because the member has joined.
func (t *threshold) keep(self string, ts []swim.Transition) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.crossed {
		return false
	}
	for _, tr := range ts {
		if string(tr.Subject) == self {
			t.unsaid = append(t.unsaid, tr)
		}
	}
	t.unsaid = t.unsaid[max(len(t.unsaid)-unsaidMax, 0):]
	return true
}

// enterWhenMet does not wait for whoever else was asked: what this member finds from now on is to be recorded.
func (m *Member) enterWhenMet() {
	select {
	case <-m.agent.Met():
		m.enter()
	case <-m.ctx.Done():
	}
}

// enter makes the member one that has joined, once: what it had to say of itself is recorded first.
func (m *Member) enter() {
	t := &m.threshold
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.crossed {
		return
	}
	if err := m.say(t.unsaid); err != nil {
		m.log.Error("could not record", "events", len(t.unsaid), "error", err)
	}
	t.crossed, t.unsaid = true, nil
	close(m.joined)
}

// record keeps what the agent observed. It never waits for the joining: the protocol would wait for it.
func (m *Member) record(ts ...swim.Transition) error {
	if m.threshold.keep(m.opt.ID, ts) {
		return nil
	}
	return m.say(ts)
}

// say keeps first the incarnation, so that no later life claims it again, then the event.
func (m *Member) say(ts []swim.Transition) error {
	var errs []error
	for _, t := range ts {
		if t.Own && string(t.Subject) == m.opt.ID {
			errs = append(errs, m.state.keepIncarnation(t.Incarnation))
		}
	}
	return errors.Join(append(errs, m.rec.Record(ts...))...)
}

// Drained returns when the log has everything this member has had to say until now, or with ctx's error. A member that has
// not joined yet has its joining to say. It fails when the log is used no more, see Status.
func (m *Member) Drained(ctx context.Context) error {
	recorded := m.agent.Recorded(ctx)
	select {
	case <-m.joined:
	case <-m.closed:
	case <-ctx.Done():
		recorded = ctx.Err()
	}
	if recorded != nil {
		return fmt.Errorf("rollcall: member %s: not everything is recorded yet: %w", m.opt.ID, recorded)
	}
	return m.rec.Drained(ctx)
}
