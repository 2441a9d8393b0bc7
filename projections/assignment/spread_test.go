package assignment_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rollcall/projections/assignment"
)

// situations draws shards, workers, and who has what; some of those who have something are gone.
func situations(t *rapid.T, shardsMax, workersMax int) assignment.Situation {
	s := assignment.Situation{Held: make(map[string]string), Balance: rapid.Bool().Draw(t, "balance")}
	holders := []string{"", "gone"}
	for i := range rapid.IntRange(0, workersMax).Draw(t, "workers") {
		id := fmt.Sprintf("n%d", i)
		holders = append(holders, id)
		if rapid.IntRange(0, 4).Draw(t, "suspect") == 0 {
			s.Suspect = append(s.Suspect, id)
		} else {
			s.Alive = append(s.Alive, id)
		}
	}
	for i := range rapid.IntRange(0, shardsMax).Draw(t, "shards") {
		shard := fmt.Sprintf("s%02d", i)
		s.Shards = append(s.Shards, shard)
		s.Held[shard] = rapid.SampledFrom(holders).Draw(t, "holder")
	}
	return s
}

// holders is a layout by shard.
func holders(t *rapid.T, s assignment.Situation, l assignment.Layout) map[string]string {
	by := make(map[string]string)
	for worker, list := range l.Workers {
		if len(list) == 0 || !slices.IsSorted(list) || len(list) > l.Bound {
			t.Fatalf("%s has %v under a bound of %d", worker, list, l.Bound)
		}
		for _, shard := range list {
			by[shard] = worker
		}
	}
	for _, shard := range l.Waiting {
		by[shard] = ""
	}
	if !slices.Equal(slices.Sorted(maps.Keys(by)), s.Shards) {
		t.Fatalf("shards %v are laid out as %+v", s.Shards, l)
	}
	return by
}

// The bound: an alive worker has at most ⌈shards / alive workers⌉, and without balance is given no more than that.
func TestSpreadKeepsTheBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := situations(t, 40, 8)
		l := assignment.Spread(s)
		by := holders(t, s, l)
		fair := s.FairShare()
		given := make(map[string]int)
		for shard, worker := range by {
			if worker != s.Held[shard] {
				given[worker]++
			}
			switch {
			case worker == "" && len(s.Alive) > 0:
				t.Fatalf("%s waits, and %v are alive", shard, s.Alive)
			case worker != "" && !slices.Contains(s.Alive, worker) && s.Held[shard] != worker:
				t.Fatalf("%s is given to %s, which is not alive", shard, worker)
			}
		}
		for _, worker := range s.Alive {
			if n := len(l.Workers[worker]); n > fair && (s.Balance || given[worker] > 0) {
				t.Fatalf("%s has %d, of which %d are new; the fair share is %d", worker, n, given[worker], fair)
			}
		}
		for shard, worker := range s.Held {
			if slices.Contains(s.Suspect, worker) && by[shard] != worker {
				t.Fatalf("suspect %s lost %s", worker, shard)
			}
		}
	})
}

// Minimal movement: what moves is what nobody has, and what is above the fair share; nothing can do with less.
func TestSpreadMovesNoMoreThanItMust(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := situations(t, 40, 8)
		by := holders(t, s, assignment.Spread(s))
		load := make(map[string]int)
		must := 0
		for _, shard := range s.Shards {
			worker := s.Held[shard]
			load[worker]++
			if len(s.Alive) > 0 && !slices.Contains(s.Alive, worker) && !slices.Contains(s.Suspect, worker) {
				must++
			}
		}
		for _, worker := range s.Alive {
			if s.Balance {
				must += max(0, load[worker]-s.FairShare())
			}
		}
		moved := 0
		for shard, worker := range by {
			if worker != s.Held[shard] && worker != "" {
				moved++
			}
		}
		if moved != must {
			t.Fatalf("%d moved, %d must: %+v became %v", moved, must, s, by)
		}
	})
}

// The same, against every layout there is, where there are few.
func TestSpreadIsOptimalAmongAllLayouts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := situations(t, 6, 4)
		s.Balance = true
		if len(s.Alive) == 0 {
			return
		}
		by := holders(t, s, assignment.Spread(s))
		moves := func(at map[string]string) (n int) {
			for shard, worker := range at {
				if s.Held[shard] != worker {
					n++
				}
			}
			return n
		}
		best := len(s.Shards) + 1
		load, at := make(map[string]int), make(map[string]string)
		var try func(rest []string)
		try = func(rest []string) {
			if len(rest) == 0 {
				best = min(best, moves(at))
				return
			}
			shard, workers := rest[0], s.Alive
			if held := s.Held[shard]; slices.Contains(s.Suspect, held) {
				workers = []string{held}
			}
			for _, worker := range workers {
				if slices.Contains(s.Alive, worker) && load[worker] == s.FairShare() {
					continue
				}
				load[worker]++
				at[shard] = worker
				try(rest[1:])
				load[worker]--
			}
		}
		try(s.Shards)
		if got := moves(by); got != best {
			t.Fatalf("%d moves, %d are possible: %+v became %v", got, best, s, by)
		}
	})
}

func TestSpreadIsAFunction(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := situations(t, 20, 6)
		want := assignment.Spread(s)
		s.Shards = rapid.Permutation(s.Shards).Draw(t, "shards")
		s.Alive = rapid.Permutation(s.Alive).Draw(t, "alive")
		if got := assignment.Spread(s); !reflect.DeepEqual(got, want) {
			t.Fatalf("in another order %+v, before %+v", got, want)
		}
	})
}

// A layout that is applied is left alone.
func TestSpreadRestsOnItsOwnLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := situations(t, 20, 6)
		first := assignment.Spread(s)
		s.Held = holders(t, s, first)
		if again := assignment.Spread(s); !reflect.DeepEqual(again.Workers, first.Workers) {
			t.Fatalf("%v became %v", first, again)
		}
	})
}
