package memlog_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/events"
	"rollcall/events/memlog"
)

func checkFailed(node string) events.Event {
	return events.Event{
		ID: events.NewID(), Kind: events.HealthCheckFailed, Cluster: "c", Node: node, Author: "observer",
		Time: time.Now(), Incarnation: 1,
	}
}

func mustAppend(t *testing.T, log *memlog.Log, node string, expect uint64) uint64 {
	t.Helper()
	position, err := log.Append(t.Context(), checkFailed(node), expect)
	if err != nil {
		t.Fatal(err)
	}
	return position
}

// read returns what a subscription yields first.
func read(t *testing.T, log *memlog.Log, filter events.Filter, from events.From) (events.Recorded, error) {
	t.Helper()
	for rec, err := range log.Subscribe(t.Context(), filter, from) {
		return rec, err
	}
	t.Fatal("subscription yields nothing")
	return events.Recorded{}, nil
}

func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New("c")
		mustAppend(t, log, "n1", 0)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var seen []uint64
		go func() {
			for rec, err := range log.Subscribe(ctx, events.Filter{}, events.From{}) {
				if err != nil {
					t.Errorf("subscription: %v", err)
				}
				seen = append(seen, rec.Position)
			}
		}()
		synctest.Wait()
		log.SetAvailable(false)
		_, errAppend := log.Append(t.Context(), checkFailed("n1"), 1)
		_, errLast := log.Last(t.Context(), "n1")
		_, errInfo := log.Info(t.Context())
		for _, err := range []error{errAppend, errLast, errInfo} {
			if !errors.Is(err, events.ErrUnavailable) {
				t.Errorf("away: error %v, want ErrUnavailable", err)
			}
		}
		log.Inject("rollcall.c.node.n1.observer.accused", []byte("{}")) // somebody else still reaches it
		time.Sleep(time.Hour)                                           // of the bubble's time
		synctest.Wait()
		if len(seen) != 1 {
			t.Errorf("away: subscription yields %v, want it to stand still after 1", seen)
		}
		cancel() // before it is back: the subscription never sees what came meanwhile
		synctest.Wait()
	})
}

func TestAwayAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New("c")
		log.SetAvailable(false)
		got := make(chan events.Recorded, 2)
		go func() {
			for rec := range log.Subscribe(t.Context(), events.Filter{}, events.From{}) {
				if got <- rec; rec.Position == 2 {
					return
				}
			}
		}()
		synctest.Wait()
		log.SetAvailable(true)
		second := mustAppend(t, log, "n1", mustAppend(t, log, "n1", 0))
		for want := uint64(1); want <= second; want++ {
			if rec := <-got; rec.Position != want {
				t.Errorf("position %d, want %d", rec.Position, want)
			}
		}
	})
}

func TestLoseAck(t *testing.T) {
	log := memlog.New("c")
	log.LoseAck()
	ev := checkFailed("n1")
	if _, err := log.Append(t.Context(), ev, 0); !errors.Is(err, events.ErrUnavailable) {
		t.Fatalf("error %v, want ErrUnavailable", err)
	}
	rec, err := log.Last(t.Context(), "n1")
	if err != nil || rec.ID != ev.ID {
		t.Fatalf("last is %+v, error %v; want the event, stored", rec, err)
	}
	var duplicate *events.DuplicateError
	if _, err := log.Append(t.Context(), ev, 0); !errors.As(err, &duplicate) || duplicate.Position != 1 {
		t.Errorf("retry: error %v, want a duplicate of position 1", err)
	}
	log.SetConflictFirst(true)
	if _, err := log.Append(t.Context(), ev, 0); !errors.Is(err, events.ErrConflict) {
		t.Errorf("retry of a single server: error %v, want ErrConflict", err)
	}
	if _, err := log.Append(t.Context(), ev, 1); !errors.Is(err, events.ErrDuplicate) {
		t.Errorf("retry with the expectation of now: error %v, want ErrDuplicate", err)
	}
}

func TestFullAndDenied(t *testing.T) {
	log := memlog.New("c")
	log.SetFull(true)
	if _, err := log.Append(t.Context(), checkFailed("n1"), 0); !errors.Is(err, events.ErrFull) {
		t.Errorf("full: error %v, want ErrFull", err)
	}
	log.SetFull(false)
	log.Deny("observer")
	if _, err := log.Append(t.Context(), checkFailed("n1"), 0); !errors.Is(err, events.ErrDenied) {
		t.Errorf("denied: error %v, want ErrDenied", err)
	}
	if info, err := log.Info(t.Context()); err != nil || info.Last != 0 {
		t.Errorf("info %+v, error %v; want nothing stored", info, err)
	}
}

func TestInject(t *testing.T) {
	log := memlog.New("c")
	broken := log.Inject("rollcall.c.group.n1.n1.planned", []byte(`{}`)) // a group may have the id of a node
	bad := log.Inject("rollcall.c.node.n1.n2.suspected", []byte(`{}`))
	newer := log.Inject("rollcall.c.node.n2.n2.resurrected", []byte(`{}`))
	var decode *events.DecodeError

	rec, err := read(t, log, events.Filter{}, events.From{})
	if !errors.As(err, &decode) || !errors.Is(err, events.ErrInvalid) || decode.Position != broken || rec.Position != broken {
		t.Errorf("first is %+v, error %v; want a DecodeError at %d", rec, err, broken)
	}
	if rec, err := log.LastOfGroup(t.Context(), "n1"); !errors.As(err, &decode) || rec.Position != broken {
		t.Errorf("last of group n1 is %+v, error %v; want position %d and a DecodeError", rec, err, broken)
	}
	rec, err = read(t, log, events.Filter{Node: "n2"}, events.From{})
	if !errors.As(err, &decode) || !errors.Is(err, events.ErrUnknownKind) || decode.Position != newer {
		t.Errorf("of n2 %+v, error %v; want ErrUnknownKind at %d", rec, err, newer)
	}
	if rec, err := log.Last(t.Context(), "n1"); !errors.As(err, &decode) || rec.Position != bad {
		t.Errorf("last of n1 is %+v, error %v; want position %d and a DecodeError", rec, err, bad)
	}
	mustAppend(t, log, "n1", bad) // what cannot be read is still what the next append expects
	mustAppend(t, log, "n3", log.Inject("rollcall.c.node.n3.x", []byte(`{}`)))
	var positions []uint64
	for rec := range log.Subscribe(t.Context(), events.Filter{Node: "n1"}, events.From{}) {
		if positions = append(positions, rec.Position); len(positions) == 2 {
			break
		}
	}
	if len(positions) != 2 || positions[1] != 4 {
		t.Errorf("n1 has positions %v; want the sequence to go on to 4", positions)
	}
}

func TestTrim(t *testing.T) {
	log := memlog.New("c")
	for i := range uint64(3) {
		mustAppend(t, log, "n1", i)
	}
	log.Trim(3)
	for _, from := range []events.From{{}, {Position: 2}} {
		if _, err := read(t, log, events.Filter{}, from); !errors.Is(err, events.ErrIncomplete) {
			t.Errorf("from %+v: error %v, want ErrIncomplete", from, err)
		}
	}
	if rec, err := read(t, log, events.Filter{}, events.From{Position: 3}); err != nil || rec.Position != 3 {
		t.Errorf("from 3: %+v, error %v", rec, err)
	}
	if info, err := log.Info(t.Context()); err != nil || info.First != 3 || info.Last != 3 {
		t.Errorf("info %+v, error %v; want 3 to 3", info, err)
	}
	log.Trim(9)
	if _, err := log.Last(t.Context(), "n1"); !errors.Is(err, events.ErrNotFound) {
		t.Errorf("last of a forgotten node: error %v, want ErrNotFound", err)
	}
	mustAppend(t, log, "n1", 3)
}

func TestReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New("c")
		before, err := log.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var last error
		go func() {
			for _, err := range log.Subscribe(t.Context(), events.Filter{}, events.From{}) {
				last = err
			}
		}()
		synctest.Wait()
		log.Replace()
		mustAppend(t, log, "n1", 0)
		synctest.Wait()
		if !errors.Is(last, events.ErrReplaced) {
			t.Errorf("subscription ends with %v, want ErrReplaced", last)
		}
		if after, err := log.Info(t.Context()); err != nil || after.Identity == before.Identity {
			t.Errorf("identity %q stays, error %v", after.Identity, err)
		}
	})
}

// I10: what was read ends where the copy parts from it, however long the log is by then.
func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New("c")
		before, err := log.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		kept := checkFailed("n1")
		if _, err := log.Append(t.Context(), kept, 0); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, log, "n2", mustAppend(t, log, "n2", 0))
		var last error
		go func() {
			for _, err := range log.Subscribe(t.Context(), events.Filter{}, events.From{}) {
				last = err
			}
		}()
		synctest.Wait()
		log.Restore(1)
		mustAppend(t, log, "n2", 0)
		mustAppend(t, log, "n3", 0)
		mustAppend(t, log, "n1", 1)
		synctest.Wait()
		if !errors.Is(last, events.ErrReplaced) {
			t.Errorf("subscription ends with %v, want ErrReplaced", last)
		}
		if _, err := log.Append(t.Context(), kept, 4); !errors.Is(err, events.ErrDuplicate) {
			t.Errorf("event of the copy again: error %v, want ErrDuplicate", err)
		}
		if after, err := log.Info(t.Context()); err != nil || after.Identity != before.Identity || after.Last != 4 {
			t.Errorf("info %+v, error %v; want identity %s, ending at 4", after, err, before.Identity)
		}
	})
}

// I10: who has read nothing yet knows the log by the event before the first that it would read.
func TestRestoreBehindWhoWaits(t *testing.T) {
	for name, from := range map[string]events.From{
		"now": {Now: true}, "next": {Position: 4}, "later": {Time: time.Now().Add(100 * 365 * 24 * time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := memlog.New("c")
				for _, node := range []string{"n1", "n2", "n3"} {
					mustAppend(t, log, node, 0)
				}
				var last error
				go func() {
					for _, err := range log.Subscribe(t.Context(), events.Filter{}, from) {
						last = err
					}
				}()
				synctest.Wait()
				log.SetAvailable(false) // so that the copy is longer when it is looked at
				log.Restore(1)
				for range 3 {
					log.Inject("rollcall.c.node.n1.observer.accused", []byte("{}"))
				}
				log.SetAvailable(true)
				synctest.Wait()
				if !errors.Is(last, events.ErrReplaced) {
					t.Errorf("subscription ends with %v, want ErrReplaced", last)
				}
			})
		})
	}
}

// TestFromTimeToCome: what is stored before the time asked for is not yielded, though it is stored later than now.
func TestFromTimeToCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New("c")
		got := make(chan uint64, 1)
		from := events.From{Time: time.Now().Add(time.Hour)}
		go func() {
			for rec := range log.Subscribe(t.Context(), events.Filter{}, from) {
				got <- rec.Position
				return
			}
		}()
		synctest.Wait()
		mustAppend(t, log, "n1", 0)
		time.Sleep(time.Hour)
		mustAppend(t, log, "n1", 1)
		if position := <-got; position != 2 {
			t.Errorf("position %d, want 2", position)
		}
	})
}
