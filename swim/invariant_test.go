package swim

import (
	"fmt"
	"testing"
)

// fataler is what testing and rapid have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

var _ fataler = (*testing.T)(nil)

// checkNode recomputes what a Node keeps in more than one place, and holds its bounds (I15).
func checkNode(t fataler, n *Node) {
	t.Helper()
	live, suspects, digest := 0, 0, uint64(0)
	for ref, m := range n.members {
		if m == nil {
			continue
		}
		if m.ref != int32(ref) || findID(&n.refs, n.members, m.hash, m.id) != m.ref || m.state < Alive || m.state > Left {
			t.Fatalf("%s: ref %d, index %d, state %v", m.id, m.ref, findID(&n.refs, n.members, m.hash, m.id), m.state)
		}
		if m.state.Live() != (m.live != noRef) || m.live != noRef && n.live[m.live] != m.ref {
			t.Fatalf("%s is %v, and at place %d of the live", m.id, m.state, m.live)
		}
		if m.state.Live() {
			live++
			if m.ref != selfRef || n.damp.timer == 0 { // whoever holds its return back is live to nobody else
				digest ^= digestOf(m.hash, m.incarnation)
			}
		}
		if m.state == Suspect {
			suspects++
		}
		if (m.state == Suspect) && m.suspicion == nil || m.state == Alive && m.suspicion != nil {
			t.Fatalf("%s is %v with suspicion %+v", m.id, m.state, m.suspicion)
		}
		if m.suspicion != nil && len(m.suspicion.accusers) > accusersMax {
			t.Fatalf("%s has %d accusers", m.id, len(m.suspicion.accusers))
		}
	}
	if live != len(n.live) || suspects != n.suspects || digest != n.digest || len(n.members)-len(n.free) != n.refs.live {
		t.Fatalf("%d live (kept %d), %d suspects (%d), digest %x (%x), %d rows, %d free, %d ids",
			live, len(n.live), suspects, n.suspects, digest, n.digest, len(n.members), len(n.free), n.refs.live)
	}
	if why := overBound(n); why != "" {
		t.Fatalf("%s", why)
	}
}

func overBound(n *Node) string {
	running := 0
	for i := range n.probes {
		if n.probes[i].phase != phaseIdle {
			running++
		}
	}
	for _, b := range []struct {
		name    string
		v, most int
	}{
		{"members", len(n.members), viewMax},
		{"queue", n.queue.length, n.refs.live},
		{"watchers", len(n.watchers), ringsMax},
		{"running probes", running, n.refs.live},
		{"probe slots", len(n.probes), len(n.members)},
		{"relayed", len(n.relayed), relayedMax},
		{"targets", len(n.observed), max(len(n.live), 1)},
		{"health", n.health, healthMax},
	} {
		if b.v > b.most {
			return fmt.Sprintf("%s: %d, more than %d", b.name, b.v, b.most)
		}
	}
	return ""
}
