package projections

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A table is a sorted map, and a copy of it is the map as it was, whichever of the two is written to afterwards.
func TestTableIsAMapAndItsCopiesStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type state struct {
			table  *table[int]
			model  map[string]int
			number map[string]int // by who writes with refBy
		}
		states := []state{{&table[int]{}, map[string]int{}, map[string]int{}}}
		for i := range rapid.IntRange(0, 1000).Draw(t, "steps") {
			s := states[rapid.IntRange(0, len(states)-1).Draw(t, "which")]
			if rapid.IntRange(0, 99).Draw(t, "copy") == 0 && len(states) < 5 {
				copied := s.table.clone()
				states = append(states, state{&copied, maps.Clone(s.model), map[string]int{}})
			}
			id := fmt.Sprint("n", rapid.IntRange(0, 400).Draw(t, "id"))
			s.model[id] = i
			if rapid.Bool().Draw(t, "by id") {
				*s.table.ref(id) = i
				continue
			}
			number, known := s.number[id]
			if !known {
				number = len(s.number)
				s.number[id] = number
			}
			value, row := s.table.refBy(number, id)
			if *value = i; s.table.at(row).id != id {
				t.Fatalf("%s is in the row of %s", id, s.table.at(row).id)
			}
		}
		for _, s := range states {
			var ids []string
			for id, value := range s.table.all() {
				if got, ok := s.table.get(id); !ok || got != value || value != s.model[id] {
					t.Fatalf("%s: %d, read by itself %d, %v; want %d", id, value, got, ok, s.model[id])
				}
				ids = append(ids, id)
			}
			if want := slices.Sorted(maps.Keys(s.model)); !slices.Equal(ids, want) || s.table.rows != len(want) {
				t.Fatalf("%d rows: %v, want %v", s.table.rows, ids, want)
			}
			if _, ok := s.table.get("m"); ok {
				t.Fatal("before the first there is something")
			}
		}
	})
}

func TestTablePushedInOrder(t *testing.T) {
	var pushed table[int]
	for i := range 3 * chunkMax {
		if !pushed.push(fmt.Sprintf("n%04d", i), i) {
			t.Fatalf("%d refused", i)
		}
	}
	if pushed.push("n0007", 7) || pushed.rows != 3*chunkMax {
		t.Errorf("out of order: taken, %d rows", pushed.rows)
	}
	*pushed.ref("n0007a") = -1
	if v, ok := pushed.get("n0007a"); !ok || v != -1 || len(pushed.chunks) != 4 {
		t.Errorf("put in between: %d, %v, %d chunks", v, ok, len(pushed.chunks))
	}
	var ids []string
	for id := range pushed.all() {
		ids = append(ids, id)
	}
	if len(ids) != 3*chunkMax+1 || !slices.IsSorted(ids) {
		t.Errorf("%d ids, sorted: %v", len(ids), slices.IsSorted(ids))
	}
}
