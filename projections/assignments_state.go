package projections

func (a *Assignments) encode(w *writer) {
	w.uint(uint64(len(a.list)))
	for _, g := range a.list {
		w.string(g.Name)
		w.string(g.Director)
		w.string(g.Former)
		w.string(g.Vacant)
		w.uint(g.Position)
		w.uint(g.Seen)
		w.time(g.Stored)
		w.string(g.Selector)
		w.uint(uint64(g.Bound))
		w.string(g.Reason)
		w.uint(uint64(len(g.Shards)))
		for _, s := range g.Shards {
			w.string(s.Name)
			w.string(s.Worker)
			w.string(s.From)
			w.string(s.Reason)
			w.uint(s.Since)
		}
		w.uint(g.LastPosition)
		w.uint(g.Refused)
		w.uint(g.Rejected)
		w.spill()
	}
}

func decodeAssignments(rd *reader) *Assignments {
	a := newAssignments()
	for range rd.count() {
		g := &Group{
			Name: rd.shared(), Director: rd.shared(), Former: rd.shared(), Vacant: rd.shared(),
			Position: rd.uint(), Seen: rd.uint(), Stored: rd.time(),
			Selector: rd.shared(), Bound: int(rd.uint()), Reason: rd.string(),
		}
		for range rd.count() {
			s := Shard{Name: rd.shared(), Worker: rd.shared(), From: rd.shared(), Reason: rd.shared(), Since: rd.uint()}
			if n := len(g.Shards); n > 0 && g.Shards[n-1].Name >= s.Name {
				rd.fail("shards out of order")
			}
			g.Shards = append(g.Shards, s)
		}
		g.LastPosition, g.Refused, g.Rejected = rd.uint(), rd.uint(), rd.uint()
		if n := len(a.list); n > 0 && a.list[n-1].Name >= g.Name {
			rd.fail("groups out of order")
		}
		if rd.err != nil {
			return a
		}
		a.byName[g.Name] = g
		a.list = append(a.list, g)
	}
	return a
}
