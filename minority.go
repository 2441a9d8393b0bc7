package rollcall

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/swim"
)

// MinorityPolicy says what a member does when it finds itself on the smaller side of a partition. Whatever the policy, the
// partition is put on record, and a verdict needs its quorum. Members miss the other side one by one: until a member misses
// enough of them to know where it is, no policy applies, and it may have convicted the first of them by then.
type MinorityPolicy string

// The policies.
const (
	MinorityWarn     MinorityPolicy = "warn"      // say so and go on; the default
	MinorityReadOnly MinorityPolicy = "read-only" // accuse and convict nobody, change no tags, be not ready; until they are back
	MinorityLeave    MinorityPolicy = "leave"     // depart gracefully
)

// ErrMinority is returned by what a read-only member refuses.
var ErrMinority = errors.New("this member is on the minority side of a partition and read-only")

// ErrMinorityLeft is why a member ended that departed by its policy; see [Member.Err].
var ErrMinorityLeft = errors.New("this member was on the minority side of a partition and has left, as its policy says")

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
func (m *Member) ReadOnly() error {
	if m.opt.OnMinority == MinorityReadOnly && m.agent.Status().Partition.Side == swim.Minority {
		return ErrMinority
	}
	return nil
}

// watchPartition carries out the policy until the member is closed. It looks at what the protocol says once a period; what
// is put on record is the protocol's own report.
func (m *Member) watchPartition() {
	look := time.NewTicker(partitionLook)
	defer look.Stop()
	var before swim.Partition
	for {
		select {
		case <-look.C:
		case <-m.ending:
			return
		}
		p := m.agent.Status().Partition
		if p.State != before.State || p.Side != before.Side {
			m.onPartition(p, before.State)
		}
		before = p
	}
}

// partitionLook is how often the policy looks at the protocol's judgement, which changes once a protocol period at most.
const partitionLook = 200 * time.Millisecond

func (m *Member) onPartition(p swim.Partition, before swim.PartitionState) {
	switch {
	case before == swim.Partitioned && p.State == swim.PartitionHealthy:
		m.log.Warn("the partition is over, and nobody is back: the missing have left or are given up")
	case before == swim.Partitioned && p.State != before:
		m.log.Info("the partition is over", "reachable", p.Reachable, "total", p.Total)
	case p.State != swim.Partitioned:
	case p.Side == swim.Majority:
		m.log.Warn("partitioned: this member is on the majority side", "reachable", p.Reachable, "total", p.Total)
	default:
		m.log.Warn("partitioned: this member is on the minority side", "reachable", p.Reachable, "total", p.Total, "policy", m.opt.OnMinority)
		if m.opt.OnMinority == MinorityLeave {
			go m.leave(context.Background(), ErrMinorityLeft) // bounded by its own limits; it waits for this goroutine
		}
	}
}
