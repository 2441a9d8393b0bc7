package projections

import (
	"slices"

	"rollcall/events"
)

// Select is the services view: the nodes in one of these states whose tags the selector chooses, by id. No states at all
// means Alive, which is what a client that wants to call somebody asks for. A parked node is neither alive nor suspect here:
// it may have left since, or changed its tags (see [Parked]). The slice is the caller's.
func (r *Registry) Select(sel Selector, states ...events.State) []*Node {
	if len(states) == 0 {
		states = []events.State{events.StateAlive}
	}
	return slices.DeleteFunc(r.Tagged(sel), func(n *Node) bool {
		return n.Parked != nil && n.State.Live() || !slices.Contains(states, n.State)
	})
}
