package events

import (
	"errors"
	"fmt"
	"slices"
)

// ErrRestore says that nodes and position are not those of any roll.
var ErrRestore = errors.New("not the state of a roll")

// RestoreRoll returns the roll of a log that was read up to position and had these nodes then, as [Roll.Nodes] yields
// them: applied to the rest of the log it does what a roll that read everything does (I9). It fails with [ErrRestore].
// What the nodes refer to is shared.
func RestoreRoll(cluster string, position uint64, nodes []Node) (*Roll, error) {
	r := NewRoll(cluster)
	r.position, r.nodes, r.number = position, slices.Clone(nodes), make(map[string]int, len(nodes))
	for i := range r.nodes {
		n := &r.nodes[i]
		switch _, twice := r.number[n.ID]; {
		case !ValidID(n.ID):
			return nil, fmt.Errorf("%w: %.80q is not an id", ErrRestore, n.ID)
		case twice:
			return nil, fmt.Errorf("%w: node %s comes twice", ErrRestore, n.ID)
		case n.State == Unknown:
			return nil, fmt.Errorf("%w: node %s never joined", ErrRestore, n.ID)
		case int(n.State) >= len(stateNames):
			return nil, fmt.Errorf("%w: node %s: state %d does not exist", ErrRestore, n.ID, n.State)
		case n.LastPosition > position || n.SincePosition > n.LastPosition:
			return nil, fmt.Errorf("%w: node %s: positions %d and %d in a roll at %d",
				ErrRestore, n.ID, n.SincePosition, n.LastPosition, position)
		}
		r.number[n.ID] = i
		if n.State.Live() {
			r.live++
		}
	}
	return r, nil
}
