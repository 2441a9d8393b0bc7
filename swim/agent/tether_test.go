package agent

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/swim"
)

// tetheredEnd is an end that can watch a peer's process.
type tetheredEnd struct {
	*end
	mu    sync.Mutex
	calls []swim.ID
}

func (e *tetheredEnd) Tether(to swim.Peer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, to.ID)
}

// TestTetherFollowsTheRing: each member holds on to another, asks once for each change, and lets go of one that left.
func TestTetherFollowsTheRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t)
		ends := make(map[swim.ID]*tetheredEnd)
		agents := w.form(3, func(cfg *Config) {
			e := &tetheredEnd{end: cfg.Transport.(*end)}
			ends[e.id] = e
			cfg.Transport = e
		})
		held := func() map[swim.ID]swim.ID {
			by := make(map[swim.ID]swim.ID)
			for id, e := range ends {
				e.mu.Lock()
				for i, to := range e.calls {
					if i > 0 && to == e.calls[i-1] {
						t.Errorf("%s asked for %s twice", id, to)
					}
				}
				by[e.calls[len(e.calls)-1]] = id
				e.mu.Unlock()
			}
			return by
		}
		if by := held(); len(by) != 3 || by[""] != "" {
			t.Fatalf("held on to, by whom: %v", by)
		}
		if err := agents[2].Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		closeAll(t, agents[2])
		delete(ends, "n3")
		time.Sleep(time.Second) // sleep: virtual, in a bubble
		if by := held(); by["n1"] != "n2" || by["n2"] != "n1" {
			t.Errorf("after n3 left: %v", by)
		}
		closeAll(t, agents[:2]...)
	})
}
