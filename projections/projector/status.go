package projector

import (
	"context"
	"time"

	"rollcall/projections"
)

// State of a projector.
type State string

// The states.
const (
	CatchingUp State = "catching up" // the log is known, or believed, to hold more than the views
	Live       State = "live"        // at the last heartbeat the views held everything
	Paused     State = "paused"      // by Pause
	Stopped    State = "stopped"     // Run has ended
)

// Lag says how far the views are behind the log.
type Lag struct {
	Events  uint64  // positions in the log that are not folded yet, as of the last heartbeat
	Seconds float64 // how long ago the views were last known to hold everything; 0 while they are and the log answers
}

// Status describes a projector at one instant.
type Status struct {
	Cluster       string
	Identity      string // of the log; empty before it answered
	State         State
	Ready         bool   // the views have held everything at least once since Open, and Run goes on
	Stopped       error  // why Run ended; nil before
	Position      uint64 // last event folded
	Stored        time.Time
	Last          uint64 // newest position in the log, as of the last heartbeat
	Lag           Lag
	Heartbeat     time.Time // when the log last answered; zero before
	LogError      error     // why it did not answer the last time; nil when it did
	Folded        uint64    // events folded since Open
	Snapshot      Snapshot  // the newest; zero when there is none
	Rejected      []projections.Rejected
	RejectedTotal uint64
	Parked        []*projections.Node // nodes whose row stands still, by id
	Rebuild       Rebuilding          // the one that goes on, or the last; zero when there was none
}

// Status returns how the projector does.
func (p *Projector) Status() Status {
	now := p.cfg.Now()
	p.mu.RLock()
	defer p.mu.RUnlock()
	s := Status{
		Cluster: p.cfg.Cluster, Identity: p.identity, Stopped: p.stopped,
		Position: p.tell(p.views.Position()), Stored: p.views.Stored(), Last: p.pulse.last,
		Heartbeat: p.pulse.answeredAt, LogError: p.pulse.err, Folded: p.folded, Snapshot: p.snapshot,
		Ready: p.pulse.ready && p.stopped == nil, Parked: p.views.Registry.Parked(), Rebuild: p.progressLocked(now),
	}
	s.Rejected, s.RejectedTotal = p.views.Rejected()
	s.State, s.Lag = p.stateLocked(), lagOf(&p.pulse, s.Position, p.ageLocked(now))
	return s
}

func (p *Projector) stateLocked() State {
	switch {
	case p.stopped != nil:
		return Stopped
	case p.resumed != nil:
		return Paused
	case p.pulse.ready && p.pulse.last <= p.views.Position():
		return Live
	}
	return CatchingUp
}

// ageLocked is how long ago the views were last known to hold everything; 0 while they are and the log answers.
func (p *Projector) ageLocked(now time.Time) time.Duration {
	if fresh := now.Sub(p.pulse.answeredAt) <= heartbeatMissed*p.cfg.HeartbeatEvery; fresh && p.stateLocked() == Live {
		return 0
	}
	return max(0, now.Sub(p.pulse.since(p.views.Stored(), p.opened)))
}

// heartbeatMissed is after how many silent heartbeats an up-to-date view counts its age.
const heartbeatMissed = 3

// pulse is what the heartbeats told.
type pulse struct {
	last       uint64    // the log's newest position
	asked      time.Time // when the answer that gave last was asked for
	answeredAt time.Time
	levelAt    time.Time // the views held everything that the log had at this time
	ready      bool
	err        error
}

func (b *pulse) answered(last uint64, asked time.Time) {
	b.last, b.asked, b.answeredAt, b.err = max(b.last, last), asked, asked, nil
}

// level notes that the views have reached position, and reports whether they hold everything that is known of.
func (b *pulse) level(position uint64) bool {
	if b.asked.IsZero() || position < b.last {
		return false
	}
	b.ready, b.last, b.levelAt = true, position, b.asked
	return true
}

// since is the time from which events may be missing from the views.
func (b *pulse) since(stored, opened time.Time) time.Time {
	switch {
	case !b.levelAt.IsZero():
		return b.levelAt
	case !stored.IsZero():
		return stored
	default:
		return opened
	}
}

// heartbeat asks the log how far it reaches until ctx ends, which gives nil, or the log proves to be another.
func (p *Projector) heartbeat(ctx context.Context) error {
	tick := time.NewTicker(p.cfg.HeartbeatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := p.beat(ctx); err != nil {
			return err
		}
	}
}

// beatTimeout is how long the log is given for an answer.
const beatTimeout = 5 * time.Second

func (p *Projector) beat(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	asked := p.ask()
	info, err := p.cfg.Log.Info(limited)
	if err == nil {
		err = p.checkInfo(info, asked)
	}
	if err == nil || fatal(err) {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	p.mu.Lock()
	first := p.pulse.err == nil
	p.pulse.err = err
	p.mu.Unlock()
	if first {
		p.log.Warn("the log gives no answer to go by; the views stay as they are", "error", err)
	}
	return nil
}
