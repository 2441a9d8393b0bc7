package projections

import (
	"maps"
	"slices"

	"rollcall/events"
)

// Change is what became of one node between two instants. Before is nil for a node that the log did not name then, and
// so is After.
type Change struct {
	ID            string
	Before, After *Node
	Fields        []string // that differ: of state, incarnation, address, tags, since, accusers, parked; in this order
}

// Diff says how the roll got from one registry to another. On the roll is who is alive, suspect or failed: who came onto it
// (joined, or joined again after leaving) is added, who is no longer on it (left) is removed, and who is otherwise not what
// it was is changed. Each list is by id. What only adds evidence changes nothing.
type Diff struct{ Added, Changed, Removed []Change }

// DiffOf compares two registries of one log, which may be the same instant or the later one first.
func DiffOf(before, after *Registry) Diff {
	var d Diff
	ids := make(map[string]struct{}, after.Len())
	for id := range before.rows.all() {
		ids[id] = struct{}{}
	}
	for id := range after.rows.all() {
		ids[id] = struct{}{}
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		c := Change{ID: id}
		c.Before, _ = before.Node(id)
		c.After, _ = after.Node(id)
		if c.Fields = changedFields(c.Before, c.After); len(c.Fields) == 0 {
			continue
		}
		switch was, is := onRoll(c.Before), onRoll(c.After); {
		case !was && is:
			d.Added = append(d.Added, c)
		case was && !is:
			d.Removed = append(d.Removed, c)
		default:
			d.Changed = append(d.Changed, c)
		}
	}
	return d
}

func onRoll(n *Node) bool { return n != nil && (n.State.Live() || n.State == events.StateFailed) }

func changedFields(before, after *Node) (fields []string) {
	if before == nil {
		before = &Node{}
	}
	if after == nil {
		after = &Node{}
	}
	for _, f := range []struct {
		name string
		same bool
	}{
		{"state", before.State == after.State},
		{"incarnation", before.Incarnation == after.Incarnation},
		{"address", before.Address == after.Address},
		{"tags", maps.Equal(before.Tags, after.Tags)},
		{"since", before.SincePosition == after.SincePosition},
		{"accusers", slices.Equal(before.Accusers, after.Accusers)},
		{"parked", (before.Parked == nil) == (after.Parked == nil)},
	} {
		if !f.same {
			fields = append(fields, f.name)
		}
	}
	return fields
}
