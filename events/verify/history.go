package verify

import (
	"cmp"
	"slices"

	"rollcall/events"
)

// history is what state every node was in at any position: what an author that had read the log so far knew.
type history struct{ turns map[string][]turn }

// turn is an event that changed a node's state.
type turn struct {
	position uint64
	state    events.State
}

func newHistory() *history { return &history{turns: make(map[string][]turn)} }

// follow takes note of what the event at position made of its node.
func (h *history) follow(position uint64, node string, before, after events.State) {
	if before != after {
		h.turns[node] = append(h.turns[node], turn{position, after})
	}
}

// at is the state of node at position.
func (h *history) at(node string, position uint64) events.State {
	turns := h.until(node, position)
	if len(turns) == 0 {
		return events.Unknown
	}
	return turns[len(turns)-1].state
}

// reached reports whether node came to be in one of states after the position after, and not later than the position until.
func (h *history) reached(node string, after, until uint64, states ...events.State) bool {
	turns := h.until(node, until)
	for i := len(turns) - 1; i >= 0 && turns[i].position > after; i-- {
		if slices.Contains(states, turns[i].state) {
			return true
		}
	}
	return false
}

// gone reports whether node ceased to be a member then, even if it came back.
func (h *history) gone(node string, after, until uint64) bool {
	return h.reached(node, after, until, events.StateFailed, events.StateLeft)
}

func (h *history) until(node string, position uint64) []turn {
	turns := h.turns[node]
	i, found := slices.BinarySearchFunc(turns, position, func(t turn, p uint64) int { return cmp.Compare(t.position, p) })
	if found {
		i++
	}
	return turns[:i]
}
