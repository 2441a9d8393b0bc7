package events

import (
	"iter"
	"time"
)

// State of a node, in order of precedence at equal incarnation.
type State uint8

// The states.
const (
	Unknown State = iota
	StateAlive
	StateSuspect
	StateFailed
	StateLeft
)

// Result is what the fold did with an event.
type Result uint8

// The results. Every event has exactly one, the same on every machine.
const (
	Applied Result = iota + 1 // the node's state, incarnation, address or tags changed
	Evident                   // kept as evidence, no change of state
	Late                      // true once, overtaken by what the log already says; kept, never applied
	Refused                   // not its author's to say, or not a legal step; kept, never applied
)

// Outcome is a Result with its reason, and the node's state before and after.
type Outcome struct {
	Result Result
	Reason string // a constant text, empty for Applied
	Before State
	After  State
}

// Node is what the log says about one node at a position.
type Node struct {
	ID            string
	State         State
	Incarnation   uint64
	Address       string
	Tags          map[string]string // shared, never written to
	Since         time.Time         // observed time of the event that brought the state
	SincePosition uint64            // and its position
	LastPosition  uint64            // newest event about the node, whatever it did: the expectation of the next append
	Accusers      []string          // distinct accusers of this incarnation in log order; kept with a failed verdict
}

// Roll is the fold of a whole log: the one legal history of every node (invariants I5 to I8). It is a pure function of
// the events applied: no clock, no I/O. It is not safe for concurrent use.
type Roll struct{}

// NewRoll returns the roll of an empty log.
func NewRoll(cluster string) *Roll { panic("to be written") }

// Apply folds one event. Positions must rise; a position at or below Position panics.
func (r *Roll) Apply(rec Recorded) Outcome { panic("to be written") }

// Judge says what Apply would do with ev if it were next, and changes nothing.
func (r *Roll) Judge(ev Event) Outcome { panic("to be written") }

// Node returns what the log says about id.
func (r *Roll) Node(id string) (Node, bool) { panic("to be written") }

// Nodes yields every node ever named by the log, by id.
func (r *Roll) Nodes() iter.Seq[Node] { panic("to be written") }

// Len is the number of nodes ever named; Live the number that are alive or suspect.
func (r *Roll) Len() int { panic("to be written") }

// Live is the number of nodes that are alive or suspect.
func (r *Roll) Live() int { panic("to be written") }

// Position is that of the last event applied; 0 before the first.
func (r *Roll) Position() uint64 { panic("to be written") }
