package agent

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"rollcall/swim"
)

// Registry is a member's view for readers: every node it knows, in the state it holds it. The agent is the only writer
// and changes a state only as the protocol's precedence rules did. A *Registry is a cheap handle, safe for any number
// of concurrent readers, and stays readable after the agent is closed, when it is empty.
type Registry struct {
	mu      sync.RWMutex
	members map[swim.ID]*swim.Member      // by pointer: a map of large values that grows copies them all at once, in the loop
	sorted  atomic.Pointer[[]swim.Member] // nil after a change, until somebody asks
	alive   int
}

func newRegistry() *Registry { return &Registry{members: make(map[swim.ID]*swim.Member)} }

// Get returns one node.
func (r *Registry) Get(id swim.ID) (swim.Member, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if m := r.members[id]; m != nil {
		return *m, true
	}
	return swim.Member{}, false
}

// All returns every node by id, whatever its state. The slice is shared: do not write to it.
func (r *Registry) All() []swim.Member {
	if s := r.sorted.Load(); s != nil {
		return *s
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]swim.Member, 0, len(r.members))
	for _, m := range r.members {
		all = append(all, *m)
	}
	slices.SortFunc(all, func(a, b swim.Member) int { return strings.Compare(string(a.ID), string(b.ID)) })
	r.sorted.Store(&all) // under the read lock: no writer can have made it stale
	return all
}

// Alive returns the nodes that are alive, by id.
func (r *Registry) Alive() []swim.Member {
	var alive []swim.Member
	for _, m := range r.All() {
		if m.State == swim.Alive {
			alive = append(alive, m)
		}
	}
	return alive
}

// Sample returns n of the nodes that are alive and for which among holds, or all of them if there are fewer; each is as likely as
// any other to be there, in any place. The own one is alive too; nil among takes every node.
func (r *Registry) Sample(n int, among func(swim.Member) bool) []swim.Member {
	alive := r.Alive()
	if among != nil {
		alive = slices.DeleteFunc(alive, func(m swim.Member) bool { return !among(m) })
	}
	n = min(max(n, 0), len(alive))
	for i := range n {
		other := i + rand.IntN(len(alive)-i)
		alive[i], alive[other] = alive[other], alive[i]
	}
	return alive[:n]
}

// Len is the number of nodes known; Empty reports whether there is none.
func (r *Registry) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.members)
}

// Empty reports whether no node is known.
func (r *Registry) Empty() bool { return r.Len() == 0 }

// Count is the number of nodes that are alive.
func (r *Registry) Count() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.alive
}

func (r *Registry) put(m swim.Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.members[m.ID]; old != nil && old.State == swim.Alive {
		r.alive--
	}
	if m.State == swim.Alive {
		r.alive++
	}
	r.members[m.ID] = &m
	r.sorted.Store(nil)
}

func (r *Registry) remove(id swim.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.members[id]; old != nil && old.State == swim.Alive {
		r.alive--
	}
	delete(r.members, id)
	r.sorted.Store(nil)
}

func (r *Registry) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.members)
	r.alive = 0
	r.sorted.Store(nil)
}
