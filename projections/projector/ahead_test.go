package projector

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"

	"rollcall/events"
	"rollcall/events/handover"
)

// counting yields events from position 1 on until its context ends or, when that is not 0, behind the position last.
func counting(last uint64, read *uint64) func(context.Context) iter.Seq2[events.Recorded, error] {
	return func(ctx context.Context) iter.Seq2[events.Recorded, error] {
		return func(yield func(events.Recorded, error) bool) {
			for n := uint64(1); ctx.Err() == nil && (last == 0 || n <= last); n++ {
				*read = n
				if !yield(events.Recorded{Position: n}, nil) {
					return
				}
			}
			if last == 0 {
				<-ctx.Done()
			}
		}
	}
}

// I10: what is read ahead comes in order and once, and the end with its error.
func TestI10ReadAheadKeepsTheOrder(t *testing.T) {
	const last = 20*handover.Max + 7
	broken := errors.New("broken")
	var read, want uint64
	subscribe := func(ctx context.Context) iter.Seq2[events.Recorded, error] {
		return func(yield func(events.Recorded, error) bool) {
			for rec := range counting(last, &read)(ctx) {
				if !yield(rec, nil) {
					return
				}
			}
			yield(events.Recorded{}, broken)
		}
	}
	for list := range readAhead(t.Context(), subscribe) {
		for _, d := range list {
			if want++; want <= last && (d.err != nil || d.rec.Position != want) || want > last && !errors.Is(d.err, broken) {
				t.Fatalf("position %d, %v; want %d", d.rec.Position, d.err, want)
			}
		}
	}
	if want != last+1 {
		t.Errorf("%d came, want %d and the error", want, last)
	}
}

// I15: a fold that stands still has a bounded number read ahead, and a loop that breaks ends the reading.
func TestI15ReadAheadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var read uint64
		for list := range readAhead(t.Context(), counting(0, &read)) {
			synctest.Wait()
			first := list[0].rec.Position
			if most := first + 2*handover.Max; read > most {
				t.Fatalf("%d are read at position %d, want at most %d", read, first, most)
			}
			if first > 3*handover.Max {
				break
			}
		}
	})
}

// I15: events that hold much wait by what they hold.
func TestI15ReadAheadIsBoundedInBytes(t *testing.T) {
	for name, rec := range map[string]events.Recorded{
		"evidence": {Event: events.Event{Evidence: make([]byte, events.BodyMax)}},
		"plans":    {Event: events.Event{Plan: &events.Plan{}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				subscribe := func(context.Context) iter.Seq2[events.Recorded, error] {
					return func(yield func(events.Recorded, error) bool) {
						for yield(rec, nil) {
						}
					}
				}
				rounds := 0
				for list := range readAhead(t.Context(), subscribe) {
					if most := handover.BytesMax / events.BodyMax; len(list) > most {
						t.Fatalf("%d events of %d bytes at a time, want %d at most", len(list), events.BodyMax, most)
					}
					synctest.Wait()
					if rounds++; rounds == 3 {
						break
					}
				}
			})
		})
	}
}

// Nothing is held back for more to come.
func TestReadAheadHandsOnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		say, seen := make(chan uint64), make(chan uint64)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer close(seen)
			subscribe := func(context.Context) iter.Seq2[events.Recorded, error] {
				return func(yield func(events.Recorded, error) bool) {
					for {
						select {
						case n := <-say:
							if !yield(events.Recorded{Position: n}, nil) {
								return
							}
						case <-ctx.Done():
							return
						}
					}
				}
			}
			for list := range readAhead(ctx, subscribe) {
				for i := range list {
					seen <- list[i].rec.Position
				}
			}
		}()
		for n := range uint64(10) {
			say <- n
			if got := <-seen; got != n {
				t.Fatalf("%d came, want %d", got, n)
			}
		}
		cancel()
		if _, more := <-seen; more {
			t.Error("something came after the end")
		}
	})
}
