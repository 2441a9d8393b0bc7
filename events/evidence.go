package events

import (
	"encoding/json"
	"fmt"
	"time"
)

// Evidence is what an author offers for its claim. Every field may be absent; durations are in milliseconds.
type Evidence struct {
	Reason      string     `json:"reason,omitempty"`       // in a few words: "probe timeout", "peer closed", "start", …
	Probes      int        `json:"probes,omitempty"`       // direct pings that went unanswered
	TimeoutMS   float64    `json:"timeout_ms,omitempty"`   // how long each was waited for
	RTTMS       float64    `json:"rtt_ms,omitempty"`       // mean round trip to the node before
	Relays      []Relay    `json:"relays,omitempty"`       // what the indirect probes said
	LastHeard   *time.Time `json:"last_heard,omitempty"`   // when the author last heard the node itself
	LocalHealth int        `json:"local_health,omitempty"` // the author's own health score, 0 (well) to 8
	Phi         float64    `json:"phi,omitempty"`          // suspicion level of the phi accrual detector
	Side        string     `json:"side,omitempty"`         // partitioned, healed: "minority" or "majority"
	Reachable   int        `json:"reachable,omitempty"`    // partitioned, healed: members the author reaches, itself included
	Total       int        `json:"total,omitempty"`        // partitioned, healed: members there should be
	Unreachable []string   `json:"unreachable,omitempty"`  // partitioned: some of those missing
	Accusers    []Accuser  `json:"accusers,omitempty"`     // failed: whose accusations the verdict stands on; refuted: whose are answered
	Since       *time.Time `json:"since,omitempty"`        // failed: start of the suspicion
	Previous    uint64     `json:"previous,omitempty"`     // joined, refuted: the incarnation before
	Claim       Kind       `json:"claim,omitempty"`        // accused: the kind it was before the log knew better
	Late        string     `json:"late,omitempty"`         // accused: why it came too late to change anything
}

// Relay is one indirect probe: who was asked and what it answered.
type Relay struct {
	ID     string `json:"id"`
	Answer string `json:"answer"` // "ack", "nack" or "silent"
}

// Accuser is one member whose accusation a verdict stands on.
type Accuser struct {
	ID       string     `json:"id"`
	Time     *time.Time `json:"time,omitempty"`     // when it accused, by its own clock, where known
	Implicit bool       `json:"implicit,omitempty"` // it is under suspicion itself and cannot speak
}

// Raw encodes e for [Event.Evidence]; nil when e is empty.
func (e Evidence) Raw() json.RawMessage {
	raw, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("events: evidence does not marshal: %v", err)) // only a NaN phi could, and nothing makes one
	}
	if string(raw) == "{}" {
		return nil
	}
	return raw
}

// ParseEvidence reads what [Evidence.Raw] or a foreign writer made; nil gives the zero value. Unknown fields are ignored.
func ParseEvidence(raw json.RawMessage) (Evidence, error) {
	var e Evidence
	if len(raw) == 0 {
		return e, nil
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return Evidence{}, fmt.Errorf("evidence: %w", err)
	}
	return e, nil
}
