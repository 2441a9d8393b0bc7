package httpapi

import (
	"container/list"
	"sync"

	"rollcall/projections"
)

// TurnsMax is for how many different filters the server remembers whose turn it is; the filter that was asked for longest
// ago is forgotten first, and starts again with the lowest id.
const TurnsMax = 1024

// turns remembers for each filter which node was picked last. The zero value remembers nothing.
type turns struct {
	mu     sync.Mutex
	byName map[string]*list.Element
	recent list.List // of *turn, the last used first
}

type turn struct{ name, last string }

// next picks the node after the one that was picked last.
func (t *turns) next(name string, nodes []*projections.Node) *projections.Node {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byName[name]
	if e == nil {
		if t.byName == nil {
			t.byName = make(map[string]*list.Element)
		}
		if t.recent.Len() == TurnsMax {
			oldest := t.recent.Back()
			delete(t.byName, t.recent.Remove(oldest).(*turn).name)
		}
		e = t.recent.PushFront(&turn{name: name})
		t.byName[name] = e
	}
	t.recent.MoveToFront(e)
	u := e.Value.(*turn)
	picked := projections.PickNext(nodes, u.last)
	u.last = picked.ID
	return picked
}
