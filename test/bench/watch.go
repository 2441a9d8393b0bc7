package main

import (
	"sync"
	"time"
)

// sight is what a member can come to hold of another.
type sight uint8

const (
	told      sight = iota // the transport says that its process is gone
	suspected              // it is under suspicion
	failed                 // it is held failed
)

// watch gathers what all members come to hold: about the one that is down, the times since its crash; about all others,
// how often they were wronged. Safe for concurrent use.
type watch struct {
	late lateness

	mu      sync.Mutex
	down    *episode // nil while everybody is well
	wronged [failed + 1]int
	missed  uint64 // sightings that a subscription lost
}

// episode is one crash as the others see it.
type episode struct {
	subject, others int
	began           time.Time
	first           [failed + 1]time.Time // of each sight, at whoever had it first; zero when nobody had
	holders         map[int]bool          // who holds it failed
	everywhere      time.Time             // when the last came to hold it failed
	done            chan struct{}         // closed at that moment
}

// begin starts an episode: from now on subject is not well.
func (w *watch) begin(subject, others int) *episode {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = &episode{
		subject: subject, others: others, began: time.Now(), holders: make(map[int]bool, others), done: make(chan struct{}),
	}
	return w.down
}

// end says that everybody is well again.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = nil
}

// see takes one sighting.
func (w *watch) see(observer, subject int, what sight) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.down
	switch {
	case e != nil && observer == e.subject: // it is out of the world: what it believes counts for nothing
	case e == nil || subject != e.subject:
		w.wronged[what]++
	default:
		if e.first[what].IsZero() {
			e.first[what] = now
		}
		if what == failed && !e.holders[observer] {
			e.holders[observer] = true
			if len(e.holders) == e.others {
				e.everywhere = now
				close(e.done)
			}
		}
	}
}

// lose notes that a subscription could not keep up.
func (w *watch) lose(n uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.missed += n
}

// outcome is what an episode came to: times since the crash, negative for what did not happen.
type outcome struct {
	told, suspected, failed, everywhere time.Duration
	late                                time.Duration // longest that the process stood still
	holders                             int
}

func (w *watch) outcome(e *episode) outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	since := func(t time.Time) time.Duration {
		if t.IsZero() {
			return -1
		}
		return t.Sub(e.began)
	}
	return outcome{
		told: since(e.first[told]), suspected: since(e.first[suspected]), failed: since(e.first[failed]),
		everywhere: since(e.everywhere), late: w.late.take(), holders: len(e.holders),
	}
}

// wrongs is how often a member that was well was suspected and held failed, and how many sightings were lost, so far.
func (w *watch) wrongs() (suspicions, failures int, missed uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wronged[suspected], w.wronged[failed], w.missed
}
