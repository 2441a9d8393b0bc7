package swimsim_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"rollcall/swim"
	"rollcall/swim/swimsim"
)

// Newcomers on both sides of a cut, twice as many as there were members, change nothing about which side is the majority, though
// the first come before anybody has noticed it: the members that were there are of one mind on each side, newcomers claim none, and
// nobody reports that it is over before it is.
func TestNewcomersMakeNoMajority(t *testing.T) {
	for _, c := range []struct{ members, side int }{{8, 3}, {8, 4}, {7, 3}, {24, 12}} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%d of %d/%d", c.side, c.members, seed), func(t *testing.T) {
				newcomersOnBothSides(t, c.members, c.side, seed)
			})
		}
	}
}

func newcomersOnBothSides(t *testing.T, members, side int, seed uint64) {
	healed := map[swim.ID]int{}
	w := cluster(swimsim.Config{Seed: 700 + seed, Watch: func(o swimsim.Observation) {
		if o.Own && o.Kind == swim.TransitionHealed {
			healed[o.By.ID]++
		}
	}}, members)
	old := w.Members()[:members]
	// The lowest id of an even split, n0, is on the larger side; so is every other newcomer.
	smaller := map[swim.ID]bool{}
	for _, m := range old[members-side:] {
		smaller[m.ID] = true
	}
	cut := w.Cut(func(from, to *swimsim.Member) bool { return smaller[from.ID] != smaller[to.ID] })
	rng := rand.New(rand.NewPCG(seed, 700))
	for i := range 2 * members {
		id := swimsim.Name(members + i)
		through := old[0]
		if smaller[id] = i%2 == 0; smaller[id] {
			through = old[members-1]
		}
		w.At(time.Duration(rng.Int64N(int64(30*time.Second))), func() { w.Start(id).Join(through) })
	}
	w.Run(time.Minute)
	for _, m := range old {
		want := swim.Partition{State: swim.Partitioned, Side: swim.Majority, Reachable: members - side, Total: members}
		if smaller[m.ID] {
			want.Side, want.Reachable = swim.Minority, side
		}
		if got := m.Node.Partition(); got != want {
			t.Errorf("%s is %v, want %v", m.ID, got, want)
		}
	}
	for _, m := range w.Members()[members:] {
		if p := m.Node.Partition(); p.Side != swim.NoSide {
			t.Errorf("the newcomer %s is %v", m.ID, p)
		}
	}
	if len(healed) > 0 {
		t.Errorf("while they are apart it is over for %v", healed)
	}
	w.Heal(cut)
	w.Run(time.Minute)
	for _, m := range w.Members() {
		if p := m.Node.Partition(); p.State != swim.PartitionHealthy || p.Total != 3*members {
			t.Errorf("%s is %v of %d a minute after the cut", m.ID, p, p.Total)
		}
	}
	for _, m := range old {
		if healed[m.ID] != 1 {
			t.Errorf("%s has reported %d ends", m.ID, healed[m.ID])
		}
	}
}
