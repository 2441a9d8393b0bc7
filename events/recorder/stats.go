package recorder

import "sync/atomic"

// counter is raised by add; a nil one is nobody's.
type counter struct{ atomic.Uint64 }

func (c *counter) add() {
	if c != nil {
		c.Add(1)
	}
}

type counters struct {
	appended, conflicts, duplicates counter
	accused, agreed, superseded     counter
	renewed, denied, refused        counter
}

// Stats counts what happened since New.
type Stats struct {
	Appended   uint64 // events that the log took from us
	Conflicts  uint64 // appends that another member's came before
	Duplicates uint64 // retries of what the log had already
	Accused    uint64 // of Appended: suspicions and verdicts said as accused, because others were first or the log was past them
	Agreed     uint64 // verdicts dropped: the log has it, and our accusation
	Superseded uint64 // drafts about ourselves dropped: the log knows a later incarnation of ours
	Renewed    uint64 // verdicts said again, because the log lost the quorum just before them, and what another's id stood against
	Denied     uint64 // put aside because the log would not let us say them
	Refused    uint64 // put aside because no step of the log could make sense of them

	Pending  int    // entries that wait in the outbox
	Aside    int    // entries put aside, from earlier runs too
	Lanes    int    // nodes that they are about
	InFlight int    // appends under way
	Position uint64 // newest event read
	Away     error  // why the log counts as away; nil while it is reachable
	Ended    error  // why the log is used no more, see Recorder.Ended; nil while it is

	Owed      int    // events that the outbox refused, remembered until it takes them
	Forgotten uint64 // such events beyond OwedMax, lost
}

// Stats returns the counts as they are now.
func (r *Recorder) Stats() Stats {
	c := &r.counts
	s := Stats{
		Appended: c.appended.Load(), Conflicts: c.conflicts.Load(), Duplicates: c.duplicates.Load(),
		Accused: c.accused.Load(), Agreed: c.agreed.Load(), Superseded: c.superseded.Load(),
		Renewed: c.renewed.Load(), Denied: c.denied.Load(), Refused: c.refused.Load(),
		Pending: r.cfg.Outbox.Len(), Aside: r.cfg.Outbox.AsideLen(), InFlight: len(r.slots), Away: r.gate.away(),
	}
	r.mu.Lock()
	s.Lanes, s.Position = len(r.lanes), r.fed
	r.mu.Unlock()
	s.Owed, s.Forgotten = r.owed.stats()
	s.Ended = r.Ended()
	return s
}
