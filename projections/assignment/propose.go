package assignment

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rollcall/events"
	"rollcall/projections"
)

// ErrNoGroup says that the log holds no plan of a group.
var ErrNoGroup = errors.New("the log holds no plan of the group")

// Assumption is what is not so and might be.
type Assumption struct {
	Without []string // workers that are gone
	With    []string // workers that are alive and match, whatever the log says of them
}

// WhatIf returns the plan that the director of a group would make now if the assumption were true, balanced, and whether it
// differs from the standing one. It appends nothing. It fails with ErrNoGroup, or with projections.ErrSelector when the
// standing plan's selector cannot be read.
func WhatIf(v *projections.Views, group string, a Assumption) (plan events.Plan, differs bool, err error) {
	g, ok := v.Assignments.Group(group)
	if !ok || g.Position == 0 {
		return events.Plan{}, false, fmt.Errorf("%w: %.80q", ErrNoGroup, group)
	}
	sel, err := parseSelector(g.Selector)
	if err != nil {
		return events.Plan{}, false, err
	}
	p := outlook{group: g, selector: g.Selector, position: v.Position(), nodes: workers(v, sel)}
	for _, s := range g.Shards {
		p.shards = append(p.shards, s.Name)
	}
	p.assume(a)
	plan, differs = p.plan(true)
	return plan, differs, nil
}

// outlook is all that a plan is made of.
type outlook struct {
	group    *projections.Group // as it stands; of position 0 before the first plan
	selector string
	shards   []string
	position uint64                  // of the view
	nodes    map[string]events.State // the alive and suspect that match the selector
}

// parseSelector reads a selector, of which the empty one chooses every node.
func parseSelector(text string) (projections.Selector, error) {
	if text == "" {
		return projections.Selector{}, nil
	}
	return projections.ParseSelector(text)
}

// workers returns who matches sel and is alive or suspect.
func workers(v *projections.Views, sel projections.Selector) map[string]events.State {
	nodes := make(map[string]events.State)
	for _, n := range v.Registry.Select(sel, events.StateAlive, events.StateSuspect) {
		nodes[n.ID] = n.State
	}
	return nodes
}

func (o *outlook) assume(a Assumption) {
	for _, id := range a.With {
		o.nodes[id] = events.StateAlive
	}
	for _, id := range a.Without {
		delete(o.nodes, id)
	}
}

// plan returns the next plan of the group, and whether it differs from the standing one.
func (o *outlook) plan(balance bool) (plan events.Plan, differs bool) {
	s := Situation{Shards: o.shards, Held: make(map[string]string), Balance: balance}
	for _, id := range slices.Sorted(maps.Keys(o.nodes)) {
		if o.nodes[id] == events.StateAlive {
			s.Alive = append(s.Alive, id)
		} else {
			s.Suspect = append(s.Suspect, id)
		}
	}
	for _, shard := range o.group.Shards {
		s.Held[shard.Name] = shard.Worker
	}
	layout := Spread(s)
	plan = events.Plan{
		Selector: o.selector, Seen: o.position, Bound: layout.Bound, Workers: layout.Workers, Waiting: layout.Waiting,
		Moves: o.moves(layout),
	}
	plan.Reason = o.reason(plan.Moves)
	differs = len(plan.Moves) > 0 || len(o.shards) != len(o.group.Shards) ||
		o.selector != o.group.Selector || o.group.Position == 0
	return plan, differs
}

// moves says what a layout changes, and why.
func (o *outlook) moves(layout Layout) []events.Move {
	before := make(map[string]projections.Shard, len(o.group.Shards))
	for _, s := range o.group.Shards {
		before[s.Name] = s
	}
	byFrom := make(map[string]*events.Move)
	place := func(name, worker string) {
		s, known := before[name]
		from := o.group.Planned(s)
		if known && s.Worker == worker && from == worker {
			return
		}
		m := byFrom[from]
		if m == nil {
			m = &events.Move{From: from, Reason: o.because(s, from)}
			byFrom[from] = m
		}
		m.Shards = append(m.Shards, name)
	}
	for worker, list := range layout.Workers {
		for _, name := range list {
			place(name, worker)
		}
	}
	for _, name := range layout.Waiting {
		place(name, "")
	}
	var moves []events.Move
	for _, from := range slices.Sorted(maps.Keys(byFrom)) {
		m := byFrom[from]
		slices.Sort(m.Shards)
		moves = append(moves, *m)
	}
	return moves
}

// Why a shard is no longer where it was, beside that its worker failed or left.
const (
	becauseNobody    = "nobody had it"
	becauseUnmatched = "its worker does not match any more"
	becauseBalance   = "balance"
)

// because says why s moves. It depends on from alone: who is gone, or matches no more, loses everything.
func (o *outlook) because(s projections.Shard, from string) string {
	_, there := o.nodes[from]
	switch {
	case from == "":
		return becauseNobody
	case s.Worker == "":
		return s.Reason // failed, or left
	case !there:
		return becauseUnmatched
	default:
		return becauseBalance
	}
}

// reason says in a few words why there is a new plan.
func (o *outlook) reason(moves []events.Move) string {
	var parts []string
	switch {
	case o.group.Position == 0:
		return "first plan"
	case o.group.Director == "" && o.group.Former != "":
		parts = append(parts, fmt.Sprintf("%s %s and directs no more", o.group.Former, o.group.Vacant))
	}
	balance := false
	for _, m := range moves {
		switch {
		case m.Reason == becauseBalance:
			balance = true
		case m.From == "":
			parts = append(parts, fmt.Sprintf("%d that nobody had", len(m.Shards)))
		case m.Reason == becauseUnmatched:
			parts = append(parts, m.From+" does not match any more")
		default:
			parts = append(parts, m.From+" "+m.Reason)
		}
	}
	if balance {
		parts = append(parts, becauseBalance)
	}
	if len(parts) == 0 {
		return "the group changed"
	}
	text := strings.Join(parts, ", ")
	return text[:min(len(text), events.PlanReasonMax)] // ids and our own words: no character is cut in two
}
