package agent

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"rollcall/swim"
)

// TestRegistryModel: insert, get, remove, all, alive, len, empty (requirements 1.1), against a map.
func TestRegistryModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, model := newRegistry(), make(map[swim.ID]swim.Member)
		id := rapid.SampledFrom([]swim.ID{"a", "b", "c", "d", "e"})
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				m := swim.Member{ID: id.Draw(t, "id"), State: swim.State(rapid.IntRange(1, 4).Draw(t, "state")), Incarnation: 1}
				r.put(m)
				model[m.ID] = m
			},
			"remove": func(t *rapid.T) {
				gone := id.Draw(t, "id")
				r.remove(gone)
				delete(model, gone)
			},
			"clear": func(*rapid.T) {
				r.clear()
				clear(model)
			},
			"": func(t *rapid.T) { checkRegistry(t, r, model) },
		})
	})
}

func checkRegistry(t *rapid.T, r *Registry, model map[swim.ID]swim.Member) {
	alive := 0
	for _, id := range []swim.ID{"a", "b", "c", "d", "e"} {
		got, ok := r.Get(id)
		want, there := model[id]
		if ok != there || got.State != want.State || got.ID != want.ID {
			t.Fatalf("%s: got %+v, want %+v", id, got, want)
		}
		if want.State == swim.Alive {
			alive++
		}
	}
	all := r.All()
	byID := func(a, b swim.Member) int { return strings.Compare(string(a.ID), string(b.ID)) }
	if len(all) != len(model) || r.Len() != len(model) || r.Empty() != (len(model) == 0) || !slices.IsSortedFunc(all, byID) {
		t.Fatalf("%d of %d: %v", r.Len(), len(model), all)
	}
	for _, m := range r.Alive() {
		if m.State != swim.Alive {
			t.Fatalf("%+v among the alive", m)
		}
	}
	if r.Count() != alive || len(r.Alive()) != alive {
		t.Fatalf("%d and %d alive, want %d", r.Count(), len(r.Alive()), alive)
	}
}

// TestRegistryReaders: one writer, many readers; what All returned stays as it was (for the race detector).
func TestRegistryReaders(t *testing.T) {
	r := newRegistry()
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				all := r.All()
				kept := slices.Clone(all)
				if len(r.Alive()) > 50 || r.Len() > 50 {
					t.Error("more members than there are")
				}
				_, _ = r.Get("m7")
				for i := range all {
					if all[i].ID != kept[i].ID || all[i].State != kept[i].State {
						t.Error("a snapshot changed")
					}
				}
			}
		})
	}
	for i := range 5000 {
		id := swim.ID(fmt.Sprint("m", i%50))
		if i%7 == 0 {
			r.remove(id)
		} else {
			r.put(swim.Member{ID: id, State: swim.State(1 + i%4)})
		}
	}
	close(done)
	readers.Wait()
}

// TestSample: nodes by chance, each once, of those that are alive and asked for; and chance leaves none out.
func TestSample(t *testing.T) {
	r := newRegistry()
	for i, state := range []swim.State{swim.Alive, swim.Alive, swim.Alive, swim.Alive, swim.Suspect, swim.Failed, swim.Left} {
		r.put(swim.Member{ID: swim.ID(fmt.Sprint("n", i+1)), State: state, Incarnation: 1})
	}
	others := func(m swim.Member) bool { return m.ID != "n1" }
	for _, c := range []struct {
		n, want int
		among   func(swim.Member) bool
	}{{2, 2, others}, {3, 3, others}, {9, 3, others}, {9, 4, nil}, {0, 0, nil}, {-1, 0, nil}, {1, 0, func(swim.Member) bool { return false }}} {
		got := r.Sample(c.n, c.among)
		ids := make(map[swim.ID]bool)
		for _, m := range got {
			ids[m.ID] = true
			if m.State != swim.Alive || c.among != nil && !c.among(m) {
				t.Errorf("Sample(%d) has %s, which is %v", c.n, m.ID, m.State)
			}
		}
		if len(got) != c.want || len(ids) != c.want {
			t.Errorf("Sample(%d) has %d nodes, %d different ones, want %d", c.n, len(got), len(ids), c.want)
		}
	}
	first := make(map[swim.ID]int)
	for range 3000 { // 1,000 each; fewer than 800 is more than seven standard deviations off
		first[r.Sample(1, others)[0].ID]++
	}
	for _, id := range []swim.ID{"n2", "n3", "n4"} {
		if first[id] < 800 {
			t.Errorf("of 3,000 draws %v", first)
		}
	}
	if len(r.All()) != 7 || r.All()[0].ID != "n1" {
		t.Errorf("the view is now %v", r.All())
	}
}
