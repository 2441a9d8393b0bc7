package projections

import (
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall/events"
)

// GroupsMax is how many groups are kept. A group beyond them is refused, and its events say so.
const GroupsMax = 1024

// Assignments says, for every group of shards, who directs it and which worker has which shard since when and why. A Group
// that was handed out is never written to again.
//
// Nodes' events count here too, in the same order: when a worker failed or left, its shards are nobody's from that position
// on; when a director did, the group is free for another.
type Assignments struct {
	byName map[string]*Group
	list   []*Group // the same, by rising name
}

// Group is one set of shards.
type Group struct {
	Name     string
	Director string // who alone may plan; empty when anybody alive may
	Former   string // who directed last, when nobody does now
	Vacant   string // why nobody does: "failed", "left" or "resigned"

	// Of the standing plan.
	Position uint64 // 0: there is none yet
	Seen     uint64 // position up to which its author knew the log
	Stored   time.Time
	Selector string
	Bound    int
	Reason   string

	Shards []Shard // by name; read only

	LastPosition uint64 // newest event of the group, whatever it did: the expectation of the next append
	Refused      uint64 // events of the group that were not applied
	Rejected     uint64 // events of the group that could not be read
}

// Shard is one shard, as of the position it is read at.
type Shard struct {
	Name   string
	Worker string // who has it; empty: nobody
	From   string // who had it before; empty: nobody, or it is new
	Reason string // why it is where it is
	// Since is the position of the event that brought it here: of the plan that gave it to Worker, which is its fencing
	// position, or of the event by which it became nobody's. It rises with every change.
	Since uint64
}

const assignmentsVersion = 1

// Why an event of a group changed nothing.
const (
	reasonOtherCluster = "it is of another cluster"
	reasonNoPlan       = "there is no plan in it"
	reasonGroups       = "there are too many groups"
	reasonNotLive      = "its author is not a live member"
	reasonDirected     = "another member directs the group"
	reasonNotDirector  = "its author does not direct the group"
	reasonOldPlan      = "it was made before the group's newest event"
	reasonFuture       = "it names a position that was still to come"
	reasonWorker       = "one of its workers is not a live member"
	reasonMoves        = "its moves do not lead from the plan before to this one"
)

func newAssignments() *Assignments { return &Assignments{byName: make(map[string]*Group)} }

func (a *Assignments) clone() *Assignments {
	return &Assignments{byName: maps.Clone(a.byName), list: slices.Clone(a.list)}
}

// Group returns what is known about a group.
func (a *Assignments) Group(name string) (*Group, bool) {
	g, ok := a.byName[name]
	return g, ok
}

// Groups returns every group, by name. The slice is the caller's.
func (a *Assignments) Groups() []*Group { return slices.Clone(a.list) }

// Of returns the shards of a group that worker has, by name. The slice is the caller's.
func (g *Group) Of(worker string) (list []Shard) {
	for _, s := range g.Shards {
		if s.Worker == worker && worker != "" {
			list = append(list, s)
		}
	}
	return list
}

// Planned is who had s by the standing plan, also when that worker has failed or left since; empty when nobody had.
func (g *Group) Planned(s Shard) string {
	if s.Worker == "" && s.Since > g.Position {
		return s.From
	}
	return s.Worker
}

func (a *Assignments) put(g *Group) {
	a.byName[g.Name] = g
	i, found := slices.BinarySearchFunc(a.list, g.Name, func(g *Group, name string) int { return strings.Compare(g.Name, name) })
	if found {
		a.list[i] = g
	} else {
		a.list = slices.Insert(a.list, i, g)
	}
}

// next is a copy of the group called name, for an event at position; nil when there is room for no other group.
func (a *Assignments) next(name string, position uint64) *Group {
	g := Group{Name: name}
	if before, ok := a.byName[name]; ok {
		g = *before
	} else if len(a.list) >= GroupsMax {
		return nil
	}
	g.LastPosition = position
	return &g
}

// reject counts an unreadable event of a group. The plan before it stands.
func (a *Assignments) reject(name string, position uint64) {
	if g := a.next(name, position); g != nil {
		g.Rejected++
		a.put(g)
	}
}

// apply folds an event of a group. roll is at its position.
func (a *Assignments) apply(rec *events.Recorded, roll *events.Roll) events.Outcome {
	refuse := func(reason string) events.Outcome { return events.Outcome{Result: events.Refused, Reason: reason} }
	if rec.Cluster != roll.Cluster() {
		return refuse(reasonOtherCluster)
	}
	g := a.next(rec.Group, rec.Position)
	if g == nil {
		return refuse(reasonGroups)
	}
	result, reason := g.step(rec, roll, a.byName[rec.Group])
	if result != events.Applied {
		g.Refused++
	}
	a.put(g)
	return events.Outcome{Result: result, Reason: reason}
}

// step is the law of a group: what rec makes of g, which is a copy of before with its position moved on. before is nil for
// the first event of a group.
func (g *Group) step(rec *events.Recorded, roll *events.Roll, before *Group) (events.Result, string) {
	switch author, _ := roll.Node(rec.Author); {
	case rec.Mismatch != "":
		return events.Refused, rec.Mismatch
	case rec.Kind != events.Resigned && rec.Plan == nil: // no decoder gives one
		return events.Refused, reasonNoPlan
	case rec.Kind == events.Resigned && g.Director != rec.Author:
		return events.Refused, reasonNotDirector
	case rec.Kind == events.Resigned:
		g.Director, g.Former, g.Vacant = "", rec.Author, string(events.Resigned)
		return events.Applied, ""
	case !author.State.Live():
		return events.Refused, reasonNotLive
	case g.Director != "" && g.Director != rec.Author:
		return events.Refused, reasonDirected
	case before != nil && rec.Plan.Seen < before.LastPosition:
		return events.Late, reasonOldPlan
	case rec.Plan.Seen >= rec.Position:
		return events.Refused, reasonFuture
	}
	for worker := range rec.Plan.Workers {
		if n, _ := roll.Node(worker); !n.State.Live() {
			return events.Refused, reasonWorker
		}
	}
	shards, ok := g.moved(rec.Plan, rec.Position)
	if !ok {
		return events.Refused, reasonMoves
	}
	g.Director, g.Former, g.Vacant = rec.Author, "", ""
	g.Position, g.Seen, g.Stored = rec.Position, rec.Plan.Seen, rec.Stored.UTC()
	g.Selector, g.Bound, g.Reason, g.Shards = rec.Plan.Selector, rec.Plan.Bound, rec.Plan.Reason, shards
	return events.Applied, ""
}

// moved returns the shards of g after plan, and whether the plan's moves are exactly what changes.
func (g *Group) moved(plan *events.Plan, position uint64) ([]Shard, bool) {
	moved := make(map[string]*events.Move)
	for i := range plan.Moves {
		for _, name := range plan.Moves[i].Shards {
			moved[name] = &plan.Moves[i]
		}
	}
	before := make(map[string]Shard, len(g.Shards))
	for _, s := range g.Shards {
		before[s.Name] = s
	}
	shards, ok := make([]Shard, 0, plan.Shards()), true
	place := func(name, worker string) {
		s, known := before[name]
		from := g.Planned(s)
		stays := known && s.Worker == worker && from == worker
		move := moved[name]
		if stays != (move == nil) || move != nil && move.From != from {
			ok = false
			return
		}
		if move != nil {
			s = Shard{Name: name, Worker: worker, From: from, Reason: move.Reason, Since: position}
		}
		shards = append(shards, s)
	}
	for worker, list := range plan.Workers {
		for _, name := range list {
			place(name, worker)
		}
	}
	for _, name := range plan.Waiting {
		place(name, "")
	}
	slices.SortFunc(shards, func(a, b Shard) int { return strings.Compare(a.Name, b.Name) })
	return shards, ok
}

// release takes from a node that is no longer live what it had. out is what the node's event did.
func (a *Assignments) release(node string, position uint64, out events.Outcome) {
	if !out.Before.Live() || out.After.Live() {
		return
	}
	for _, before := range a.list {
		held := slices.ContainsFunc(before.Shards, func(s Shard) bool { return s.Worker == node })
		if !held && before.Director != node {
			continue
		}
		g := *before
		if g.Director == node {
			g.Director, g.Former, g.Vacant = "", node, out.After.String()
		}
		if held {
			g.Shards = slices.Clone(g.Shards)
			for i, s := range g.Shards {
				if s.Worker == node {
					g.Shards[i] = Shard{Name: s.Name, From: node, Reason: out.After.String(), Since: position}
				}
			}
		}
		a.put(&g)
	}
}
