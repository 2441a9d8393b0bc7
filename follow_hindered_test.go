package rollcall_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rollcall"
	"rollcall/events"
	"rollcall/events/memlog"
)

// What may be put right ends nothing: reading is taken up where it was, each event is there once (I10), and Status says why it
// stood still. A log that has become another one meanwhile is not taken for the one that was read (I9).
func TestFollowReadsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScribe(t)
		s.say(events.Joined, "n1", "n1", 1)
		log := &hinderedLog{Log: s.log}
		r, err := rollcall.Follow(t.Context(), rollcall.FollowOptions{Cluster: cluster, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		changes := r.Changes(t.Context())
		for i := range uint64(3) {
			log.hinder(events.ErrDenied)
			s.say(events.Refuted, "n1", "n1", i+2)
			time.Sleep(time.Hour)
			for range 100 { // also while it tries again
				if err := r.Status().Err; !errors.Is(err, events.ErrDenied) {
					t.Fatalf("while reading is denied: %v", err)
				}
				time.Sleep(170 * time.Millisecond)
			}
			if status := r.Status(); !errors.Is(status.Err, events.ErrDenied) || r.Err() != nil || status.Position != i+1 || status.Behind != 1 {
				t.Errorf("while reading is denied: %+v; for good: %v", status, r.Err())
			}
			if n := log.times.Swap(0); n < 600 || n > 2000 {
				t.Errorf("it tried %d times in an hour, want once every few seconds", n)
			}
			log.hinder(nil)
			s.wait(r, i+2)
			if status := r.Status(); status.Err != nil {
				t.Errorf("when it reads on: %+v", status)
			}
		}
		log.hinder(events.ErrDenied)
		log.hinder(nil)
		time.Sleep(time.Minute)
		if status := r.Status(); status.Err != nil {
			t.Errorf("when it could read on and there is nothing to read: %+v", status)
		}
		n := 0
		for c := range changes {
			if n++; c.Event.Position != uint64(n)+1 {
				t.Errorf("change %d is of position %d", n, c.Event.Position)
			}
			if n == 3 {
				break
			}
		}
		log.hinder(events.ErrDenied)
		time.Sleep(time.Second)
		s.log.Replace()
		for i := range 9 {
			s.say(events.Joined, fmt.Sprintf("x%d", i), fmt.Sprintf("x%d", i), 1)
		}
		log.hinder(nil)
		<-r.Done()
		if _, ok := r.Get("x0"); ok || !errors.Is(r.Err(), events.ErrReplaced) {
			t.Errorf("another log: it ends with %v, and has what is there: %v", r.Err(), ok)
		}
	})
}

// Who may not read learns it from Follow.
func TestFollowDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScribe(t)
		s.say(events.Joined, "n1", "n1", 1)
		log := &hinderedLog{Log: s.log}
		log.hinder(events.ErrDenied)
		if _, err := rollcall.Follow(t.Context(), rollcall.FollowOptions{Cluster: cluster, Log: log}); !errors.Is(err, events.ErrDenied) {
			t.Errorf("%v; want ErrDenied", err)
		}
	})
}

// hinderedLog ends subscriptions with an error, the one that there is and those that are tried, until it is told otherwise.
type hinderedLog struct {
	*memlog.Log
	times atomic.Int64 // that a subscription was tried in vain

	mu      sync.Mutex
	err     error
	current context.CancelFunc
}

func (l *hinderedLog) hinder(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	if l.current != nil {
		l.current()
	}
}

func (l *hinderedLog) Subscribe(ctx context.Context, filter events.Filter, from events.From) iter.Seq2[events.Recorded, error] {
	return func(yield func(events.Recorded, error) bool) {
		l.mu.Lock()
		within, cancel := context.WithCancel(ctx)
		defer cancel()
		err := l.err
		l.current = cancel
		l.mu.Unlock()
		if err != nil {
			l.times.Add(1)
			time.Sleep(time.Second) // sleep: it is the bubble's time; a server that denies a request does not answer it
			yield(events.Recorded{}, err)
			return
		}
		for rec, err := range l.Log.Subscribe(within, filter, from) {
			if within.Err() != nil {
				break
			}
			if !yield(rec, err) {
				return
			}
		}
		l.mu.Lock()
		err = l.err
		l.mu.Unlock()
		if err != nil {
			yield(events.Recorded{}, err)
		}
	}
}
