package rollcall_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall"
	"rollcall/swim"
)

// In a split a member misses those on the other side one by one. Both times are long enough that it has missed all of them,
// and so knows on which side it is, before it declares the partition or could convict the first.
const (
	grace         = 1500 * time.Millisecond
	suspicionTime = 2 * time.Second
)

// apart says that n1, n2, n3 are on one side and n4, n5 on the other.
func apart(one, other swim.ID) bool { return (one > "n3") != (other > "n3") }

// split is five members that all know each other; the log can be reached as long as nothing divides them.
type split struct {
	*house
	members map[swim.ID]*rollcall.Member
}

func newSplit(h *house, policy map[swim.ID]rollcall.MinorityPolicy) *split {
	h.t.Helper()
	s := &split{house: h, members: make(map[swim.ID]*rollcall.Member)}
	var seeds []netip.AddrPort
	for i, id := range []swim.ID{"n1", "n2", "n3", "n4", "n5"} {
		opt := s.options(string(id), seeds...)
		opt.OnMinority = policy[id]
		opt.Protocol = swim.Config{
			Seed:           uint64(i + 1),
			ProtocolPeriod: 100 * time.Millisecond, AckTimeout: 100 * time.Millisecond, IndirectTimeout: 200 * time.Millisecond,
			SuspicionMin: suspicionTime, SuspicionMax: suspicionTime,
			GossipInterval: 20 * time.Millisecond, RetryInterval: 200 * time.Millisecond, PartitionGrace: grace,
		}
		m := s.join(opt)
		s.members[id] = m
		if len(seeds) == 0 {
			seeds = append(seeds, m.Addr())
		}
	}
	s.whole()
	for _, m := range s.members {
		s.drained(m)
	}
	return s
}

// whole waits until everybody sees everybody alive, and nobody a partition.
func (s *split) whole() {
	s.t.Helper()
	for _, m := range s.members {
		for id := range s.members {
			sees(s.t, m, id, swim.Alive)
		}
		eventually(s.t, m.ID()+" sees no partition", func() error {
			if p := m.Status().Partition; p.Side != swim.NoSide {
				return fmt.Errorf("it sees %v", p)
			}
			return nil
		})
	}
}

// cut divides them, and closes the way to the log too: else the sides would hear of each other through that.
func (s *split) cut() {
	s.log.SetAvailable(false)
	s.ether.divide(apart)
}

func (s *split) heal() {
	s.ether.divide(nil)
	s.log.SetAvailable(true)
}

// partitioned waits until m finds itself on the given side for good.
func (s *split) partitioned(m *rollcall.Member, side swim.Side) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%s is in the %v", m.ID(), side), func() error {
		if p := m.Status().Partition; p.State != swim.Partitioned || p.Side != side {
			return fmt.Errorf("it is %v", p)
		}
		return nil
	})
}

// A read-only member in the minority changes no tags and convicts nobody, though each of those missing has a quorum of
// accusers: n4, n5 and, silent itself, another one that is missing. With the partition that ends. The same policy binds
// nobody in the majority.
func TestMinorityReadOnly(t *testing.T) {
	t.Parallel()
	inBubble(t, func(h *house) {
		t := h.t
		readOnly := make(map[swim.ID]rollcall.MinorityPolicy)
		for _, id := range []swim.ID{"n1", "n2", "n3", "n4", "n5"} {
			readOnly[id] = rollcall.MinorityReadOnly
		}
		s := newSplit(h, readOnly)
		for _, m := range s.members {
			if err := m.ReadOnly(); err != nil {
				t.Fatalf("%s before the cut: %v", m.ID(), err)
			}
		}
		s.cut()
		n1, n4 := s.members["n1"], s.members["n4"]
		s.partitioned(n4, swim.Minority)
		if err := n4.ReadOnly(); !errors.Is(err, rollcall.ErrMinority) {
			t.Errorf("n4 is read-only: %v, want ErrMinority", err)
		}
		if err := n4.SetTags(t.Context(), map[string]string{"k": "v"}); !errors.Is(err, rollcall.ErrMinority) {
			t.Errorf("n4 changes its tags: %v, want ErrMinority", err)
		}
		s.partitioned(n1, swim.Majority)
		if err := n1.ReadOnly(); err != nil {
			t.Errorf("n1 is read-only: %v, and in the majority", err)
		}
		sees(t, n1, "n4", swim.Failed)
		sees(t, n1, "n5", swim.Failed)
		eventually(t, "n4 could have convicted everybody missing", func() error {
			for _, missing := range []swim.ID{"n1", "n2", "n3"} {
				m, _ := n4.Registry().Get(missing)
				if held := time.Since(m.Since); m.State == swim.Suspect && held < suspicionTime+time.Second {
					return fmt.Errorf("%s is %v since %v", missing, m.State, held)
				}
			}
			return nil
		})
		for _, id := range []swim.ID{"n4", "n5"} {
			m := s.members[id]
			if got := m.Status().Counters.Verdicts; got != 0 {
				t.Errorf("%s gave %d verdicts", id, got)
			}
			for _, missing := range []swim.ID{"n1", "n2", "n3"} {
				if got, _ := m.Registry().Get(missing); got.State != swim.Suspect {
					t.Errorf("%s sees %s %v, want suspect", id, missing, got.State)
				}
			}
		}
		s.heal()
		s.whole()
		if err := n4.ReadOnly(); err != nil {
			t.Errorf("n4 is read-only after the partition: %v", err)
		}
		if err := n4.SetTags(t.Context(), map[string]string{"k": "v"}); err != nil {
			t.Errorf("n4 changes its tags after the partition: %v", err)
		}
	})
}

// In the minority n4 departs, as its policy says: it ends and says why, and the log hears of it as soon as it can be reached. n5 was told
// to warn only, and goes on: it changes its tags.
func TestMinorityLeavesOrGoesOn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(h *house) {
		t := h.t
		s := newSplit(h, map[swim.ID]rollcall.MinorityPolicy{"n4": rollcall.MinorityLeave, "n5": rollcall.MinorityWarn})
		s.cut()
		n4, n5 := s.members["n4"], s.members["n5"]
		sees(t, n5, "n4", swim.Left)
		s.partitioned(n5, swim.Minority)
		if err := n5.ReadOnly(); err != nil {
			t.Errorf("n5 is read-only: %v, and was told to warn", err)
		}
		if err := n5.SetTags(t.Context(), map[string]string{"k": "v"}); err != nil {
			t.Errorf("n5 changes its tags: %v", err)
		}
		s.log.SetAvailable(true)
		select {
		case <-n4.Done():
		case <-time.After(patience):
			t.Fatal("n4 runs")
		}
		if err := n4.Err(); !errors.Is(err, rollcall.ErrMinorityLeft) {
			t.Errorf("n4 ended for %v, want ErrMinorityLeft", err)
		}
		select {
		case <-n5.Done():
			t.Error("n5 ended")
		default:
		}
		left := func(said string) bool { return strings.HasPrefix(said, "n4 left ") }
		if story := s.story(); !slices.ContainsFunc(story, left) {
			t.Errorf("the log says %q, not that n4 left", story)
		}
	})
}
