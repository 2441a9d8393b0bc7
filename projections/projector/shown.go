package projector

import (
	"time"

	"rollcall/projections"
)

// A fold that is behind its log writes the views without a pause. Who waits for it, if only for the one event that it is at, waits
// for a thread that the kernel may have put aside for milliseconds, on a machine where the log's server and the fold keep all
// processors at work. So, while it is behind and somebody reads, the fold leaves a copy of the views now and then, and readers
// look at that without waiting for anything. They see an earlier position than the fold is at, but never an earlier one than
// somebody was told of, by whatever method: so what a notice, WaitFor or another read showed stays seen.
//
// Views that are up to date are shown themselves, at their newest position.
const (
	shownEvery = 20 * time.Millisecond // more often costs: the fold moves what it writes to after each copy, up to all rows
	shownFor   = 5 * shownEvery        // an older copy is not looked at: the fold stands still, and waiting for it takes no time
	showAfter  = time.Second           // without a read there are no more copies
)

// shown is the views as they were left for readers.
type shown struct {
	views *projections.Views
	pulse pulse
	at    time.Time
}

// show leaves a copy for readers when one is due. It belongs to the fold.
func (p *Projector) show() {
	now, s := p.cfg.Now(), p.shown.Load()
	switch read := now.UnixNano()-p.readAt.Load() < int64(showAfter); {
	case !read && s != nil:
		p.shown.Store(nil) // for what it holds
	case read && (s == nil || now.Sub(s.at) >= shownEvery):
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.views.Position() < p.pulse.last {
			p.shown.Store(&shown{p.views.Freeze(), p.pulse, now})
		}
	}
}

// unshowLocked takes the copy away: the views were changed by something else than an event, or are up to date.
func (p *Projector) unshowLocked() {
	if p.shown.Load() != nil {
		p.shown.Store(nil)
	}
}

// glance returns the copy that a reader may look at now; nil when it has to look at the views themselves.
func (p *Projector) glance(now time.Time) *shown {
	s := p.shown.Load()
	if s == nil || now.Sub(s.at) > shownFor || s.views.Position() < p.told.Load() {
		return nil
	}
	return s
}

// tell notes that somebody is told that the views are at position, and returns it.
func (p *Projector) tell(position uint64) uint64 {
	for {
		before := p.told.Load()
		if position <= before || p.told.CompareAndSwap(before, position) {
			return position
		}
	}
}

// View calls fn with the views at one position: the newest, or, while they are far behind the log and change all the time, one of
// the last moments, and never one before what anybody was told. The fold may wait meanwhile: fn should take what it needs and
// return; what it takes (nodes, histories) stays as it is afterwards. fn must not keep v, nor freeze or change it.
func (p *Projector) View(fn func(v *projections.Views)) {
	now := p.cfg.Now()
	p.readAt.Store(now.UnixNano())
	if s := p.glance(now); s != nil {
		fn(s.views)
		return
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	p.tell(p.views.Position())
	fn(p.views)
}

// Lag says how far an answer by the views at position is behind the log, by what is known without waiting for the fold.
func (p *Projector) Lag(position uint64) Lag {
	now := p.cfg.Now()
	if s := p.glance(now); s != nil {
		return lagOf(&s.pulse, position, max(0, now.Sub(s.pulse.since(s.views.Stored(), p.opened))))
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return lagOf(&p.pulse, position, p.ageLocked(now))
}

// lagOf is the lag of an answer at position, age after the views were known to hold everything.
func lagOf(b *pulse, position uint64, age time.Duration) Lag {
	lag := Lag{Seconds: age.Seconds()}
	if b.last > position {
		lag.Events = b.last - position
	}
	return lag
}
