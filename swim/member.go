package swim

import (
	"net/netip"
	"time"
)

// State of a member in somebody's view, in order of precedence at equal incarnation.
type State uint8

// The states.
const (
	Alive State = iota + 1
	Suspect
	Failed
	Left
)

func (s State) String() string {
	switch s {
	case Alive:
		return "alive"
	case Suspect:
		return "suspect"
	case Failed:
		return "failed"
	case Left:
		return "left"
	default:
		return "unknown"
	}
}

// Live reports whether a member in this state still counts: alive or under suspicion.
func (s State) Live() bool { return s == Alive || s == Suspect }

// Tag is one key and its value.
type Tag struct{ Key, Value string }

// Tags of a member, sorted by key, each key once; never written to once made.
type Tags []Tag

// Member is what a view says about one member. Values are copied freely; Tags are shared and immutable.
type Member struct {
	ID          ID
	Addr        netip.AddrPort
	Incarnation uint64
	State       State
	Tags        Tags
	Since       time.Time // when the view's owner came to hold State

	// UnreachableFrom lists, by id, who accused it within the last 60 periods or so and was refuted: it lives, and they
	// could not reach it. A verdict, a departure and a new address empty it; a restart at the same address looks like an
	// answer to a view, not to the log. Shared and immutable; at most 16.
	UnreachableFrom []ID
}
