package projector

import (
	"context"
	"slices"
	"sync"

	"rollcall/projections"
)

// PastMax is how many views of the past are kept, the last asked for: who looks at one instant asks several times, and who
// moves along the log goes on from where they were. Each takes as much memory as a checkpoint once read, some 1.5 kB a node.
const PastMax = 4

// past holds the views of the past last asked for, which are frozen, and what is being folded. The zero value holds none.
type past struct {
	mu     sync.Mutex
	list   []pastViews // at most PastMax, the last used first
	edited uint64      // how often the projector's own views had been edited when these were made
	asked  map[At]*asked
}

// pastViews are views of the past and the instants that they are known to be of, besides their position.
type pastViews struct {
	*projections.Views
	at At // zero: none. An instant by its time is one as soon as the log has an event behind it.
}

// asked is a fold of the past on its way. What it comes to is read once done is closed.
type asked struct {
	done  chan struct{}
	views *projections.Views
	err   error
	ended bool // else whoever folded went away or lost patience, which says nothing to others
}

// foldPast makes the views of an instant from the nearest ones kept before it, nil where there are none. Both are frozen. It says
// whether the instant is settled: nothing that is still to come can belong to it.
type foldPast func(before *projections.Views) (views *projections.Views, settled bool, err error)

// get returns the views of an instant: those that are kept, those that somebody else is folding, or what fold makes. Views
// from before an edit, a rebuild or a skip, are let go.
func (c *past) get(ctx context.Context, at At, edited uint64, fold foldPast) (*projections.Views, error) {
	for {
		views, before, other, own := c.look(at, edited)
		switch {
		case views != nil:
			return views, nil
		case own != nil:
			return c.fold(ctx, at, edited, own, before, fold)
		}
		select {
		case <-other.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if other.ended {
			return other.views, other.err
		}
	}
}

// fold does what own is, and tells whoever waits for it, also when it panics.
func (c *past) fold(
	ctx context.Context, at At, edited uint64, own *asked, before *projections.Views, fold foldPast,
) (*projections.Views, error) {
	settled := false
	defer func() { c.put(at, edited, own, settled) }()
	own.views, settled, own.err = fold(before)
	own.ended = own.err == nil || ctx.Err() == nil
	return own.views, own.err
}

// look returns the views of the instant, or the fold of them that is on its way, or else a new one that is the caller's to do,
// with the nearest views before.
func (c *past) look(at At, edited uint64) (found, before *projections.Views, other, own *asked) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.edited != edited {
		c.list, c.asked, c.edited = nil, nil, edited
	}
	nearest := -1
	for i, v := range c.list {
		switch {
		case v.at == at || at.Position > 0 && v.Position() == at.Position:
			c.use(i)
			return v.Views, nil, nil, nil
		case !at.within(v.Views):
		case nearest < 0 || v.Position() > c.list[nearest].Position():
			nearest = i
		}
	}
	if other = c.asked[at]; other != nil {
		return nil, nil, other, nil
	}
	if nearest >= 0 {
		before = c.list[nearest].Views
	}
	if c.asked == nil {
		c.asked = make(map[At]*asked)
	}
	own = &asked{done: make(chan struct{})}
	c.asked[at] = own
	return nil, before, nil, own
}

// use moves one to the front.
func (c *past) use(i int) {
	v := c.list[i]
	c.list = slices.Insert(slices.Delete(c.list, i, i+1), 0, v)
}

// put ends a fold, and keeps what came of it in the place of those of the same position, or of those used longest ago.
func (c *past) put(at At, edited uint64, a *asked, settled bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(a.done)
	if c.edited != edited {
		return
	}
	delete(c.asked, at)
	if a.views == nil {
		return
	}
	v := pastViews{Views: a.views}
	if settled {
		v.at = at
	}
	c.list = slices.DeleteFunc(c.list, func(old pastViews) bool { return old.Position() == v.Position() })
	c.list = slices.Insert(c.list, 0, v)
	c.list = slices.Delete(c.list, min(PastMax, len(c.list)), len(c.list))
}
