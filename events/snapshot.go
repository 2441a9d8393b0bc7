package events

import (
	"encoding/json"
	"fmt"
	"time"
)

// rollVersion is the version of the snapshot format. It rises when a reader of the one before would misread the next.
const rollVersion = 2

type rollSnapshot struct {
	Version  int            `json:"version"`
	Cluster  string         `json:"cluster"`
	Position uint64         `json:"position"`
	Nodes    []nodeSnapshot `json:"nodes"`
}

type nodeSnapshot struct {
	ID            string            `json:"id"`
	State         State             `json:"state"`
	Incarnation   uint64            `json:"incarnation,omitempty"`
	Address       string            `json:"address,omitempty"`
	Tags          map[string]string `json:"tags,omitempty"`
	Since         *time.Time        `json:"since,omitempty"`
	SincePosition uint64            `json:"since_position,omitempty"`
	LastPosition  uint64            `json:"last_position"`
	Accusers      []string          `json:"accusers,omitempty"`
}

// Snapshot returns r as JSON: the same bytes for the same events applied, on every machine (invariant I9).
func (r *Roll) Snapshot() []byte {
	snap := rollSnapshot{Version: rollVersion, Cluster: r.cluster, Position: r.position, Nodes: make([]nodeSnapshot, 0, len(r.nodes))}
	for n := range r.Nodes() {
		s := nodeSnapshot{
			ID: n.ID, State: n.State, Incarnation: n.Incarnation, Address: n.Address, Tags: n.Tags,
			SincePosition: n.SincePosition, LastPosition: n.LastPosition, Accusers: n.Accusers,
		}
		if !n.Since.IsZero() {
			s.Since = &n.Since
		}
		snap.Nodes = append(snap.Nodes, s)
	}
	raw, err := json.Marshal(snap)
	if err != nil {
		panic(fmt.Sprintf("events: roll does not marshal: %v", err)) // only a state outside the enumeration could
	}
	return raw
}

// LoadRoll returns the roll of cluster that [Roll.Snapshot] wrote down. It refuses another version, another cluster and a
// roll that contradicts itself; the caller then folds the log from its beginning.
func LoadRoll(cluster string, raw []byte) (*Roll, error) {
	var snap rollSnapshot
	if err := json.Unmarshal(raw, &snap); err != nil {
		return nil, fmt.Errorf("snapshot of a roll: %w", err)
	}
	switch {
	case snap.Version != rollVersion:
		return nil, fmt.Errorf("snapshot of a roll: version %d, this reader knows %d", snap.Version, rollVersion)
	case snap.Cluster != cluster:
		return nil, fmt.Errorf("snapshot of a roll: of cluster %.80q, want %q", snap.Cluster, cluster)
	}
	nodes := make([]Node, 0, len(snap.Nodes))
	for _, s := range snap.Nodes {
		n := Node{
			ID: s.ID, State: s.State, Incarnation: s.Incarnation, Address: s.Address, Tags: s.Tags,
			SincePosition: s.SincePosition, LastPosition: s.LastPosition, Accusers: s.Accusers,
		}
		if s.Since != nil {
			n.Since = s.Since.UTC()
		}
		nodes = append(nodes, n)
	}
	return RestoreRoll(cluster, snap.Position, nodes)
}
