package projections

import (
	"iter"
	"time"

	"rollcall/events"
)

// Counts is how often something befell a node.
type Counts struct {
	Suspicions      uint64 // times it became suspect
	FalseSuspicions uint64 // of those, answered by the node before there was a verdict
	Failures        uint64 // verdicts
	Flaps           uint64 // times the node answered a suspicion or a verdict and was alive again
}

// Account is what the log adds up of one node, or of many, from its beginning to an instant. What came to pass between two
// instants is the difference of their accounts, so windows that meet add up to the window over both.
//
// A node is on the roll from when it joins until it leaves. Of that time it is up while it is alive or suspect, since a suspicion
// says only that somebody asks, and down while it is failed. It changes its state when the log accepts the event that says so,
// by the log's clock: one clock for all nodes, and the one that instants are given by. Where that clock is set back it counts
// as standing still, so nothing is ever negative.
//
// A new life that begins while the old one is suspect ends that suspicion and does not make it false: the process had gone.
type Account struct {
	Counts
	KnownMillis uint64 // milliseconds on the roll; of many nodes a time.Duration would not hold the sum
	UpMillis    uint64 // of those, alive or suspect
	Detected    Delays // of the failures whose evidence says so: how long they took to find, see events.Event.Detection
}

// Availability is how much of its time on the roll a node was up, 0 to 1; false when it was not on the roll at all.
func (a *Account) Availability() (share float64, ok bool) {
	return float64(a.UpMillis) / float64(max(1, a.KnownMillis)), a.KnownMillis > 0
}

// Empty reports whether nothing came to pass, and the node was not on the roll.
func (a *Account) Empty() bool { return a.KnownMillis == 0 && a.Counts == Counts{} }

// Add adds what b says of another node, or of the window after.
func (a *Account) Add(b *Account) {
	a.Suspicions += b.Suspicions
	a.FalseSuspicions += b.FalseSuspicions
	a.Failures += b.Failures
	a.Flaps += b.Flaps
	a.KnownMillis += b.KnownMillis
	a.UpMillis += b.UpMillis
	a.Detected.plus(&b.Detected)
}

// Sub takes away what b says, which is of the same node at an instant that is not later. No time is left where that instant is
// ahead of the log's clock, and the log accepts a change of state before it.
func (a *Account) Sub(b *Account) {
	a.Suspicions -= b.Suspicions
	a.FalseSuspicions -= b.FalseSuspicions
	a.Failures -= b.Failures
	a.Flaps -= b.Flaps
	a.KnownMillis -= min(a.KnownMillis, b.KnownMillis)
	a.UpMillis = min(a.UpMillis-min(a.UpMillis, b.UpMillis), a.KnownMillis)
	a.Detected.minus(&b.Detected)
}

// ledger is what the account of one node is made of: how it stood at its last change of state.
type ledger struct {
	state     events.State
	at        uint64     // when it changed, by the timeline's clock
	known, up uint64     // until then
	detected  *fewDelays // nil: none
}

// until returns how long the node was known and up when the clock stands at now.
func (l *ledger) until(now uint64) (known, up uint64) {
	known, up = l.known, l.up
	if l.state.Live() || l.state == events.StateFailed {
		known += now - l.at
	}
	if l.state.Live() {
		up += now - l.at
	}
	return known, up
}

// turn notes a change of state.
func (k *track) turn(s *step, now uint64) {
	k.known, k.up = k.until(now)
	k.at, k.state = now, s.out.After
	switch {
	case k.state == events.StateSuspect:
		k.Suspicions++
	case k.state == events.StateFailed:
		k.Failures++
		if took, ok := s.Detection(); ok {
			k.detected = k.detected.and(took)
		}
	case k.state == events.StateAlive && s.Kind != events.Joined: // the node answered
		k.Flaps++
		if s.out.Before == events.StateSuspect {
			k.FalseSuspicions++
		}
	}
}

func (k *track) account(now uint64) Account {
	a := Account{Counts: k.Counts, Detected: k.detected.all()}
	a.KnownMillis, a.UpMillis = k.until(now)
	return a
}

// millis is the timeline's measure of time: since 1970, where it starts.
func millis(t time.Time) uint64 { return uint64(max(0, t.UnixMilli())) }

// pass moves the clock on to when the log accepted an event.
func (t *Timeline) pass(stored time.Time) { t.clock = max(t.clock, millis(stored)) }

// Moment is the instant at which the accounts stand that are asked for as of at: that one or, when it is later, the newest that
// the log's clock ever showed to the timeline.
func (t *Timeline) Moment(at time.Time) time.Time {
	if millis(at) >= t.clock {
		return at
	}
	return time.UnixMilli(int64(t.clock)).UTC()
}

// Clock is the latest that the log's clock showed to the timeline, or up to a millisecond later: no event was accepted after it.
func (t *Timeline) Clock() time.Time {
	return time.UnixMilli(int64(t.clock)).UTC().Add(time.Millisecond - 1)
}

// Account returns the account of node id as of an instant, see Moment.
func (t *Timeline) Account(id string, at time.Time) (Account, bool) {
	k, ok := t.tracks.get(id)
	if !ok {
		return Account{}, false
	}
	return k.account(max(t.clock, millis(at))), true
}

// Accounts yields the account of every node as of an instant, by id.
func (t *Timeline) Accounts(at time.Time) iter.Seq2[string, Account] {
	return func(yield func(string, Account) bool) {
		now := max(t.clock, millis(at))
		for id, k := range t.tracks.all() {
			if !yield(id, k.account(now)) {
				return
			}
		}
	}
}
