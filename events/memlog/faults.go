package memlog

import (
	"maps"
	"slices"
)

// SetAvailable takes the log away or brings it back. While it is away every call answers events.ErrUnavailable and
// stores nothing, and subscriptions stand still.
func (l *Log) SetAvailable(available bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = !available
	l.wake()
}

// LoseAck makes the next append that is stored answer events.ErrUnavailable.
func (l *Log) LoseAck() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loseAck = true
}

// SetFull makes every append answer events.ErrFull, or ends that.
func (l *Log) SetFull(full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full = full
}

// SetConflictFirst chooses the answer to an append that is both a retry of a stored event and expects what is no longer
// so: events.ErrConflict, as a single server has it, or events.ErrDuplicate, as three servers do and as is the default.
func (l *Log) SetConflictFirst(first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conflictFirst = first
}

// Deny makes every later append by author answer events.ErrDenied.
func (l *Log) Deny(author string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.denied[author] = true
}

// Inject stores body under subject as it is, as a writer of another make could, and returns its position. body must not
// change afterwards.
func (l *Log) Inject(subject string, body []byte) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.store(subject, body)
}

// Trim forgets the events before first, at most all of them. Reading there answers events.ErrIncomplete.
func (l *Log) Trim(first uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.first = max(l.first, min(first, uint64(len(l.stored))+1))
	l.wake()
}

// Restore puts an older copy of the log in its place, which ends at position last: what came after is lost, and the identity
// stays. Subscriptions that have read further end with events.ErrReplaced.
func (l *Log) Restore(last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.stored[:min(last, uint64(len(l.stored)))]
	l.stored = slices.Clone(kept)
	l.last = make(map[string]uint64)
	for i, e := range kept {
		l.note(e.subject, uint64(i)+1)
	}
	maps.DeleteFunc(l.ids, func(_ string, position uint64) bool { return position > uint64(len(kept)) })
	l.wake()
}

// Replace deletes the log and makes it again, empty and with another identity. Subscriptions end with events.ErrReplaced.
func (l *Log) Replace() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.empty()
	l.wake()
}
