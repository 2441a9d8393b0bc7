package events

import (
	"encoding/json"
	"time"
)

// Kind says what an event claims about its node or its group. The set is closed: a reader that meets another kind, or a
// newer version of a known one, stops instead of skipping it (see [ErrUnknownKind]).
type Kind string

// The vocabulary of nodes. "Owner" kinds may be authored by the node itself only, "observer" kinds by any other member
// only.
const (
	Joined            Kind = "joined"              // owner: a new life of the node, with its address and tags
	Refuted           Kind = "refuted"             // owner: incarnation raised to answer an accusation or a verdict
	Tagged            Kind = "tagged"              // owner: tags replaced, incarnation raised
	Left              Kind = "left"                // owner: graceful departure
	Suspected         Kind = "suspected"           // observer: first accusation of an incarnation
	Accused           Kind = "accused"             // observer: further or late accusation; evidence, no change of state
	Failed            Kind = "failed"              // observer: verdict, with its quorum of accusers
	HealthCheckFailed Kind = "health_check_failed" // observer: phi over the threshold; evidence, no change of state
	Partitioned       Kind = "partitioned"         // owner: this member counts itself cut off; evidence
	Healed            Kind = "healed"              // owner: the partition it reported is over, its reason says if nobody is back; evidence
	IDConflict        Kind = "id_conflict"         // owner: a second process claimed the same id; evidence
)

// The vocabulary of groups: sets of shards that a director assigns to workers.
const (
	Planned  Kind = "planned"  // the director's plan of the whole group, see [Plan]
	Resigned Kind = "resigned" // the director gives the group up; the plan stands until another directs
)

// Kinds lists the vocabulary of nodes in the order above.
func Kinds() []Kind {
	return []Kind{
		Joined, Refuted, Tagged, Left, Suspected, Accused, Failed, HealthCheckFailed, Partitioned, Healed, IDConflict,
	}
}

// GroupKinds lists the vocabulary of groups.
func GroupKinds() []Kind { return []Kind{Planned, Resigned} }

// Valid reports whether k belongs to the vocabulary of nodes or of groups.
func (k Kind) Valid() bool {
	switch k {
	case Suspected, Accused, Failed, HealthCheckFailed:
		return true
	default:
		return k.ByOwner() || k.OfGroup()
	}
}

// OfGroup reports whether k belongs to the vocabulary of groups.
func (k Kind) OfGroup() bool { return k == Planned || k == Resigned }

// ByOwner reports whether only the node itself may author k; every other kind may be authored by other members only.
func (k Kind) ByOwner() bool {
	switch k {
	case Joined, Refuted, Tagged, Left, Partitioned, Healed, IDConflict:
		return true
	default:
		return false
	}
}

// Event is one statement by one author about one node or one group; exactly one of Node and Group is set. It is immutable
// once made.
type Event struct {
	ID          string            // UUIDv7, unique in the log for ever
	Kind        Kind              // what is claimed
	Cluster     string            // id syntax, see [ValidID]
	Node        string            // the node the claim is about; empty for an event of a group
	Group       string            // the assignment group it is about; empty for an event of a node
	Author      string            // the member that makes the claim
	Time        time.Time         // when the author observed it, by the author's clock, UTC
	Incarnation uint64            // the incarnation of Node the claim is about; 1 is the first; 0 of a group
	Address     string            // host:port of Node's probe socket; owner kinds only
	Tags        map[string]string // Node's tags; owner kinds only; shared, never written to
	Plan        *Plan             // planned only; shared, never written to
	Evidence    json.RawMessage   // an [Evidence] object, kept raw until somebody asks; nil when there is none
	TraceParent string            // W3C trace context, empty when there is none
}

// Recorded is an event as the log holds it.
type Recorded struct {
	Event
	Position uint64    // stream sequence, from 1
	Stored   time.Time // when the log accepted it, by the server's clock, UTC
	// Mismatch is not empty when subject and body disagree about who says what about whom. Node, Group, Author, Kind and
	// Cluster are then the subject's, which the server enforced, and the fold refuses the event for this reason.
	Mismatch string
}

// Mark returns rec's place in its log.
func (rec Recorded) Mark() Mark { return Mark{Position: rec.Position, Stored: rec.Stored} }

// IDMax is the longest id, in bytes.
const IDMax = 64

// ValidID reports whether s can name a cluster, a node, an author or a group: 1 to [IDMax] bytes of A-Z a-z 0-9 _ -,
// which is also a NATS subject token.
func ValidID(s string) bool {
	if s == "" || len(s) > IDMax {
		return false
	}
	for i := range len(s) {
		if !idByte[s[i]] {
			return false
		}
	}
	return true
}

// idByte holds the bytes of an id. Ids are looked at for every event that is read.
var idByte = func() (table [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") {
		table[c] = true
	}
	return table
}()
