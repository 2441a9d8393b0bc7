package verify

import (
	"fmt"
	"strings"

	"rollcall/events"
)

// Severity says whether a finding speaks against the log.
type Severity string

// The severities.
const (
	Violation Severity = "violation" // cannot come from correct members and a correct server
	Note      Severity = "note"      // unusual, and explained by a race or a clock
)

// Finding is one thing that does not follow. The zero value of a field means that it is not known.
type Finding struct {
	Severity Severity    `json:"severity"`
	Rule     string      `json:"rule"` // the invariant, "I1" to "I15"
	Position uint64      `json:"position"`
	Node     string      `json:"node,omitempty"`
	Group    string      `json:"group,omitempty"`
	Author   string      `json:"author,omitempty"`
	Kind     events.Kind `json:"kind,omitempty"`
	Text     string      `json:"text"`
}

// String is the finding on one line, for people.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s at position %d", f.Severity, f.Rule, f.Position)
	if f.Kind != "" {
		fmt.Fprintf(&b, ", %s of %s by %s", f.Kind, f.Node+f.Group, f.Author)
	}
	b.WriteString(": ")
	b.WriteString(f.Text)
	return b.String()
}

// Summary says what was read and found.
type Summary struct {
	Cluster    string `json:"cluster"`
	Position   uint64 `json:"position"` // of the last event read
	Events     uint64 `json:"events"`   // about nodes, and readable
	Groups     uint64 `json:"groups"`   // events of assignment groups, and readable
	Nodes      int    `json:"nodes"`    // that ever joined
	Live       int    `json:"live"`     // alive or suspect at the end
	Applied    uint64 `json:"applied"`
	Evident    uint64 `json:"evidence"`
	Late       uint64 `json:"late"`
	Refused    uint64 `json:"refused"`
	Violations uint64 `json:"violations"`
	Notes      uint64 `json:"notes"`
}
