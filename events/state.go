package events

import "fmt"

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

var stateNames = [...]string{"unknown", "alive", "suspect", "failed", "left"}

// Live reports whether a node in this state counts as a member: alive or suspect.
func (s State) Live() bool { return s == StateAlive || s == StateSuspect }

// String returns unknown, alive, suspect, failed or left.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// MarshalText writes what String returns.
func (s State) MarshalText() ([]byte, error) {
	if int(s) >= len(stateNames) {
		return nil, fmt.Errorf("state %d does not exist", uint8(s))
	}
	return []byte(stateNames[s]), nil
}

// UnmarshalText reads what MarshalText writes.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if name == string(text) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("state %.32q: want one of %v", text, stateNames)
}

// Result is what the fold did with an event.
type Result uint8

// The results. Every event has exactly one, the same on every machine.
const (
	Applied Result = iota + 1 // the node's state, incarnation, address or tags changed
	Evident                   // kept as evidence, no change of state
	Late                      // true once, overtaken by what the log already says; kept, never applied
	Refused                   // not its author's to say, or not a legal step; kept, never applied
)

var resultNames = [...]string{"", "applied", "evidence", "late", "refused"}

// String returns applied, evidence, late or refused.
func (r Result) String() string {
	if r > 0 && int(r) < len(resultNames) {
		return resultNames[r]
	}
	return fmt.Sprintf("result(%d)", uint8(r))
}

// MarshalText writes what String returns.
func (r Result) MarshalText() ([]byte, error) {
	if r == 0 || int(r) >= len(resultNames) {
		return nil, fmt.Errorf("result %d does not exist", uint8(r))
	}
	return []byte(resultNames[r]), nil
}

// UnmarshalText reads what MarshalText writes.
func (r *Result) UnmarshalText(text []byte) error {
	for i, name := range resultNames {
		if i > 0 && name == string(text) {
			*r = Result(i)
			return nil
		}
	}
	return fmt.Errorf("result %.32q: want one of %v", text, resultNames[1:])
}

// Outcome is a Result with its reason, and the node's state before and after.
type Outcome struct {
	Result Result
	Reason string // a constant text or the event's Mismatch, empty for Applied
	Before State
	After  State
}
