package projections_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rollcall/events"
	"rollcall/projections"
)

// named are nodes with these ids, by rising id.
func named(ids ...string) (nodes []*projections.Node) {
	for _, id := range slices.Sorted(slices.Values(ids)) {
		nodes = append(nodes, &projections.Node{Node: events.Node{ID: id, State: events.StateAlive}})
	}
	return nodes
}

func idOf(n *projections.Node) string {
	if n == nil {
		return ""
	}
	return n.ID
}

var nodeSets = rapid.SliceOfNDistinct(rapid.StringMatching(`n[0-9]{1,3}`), 1, 12, rapid.ID[string])

// Everybody who sees the same nodes picks the same one; a node that goes takes no other key with it, and one that comes
// takes keys only for itself.
func TestRendezvousMovesNoMoreKeysThanItMust(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := nodeSets.Draw(t, "nodes")
		key := rapid.String().Draw(t, "key")
		all := named(ids...)
		picked := projections.PickRendezvous(all, key)

		shuffled := rapid.Permutation(all).Draw(t, "order")
		if got := projections.PickRendezvous(shuffled, key); got != picked {
			t.Fatalf("%q goes to %s, and in another order to %s", key, picked.ID, got.ID)
		}
		gone := rapid.SampledFrom(ids).Draw(t, "gone")
		rest := slices.DeleteFunc(slices.Clone(all), func(n *projections.Node) bool { return n.ID == gone })
		after := projections.PickRendezvous(rest, key)
		if gone != picked.ID && after != picked {
			t.Fatalf("%q moved from %s to %s when %s went", key, picked.ID, idOf(after), gone)
		}
		if gone == picked.ID && len(rest) > 0 && projections.PickRendezvous(append(rest, picked), key) != picked {
			t.Fatalf("%q did not come back to %s", key, gone)
		}
	})
}

// Each of n nodes gets about 1/n of the keys. The keys are fixed, and so are the bounds: four standard deviations.
func TestRendezvousSpreads(t *testing.T) {
	const nodes, keys = 8, 4000
	var ids []string
	for i := range nodes {
		ids = append(ids, fmt.Sprintf("n%d", i))
	}
	count := make(map[string]int)
	for i := range keys {
		count[projections.PickRendezvous(named(ids...), fmt.Sprintf("order-%d", i)).ID]++
	}
	mean, p := float64(keys)/nodes, 1.0/nodes
	for _, id := range ids {
		if off := math.Abs(float64(count[id]) - mean); off > 4*math.Sqrt(keys*p*(1-p)) {
			t.Errorf("%s has %d of %d keys, want about %.0f", id, count[id], keys, mean)
		}
	}
}

// Clients in other languages compute the same: these picks never change.
func TestRendezvousIsTheSameForEver(t *testing.T) {
	nodes := named("n1", "n2", "n3", "n4", "n5")
	got := ""
	for _, key := range []string{"", "a", "b", "order-1", "order-2", "ключ"} {
		got += projections.PickRendezvous(nodes, key).ID + " "
	}
	if want := "n4 n3 n4 n1 n2 n5 "; got != want {
		t.Errorf("picked %s, want %s", got, want)
	}
}

// Whoever comes and goes between two picks, nobody who stays is passed over or picked twice in a round.
func TestPickNextTakesTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stay := nodeSets.Draw(t, "stay")
		slices.Sort(stay)
		last, turn := "", 0
		for range rapid.IntRange(1, 40).Draw(t, "picks") {
			guests := rapid.SliceOfNDistinct(rapid.StringMatching(`[mx][0-9]`), 0, 3, rapid.ID[string]).Draw(t, "guests")
			last = projections.PickNext(named(append(guests, stay...)...), last).ID
			if slices.Contains(guests, last) {
				continue
			}
			if want := stay[turn%len(stay)]; last != want {
				t.Fatalf("it is %s's turn, and %s is picked", want, last)
			}
			turn++
		}
	})
}

func TestLeastLoadedTakesTheLowestNumber(t *testing.T) {
	nodes := named("n1", "n2", "n3", "n4")
	for i, load := range []string{"0.9", "", "0.25", "0.25"} {
		nodes[i].Tags = map[string]string{"load": load}
	}
	random := rand.New(rand.NewPCG(1, 2))
	seen := make(map[string]int)
	for range 100 {
		seen[projections.PickLeastLoaded(nodes, "load", random.IntN).ID]++
	}
	if seen["n1"]+seen["n2"] > 0 || seen["n3"] < 20 || seen["n4"] < 20 {
		t.Errorf("picked %v, want n3 and n4 about equally", seen)
	}
	if got := projections.PickLeastLoaded(nodes[1:2], "load", random.IntN); got != nodes[1] {
		t.Errorf("of nodes that say no number: %s", idOf(got))
	}
}

func TestPicksOfNobody(t *testing.T) {
	none := func(int) int { panic("asked for a number below 0") }
	for name, got := range map[projections.Strategy]*projections.Node{
		projections.RoundRobin: projections.PickNext(nil, ""), projections.Random: projections.PickRandom(nil, none),
		projections.LeastLoaded: projections.PickLeastLoaded(nil, "load", none), projections.Rendezvous: projections.PickRendezvous(nil, "a"),
	} {
		if got != nil {
			t.Errorf("%s: %s", name, got.ID)
		}
	}
}
