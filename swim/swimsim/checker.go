package swimsim

import (
	"fmt"
	"slices"
	"time"

	"rollcall/swim"
)

// checker holds every step of every member to the invariants that must hold whatever happens (I5 to I8, I15). Its state grows
// by the square of the members.
type checker struct {
	world   *World
	err     error
	highest map[swim.ID]uint64             // incarnation that the owner itself has claimed, over all lives
	views   []map[swim.ID]claim            // by member: what its present life holds
	said    evidence                       // who has accused and convicted whom
	nodes   map[swim.ID]*checkedNode       // the log, folded again by simpler rules
	window  []struct{ second, sent int64 } // by member: datagrams in the running second
	ticks   []struct {                     // by member: steps at one instant
		at    time.Duration
		count int
	}
}

type claim struct {
	incarnation uint64
	state       swim.State
}

type checkedNode struct {
	claim
	accusers []swim.ID
}

const (
	// stepsMax is how many steps a member may take at one instant before it counts as spinning. A thaw takes heldMax.
	stepsMax = 4 * heldMax
	// effectsMax bounds what one step asks for, beside two effects for each member of the view.
	effectsMax = 256
	// sentMax is how many datagrams a member may send in one second, whatever happens in clusters of a few dozen members.
	sentMax = 3000
)

func newChecker(w *World) *checker {
	return &checker{world: w, highest: map[swim.ID]uint64{}, said: newEvidence(), nodes: map[swim.ID]*checkedNode{}}
}

func (c *checker) fail(invariant, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%s at %v: %s", invariant, c.world.now, fmt.Sprintf(format, args...))
	}
}

// began takes note of a new life, which knows nothing.
func (c *checker) began(m *Member) {
	for len(c.views) <= m.index {
		c.views = append(c.views, nil)
		c.window = append(c.window, struct{ second, sent int64 }{})
		c.ticks = append(c.ticks, struct {
			at    time.Duration
			count int
		}{})
	}
	c.views[m.index] = map[swim.ID]claim{}
}

// member checks a changed row of a view against the row before.
func (c *checker) member(by *Member, row *swim.Member) {
	now := claim{row.Incarnation, row.State}
	if row.ID == by.ID {
		c.highest[by.ID] = max(c.highest[by.ID], row.Incarnation)
	}
	if now.incarnation > c.highest[row.ID] {
		c.fail("I7", "%s holds %s at incarnation %d, which it never claimed: its highest is %d",
			by.ID, row.ID, now.incarnation, c.highest[row.ID])
	}
	before, known := c.views[by.index][row.ID]
	if known && now.incarnation <= before.incarnation && (now.incarnation < before.incarnation || now.state < before.state) {
		c.fail("I6", "%s moves %s from %v@%d back to %v@%d",
			by.ID, row.ID, before.state, before.incarnation, now.state, now.incarnation)
	}
	c.views[by.index][row.ID] = now
	if len(c.views[by.index]) > len(c.world.all) {
		c.fail("I15", "%s holds %d members of %d", by.ID, len(c.views[by.index]), len(c.world.all))
	}
}

func (c *checker) forgot(by *Member, row *swim.Member) { delete(c.views[by.index], row.ID) }

// transition remembers accusations, and checks that a verdict stands on enough of them.
func (c *checker) transition(by *Member, t *swim.Transition) {
	if t.Own && t.Author != by.ID {
		c.fail("I3", "%s speaks as %s", by.ID, t.Author)
	}
	switch {
	case t.Kind == swim.TransitionSuspected && t.Own:
		if t.Subject == by.ID {
			c.fail("I7", "%s accuses itself", by.ID)
		}
		c.said.accuses(by.ID, episode{t.Subject, t.Incarnation})
	case t.Kind == swim.TransitionFailed && t.Evidence.Reason == swim.ReasonTold:
		c.told(by, t)
	case t.Kind == swim.TransitionFailed:
		c.verdict(by, t)
	}
	if len(t.Evidence.Accusers) > 64 {
		c.fail("I15", "%s names %d accusers of %s", by.ID, len(t.Evidence.Accusers), t.Subject)
	}
}

// sent checks the size and the rate of what a member sends.
func (c *checker) sent(by *Member, e *swim.Effect) {
	if len(e.Data) > swim.DatagramMax {
		c.fail("I15", "%s sends %d bytes to %s", by.ID, len(e.Data), e.To.ID)
	}
	w := &c.window[by.index]
	if second := int64(c.world.now / time.Second); second != w.second {
		w.second, w.sent = second, 0
	}
	if w.sent++; w.sent > sentMax {
		c.fail("I15", "%s sends more than %d datagrams in a second", by.ID, sentMax)
	}
}

// stepped checks that a member does not spin and does not ask for too much at once.
func (c *checker) stepped(m *Member, effects int) {
	if limit := effectsMax + 2*len(c.world.all); effects > limit {
		c.fail("I15", "%s asks for %d things at once, more than %d", m.ID, effects, limit)
	}
	t := &c.ticks[m.index]
	if t.at != c.world.now {
		t.at, t.count = c.world.now, 0
	}
	if t.count++; t.count > stepsMax {
		c.fail("I15", "%s takes more than %d steps at one instant", m.ID, stepsMax)
	}
}

// recorded checks a record in the log: a legal path a node (I5, I6), raised by its owner alone (I7), failed by a quorum (I8).
func (c *checker) recorded(r *Record) {
	n := c.nodes[r.Subject]
	if n == nil {
		n = &checkedNode{}
		c.nodes[r.Subject] = n
	}
	if r.Kind == swim.TransitionSuspected && r.Verdict != Late && !slices.Contains(n.accusers, r.Author) {
		n.accusers = append(n.accusers, r.Author)
	}
	if r.Verdict != Applied {
		return
	}
	next, ok := n.claim, false
	switch r.Kind {
	case swim.TransitionJoined, swim.TransitionRefuted, swim.TransitionTagged:
		next, ok = claim{r.Incarnation, swim.Alive}, r.Incarnation > n.incarnation
		n.accusers = nil
		if r.Author != r.Subject {
			c.fail("I7", "record %d: %s raises %s", r.Position, r.Author, r.Subject)
		}
	case swim.TransitionSuspected:
		next.state, ok = swim.Suspect, n.state == swim.Alive && r.Incarnation == n.incarnation
	case swim.TransitionFailed:
		next.state, ok = swim.Failed, n.state == swim.Suspect && r.Incarnation == n.incarnation
		c.convicted(r, n)
	case swim.TransitionLeft:
		next, ok = claim{r.Incarnation, swim.Left}, n.state != swim.Left && r.Incarnation >= n.incarnation
	}
	if !ok {
		c.fail("I5", "record %d: %v of %s@%d after %v@%d", r.Position, r.Kind, r.Subject, r.Incarnation, n.state, n.incarnation)
	}
	n.claim = next
}
