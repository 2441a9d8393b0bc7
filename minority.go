package rollcall

import (
	"context"
	"errors"
	"fmt"

	"rollcall/swim"
)

// MinorityPolicy says what a member does when it finds itself on the smaller side of a partition. Whatever the policy, the
// partition is put on record, and a verdict needs its quorum.
type MinorityPolicy string

// The policies.
const (
	MinorityWarn     MinorityPolicy = "warn"      // say so and go on; the default
	MinorityReadOnly MinorityPolicy = "read-only" // accuse and convict nobody, change no tags, be not ready
	MinorityLeave    MinorityPolicy = "leave"     // depart gracefully
)

// ErrMinority is returned by what a read-only member refuses.
var ErrMinority = errors.New("this member is on the minority side of a partition and read-only")

// ParseMinorityPolicy reads a policy; empty is MinorityWarn.
func ParseMinorityPolicy(s string) (MinorityPolicy, error) {
	switch p := MinorityPolicy(s); p {
	case "":
		return MinorityWarn, nil
	case MinorityWarn, MinorityReadOnly, MinorityLeave:
		return p, nil
	default:
		return "", fmt.Errorf("%q is none of warn, read-only and leave", s)
	}
}

// ReadOnly returns ErrMinority while this member refuses to act, and nil otherwise.
func (m *member) ReadOnly() error {
	if m.opt.OnMinority == MinorityReadOnly && m.agent.Status().Partition.Side == swim.Minority {
		return ErrMinority
	}
	return nil
}

// watchPartition carries out the policy until the member is closed.
func (m *member) watchPartition() {
	sub := m.agent.Subscribe(subscriptionBound)
	defer sub.Close()
	for {
		select {
		case notice, ok := <-sub.C:
			if !ok {
				return
			}
			m.onPartition(notice.Transition)
		case <-m.ending:
			return
		}
	}
}

// subscriptionBound is how many transitions may wait for the policy: a partition of a large cluster brings many at once, and
// the one that matters comes last.
const subscriptionBound = 4096

func (m *member) onPartition(t swim.Transition) {
	e := t.Evidence
	switch {
	case t.Kind == swim.TransitionHealed:
		m.log.Info("the partition is over", "reachable", e.Reachable, "total", e.Total)
	case t.Kind != swim.TransitionPartitioned:
	case e.Side != swim.Minority:
		m.log.Warn("partitioned: this member is on the majority side", "reachable", e.Reachable, "total", e.Total, "missing", e.Unreachable)
	default:
		m.log.Warn("partitioned: this member is on the minority side",
			"reachable", e.Reachable, "total", e.Total, "missing", e.Unreachable, "policy", m.opt.OnMinority)
		if m.opt.OnMinority == MinorityLeave {
			go m.Leave(context.Background()) // bounded by its own limits; it waits for this goroutine
		}
	}
}
