package verify

import (
	"fmt"
	"maps"
	"slices"

	"rollcall/events"
)

// groupsMax is how many groups the fold keeps; it refuses what is said of others.
const groupsMax = 1024

// group is an assignment group as its standing plan has it. Who has failed or left since then is in the history of nodes.
type group struct {
	director string            // author of the standing plan; empty before the first and once it has resigned
	position uint64            // of the standing plan; 0 before the first
	holders  map[string]string // by shard of that plan its worker; empty for a shard that waits
	last     uint64            // newest event of the group, whatever it did
}

// breach is something that does not follow of an event of a group. The fold refuses the event, or finds it late, where the
// breach is one at the event's own position; as of the position that its author names, it may be another.
type breach struct {
	Finding
	result events.Result // what the fold says of the event; Applied when it cannot see the breach
}

// groups derives the plans of all groups again. It knows what two kinds of reader cannot: the fold looks at each event at its
// own position, the author had read the log up to the position it names. What was wrong there is a violation. What became
// wrong in between is a race that was lost.
type groups struct {
	nodes  *history
	byName map[string]*group
}

func newGroups(nodes *history) *groups { return &groups{nodes: nodes, byName: make(map[string]*group)} }

// next returns the group called name, or nil when there is room for no other.
func (gs *groups) next(name string) *group {
	g := gs.byName[name]
	if g == nil && len(gs.byName) < groupsMax {
		g = new(group)
		gs.byName[name] = g
	}
	return g
}

// unreadable takes note of an event of a group that nobody can read. The plan before it stands.
func (gs *groups) unreadable(name string, position uint64) {
	if g := gs.next(name); g != nil {
		g.last = position
	}
}

// judge derives what the fold does with rec, which is of this cluster, and says what does not follow of it.
func (gs *groups) judge(rec *events.Recorded) (events.Result, []breach) {
	g := gs.next(rec.Group)
	if g == nil {
		return events.Refused, []breach{broken(events.Refused, Note, "I15", "there are %d groups already", groupsMax)}
	}
	var found []breach
	switch {
	case rec.Mismatch != "":
		found = []breach{broken(events.Refused, Violation, "I3", "%s", rec.Mismatch)}
	case rec.Kind == events.Resigned:
		found = gs.resigned(g, rec)
	default:
		found = gs.planned(g, rec)
	}
	result := events.Applied
	for _, b := range found {
		if b.result != events.Applied {
			result = b.result // the first, as the fold stops there
			break
		}
	}
	if result == events.Applied {
		g.follow(rec)
	}
	g.last = rec.Position
	return result, found
}

// follow takes over an event that the fold applied.
func (g *group) follow(rec *events.Recorded) {
	if rec.Kind == events.Resigned {
		g.director = ""
		return
	}
	g.director, g.position, g.holders = rec.Author, rec.Position, placed(rec.Plan)
}

// placed is a plan by shard.
func placed(p *events.Plan) map[string]string {
	holders := make(map[string]string, p.Shards())
	for worker, list := range p.Workers {
		for _, shard := range list {
			holders[shard] = worker
		}
	}
	for _, shard := range p.Waiting {
		holders[shard] = ""
	}
	return holders
}

// directs is who directs g at position; empty when nobody does.
func (gs *groups) directs(g *group, position uint64) string {
	if gs.nodes.gone(g.director, g.position, position) {
		return ""
	}
	return g.director
}

func (gs *groups) resigned(g *group, rec *events.Recorded) []breach {
	switch {
	case gs.directs(g, rec.Position) == rec.Author:
		return nil
	case g.director == rec.Author && !gs.nodes.gone(rec.Author, g.position, g.last):
		return []breach{broken(events.Refused, Note, "I3", "its author directs the group no more: it failed or left since position %d", g.last)}
	default:
		return []breach{broken(events.Refused, Violation, "I3", "its author does not direct the group")}
	}
}

// planned looks at a plan in the order in which the fold does.
func (gs *groups) planned(g *group, rec *events.Recorded) (found []breach) {
	plan := rec.Plan
	seen := min(plan.Seen, rec.Position)
	add := func(result events.Result, severity Severity, rule, format string, args ...any) {
		found = append(found, broken(result, severity, rule, format, args...))
	}
	found = append(found, gs.live("its author", rec.Author, "I3", seen, rec.Position)...)
	if director := gs.directs(g, rec.Position); director != "" && director != rec.Author {
		add(events.Refused, Violation, "I3", "%s directs the group", director)
	}
	if plan.Seen < g.last {
		add(events.Late, Violation, "I5", "it was made at position %d, before the group's newest event at %d", plan.Seen, g.last)
	}
	if plan.Seen >= rec.Position {
		add(events.Refused, Violation, "I5", "it names position %d, which was still to come", plan.Seen)
	}
	for _, worker := range slices.Sorted(maps.Keys(plan.Workers)) {
		found = append(found, gs.live("worker "+worker, worker, "I5", seen, rec.Position)...)
	}
	switch wrong, wrongThen := gs.moved(g, plan, rec.Position), gs.moved(g, plan, seen); {
	case wrongThen != "" && wrong == "":
		add(events.Applied, Violation, "I5", "at position %d, up to which its author had read, %s", plan.Seen, wrongThen)
	case wrongThen != "":
		add(events.Refused, Violation, "I5", "%s", wrongThen)
	case wrong != "":
		add(events.Refused, Note, "I5", "%s, since position %d", wrong, plan.Seen)
	}
	return append(found, gs.given(g, plan, seen)...)
}

// live finds whether id was a member when the author read the log, and whether it is when the plan comes.
func (gs *groups) live(who, id, rule string, seen, position uint64) []breach {
	then, now := gs.nodes.at(id, seen), gs.nodes.at(id, position)
	switch {
	case !then.Live() && !now.Live():
		return []breach{broken(events.Refused, Violation, rule, "%s is not a live member: it is %s", who, now)}
	case !then.Live():
		return []breach{broken(events.Applied, Violation, rule, "%s was not a live member at position %d, up to which the author had read",
			who, seen)}
	case !now.Live():
		return []breach{broken(events.Refused, Note, rule, "%s is not a live member: it is %s since position %d", who, now, seen)}
	}
	return nil
}

// moved says which shard the plan's moves are wrong about, as things are at position; empty when they are what changes.
func (gs *groups) moved(g *group, plan *events.Plan, position uint64) string {
	moves := make(map[string]string) // by shard, from whom
	for _, m := range plan.Moves {
		for _, shard := range m.Shards {
			moves[shard] = m.From
		}
	}
	next := placed(plan)
	for _, shard := range slices.Sorted(maps.Keys(next)) {
		from, known := g.holders[shard]
		stays := known && next[shard] == from && !gs.nodes.gone(from, g.position, position)
		switch named, moves := moves[shard]; {
		case stays && moves:
			return fmt.Sprintf("shard %s moves and is where it was", shard)
		case !stays && !moves:
			return fmt.Sprintf("shard %s is not where it was and does not move", shard)
		case moves && named != from:
			return fmt.Sprintf("shard %s moves from %q and was of %q", shard, named, from)
		}
	}
	return ""
}

// given finds what the fold lets pass: shards given to a worker that was suspect, and workers said to have failed or left
// that had not. seen is up to where the author had read.
func (gs *groups) given(g *group, plan *events.Plan, seen uint64) (found []breach) {
	next := placed(plan)
	for _, m := range plan.Moves {
		for _, shard := range m.Shards {
			if to := next[shard]; to != "" && gs.nodes.at(to, seen) == events.StateSuspect {
				found = append(found, broken(events.Applied, Violation, "I5", "shard %s is given to %s, which was suspect at position %d",
					shard, to, seen))
			}
		}
		var state events.State
		if err := state.UnmarshalText([]byte(m.Reason)); err != nil || state.Live() || state == events.Unknown || m.From == "" {
			continue
		}
		if !gs.nodes.reached(m.From, g.position, seen, state) {
			found = append(found, broken(events.Applied, Violation, "I3", "it says that %s %s, and up to position %d it had not", m.From, m.Reason, seen))
		}
	}
	return found
}

func broken(result events.Result, severity Severity, rule, format string, args ...any) breach {
	f, _ := finding(severity, rule, format, args...)
	return breach{f, result}
}

// worst is the one to report of what was found of an event: the first violation, or else the first.
func worst(found []breach) Finding {
	for _, b := range found {
		if b.Severity == Violation {
			return b.Finding
		}
	}
	return found[0].Finding
}
