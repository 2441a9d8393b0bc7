package swimsim

import (
	"slices"

	"rollcall/swim"
)

// The rule of I8, once more and simpler than the protocol and the log have it. Nothing here asks either of them: a core that
// miscounts a quorum must not be measured with its own count.

// episode is one incarnation of a member: what is held against it ends with the next.
type episode struct {
	subject     swim.ID
	incarnation uint64
}

// evidence is what members really said, over all their lives, whoever heard of it.
type evidence struct {
	accusers  map[episode][]swim.ID
	convicted map[episode]bool // by somebody on evidence of its own
}

func newEvidence() evidence {
	return evidence{accusers: map[episode][]swim.ID{}, convicted: map[episode]bool{}}
}

func (e evidence) accuses(by swim.ID, of episode) {
	if !slices.Contains(e.accusers[of], by) {
		e.accusers[of] = append(e.accusers[of], by)
	}
}

// byAnother reports whether anybody but one member has accused.
func (e evidence) byAnother(than swim.ID, of episode) bool {
	return slices.ContainsFunc(e.accusers[of], func(id swim.ID) bool { return id != than })
}

// quorum is how many distinct accusers a verdict needs among so many live members, the subject included: three, or all others
// where they are fewer.
func quorum(live int) int { return max(1, min(3, live-1)) }

// verdict checks I8 in the view of who reached it: a quorum of distinct accusers at that incarnation. Each of them said so, or
// is under suspicion itself by the word of somebody else than the judge, and so cannot.
func (c *checker) verdict(by *Member, t *swim.Transition) {
	of := episode{t.Subject, t.Incarnation}
	view := c.views[by.index]
	distinct := map[swim.ID]bool{}
	for _, a := range t.Evidence.Accusers {
		distinct[a.ID] = true
		held := view[a.ID]
		switch {
		case a.ID == t.Subject:
			c.fail("I8", "%s counts %s against itself", by.ID, t.Subject)
		case !a.Implicit && !slices.Contains(c.said.accusers[of], a.ID):
			c.fail("I8", "%s convicts %s@%d by the word of %s, which never said so", by.ID, t.Subject, t.Incarnation, a.ID)
		case a.Implicit && held.state != swim.Suspect:
			c.fail("I8", "%s convicts %s@%d by the silence of %s, which it holds %v", by.ID, t.Subject, t.Incarnation, a.ID, held.state)
		case a.Implicit && !c.said.byAnother(by.ID, episode{a.ID, held.incarnation}):
			c.fail("I8", "%s convicts %s@%d by the silence of %s, which nobody else accuses", by.ID, t.Subject, t.Incarnation, a.ID)
		}
	}
	live := 1 // the subject, which the view no longer counts
	for _, held := range view {
		if held.state.Live() {
			live++
		}
	}
	if want := quorum(live); len(distinct) < want {
		c.fail("I8", "%s convicts %s@%d on %d accusers of %d", by.ID, t.Subject, t.Incarnation, len(distinct), want)
	}
	c.said.convicted[of] = true
}

// told checks that a verdict that a member took from others was reached by one of them.
func (c *checker) told(by *Member, t *swim.Transition) {
	if !c.said.convicted[episode{t.Subject, t.Incarnation}] {
		c.fail("I8", "%s is told of a verdict on %s@%d, which nobody has reached", by.ID, t.Subject, t.Incarnation)
	}
}

// convicted checks I8 in the log: those that it has accusing the node at this incarnation, and did, and those of whom the verdict
// says that they cannot, if the log has them under suspicion or failed by the word of somebody else than its author.
func (c *checker) convicted(r *Record, n *checkedNode) {
	of := episode{r.Subject, r.Incarnation}
	distinct := map[swim.ID]bool{}
	for _, id := range n.accusers {
		if !slices.Contains(c.said.accusers[of], id) {
			c.fail("I8", "record %d: %s@%d failed by the word of %s, which never said so", r.Position, r.Subject, r.Incarnation, id)
		}
		distinct[id] = true
	}
	for _, a := range r.Accusers {
		held := c.nodes[a.ID]
		mute := held != nil && (held.state == swim.Suspect || held.state == swim.Failed)
		if a.Implicit && a.ID != r.Subject && mute && slices.ContainsFunc(held.accusers, func(id swim.ID) bool { return id != r.Author }) {
			distinct[a.ID] = true
		}
	}
	live := 0
	for _, other := range c.nodes {
		if other.state.Live() {
			live++
		}
	}
	if want := quorum(live); len(distinct) < want {
		c.fail("I8", "record %d: %s@%d failed on %d accusers of %d", r.Position, r.Subject, r.Incarnation, len(distinct), want)
	}
}
