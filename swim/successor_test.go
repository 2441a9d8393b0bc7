package swim

import "testing"

// TestSuccessor: with equal views every member is the successor of one other; alone, and without rings, there is none.
func TestSuccessor(t *testing.T) {
	for _, n := range []int{2, 5, 40} {
		var ids []ID
		for i := range n {
			ids = append(ids, nameOf(i))
		}
		before := make(map[ID]ID)
		for id, view := range newViews(t, ids, Config{}) {
			to := view.Successor()
			if to.ID == id || before[to.ID] != "" || !to.Addr.IsValid() {
				t.Errorf("of %d: %s is followed by %+v, which follows %q too", n, id, to, before[to.ID])
			}
			before[to.ID] = id
		}
	}
	for _, cfg := range []Config{{}, {Strategy: RoundRobin}} {
		ids := []ID{nameOf(0), nameOf(1)}
		if cfg.Strategy == RingObservers {
			ids = ids[:1]
		}
		for id, view := range newViews(t, ids, cfg) {
			if to := view.Successor(); to != (Peer{}) {
				t.Errorf("%s is followed by %v", id, to)
			}
		}
	}
}
