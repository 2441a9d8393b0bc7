package outbox

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rollcall/events"

	"go.etcd.io/bbolt"
)

// I1: what was accepted is on the disk and not only on its way there. A kill cannot show it, for the system's cache outlives the
// process; so that nothing turns flushing off is looked at here.
func TestNothingIsAcceptedUnflushed(t *testing.T) {
	box := openHere(t, filepath.Join(t.TempDir(), "outbox.db"))
	if box.db.NoSync || box.db.NoGrowSync {
		t.Errorf("NoSync %v, NoGrowSync %v", box.db.NoSync, box.db.NoGrowSync)
	}
}

func openHere(t *testing.T, path string) *Outbox {
	t.Helper()
	box, err := Open(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	return box
}

// I1, I11: a flush fails, of the data, or of the page that makes them count: the file holds them then, as the process reads it.
// Either way nothing of it was accepted, the counts are those of what can be read, and what is put again is there once. The failure is
// put in the place of bbolt's answer: what bbolt itself leaves behind when a flush fails inside it is not shown here.
func TestFailedFlush(t *testing.T) {
	for name, kept := range map[string]bool{"of the data": false, "of the page that makes them count": true} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "outbox.db")
			box := openHere(t, path)
			var failing atomic.Bool
			box.update = func(f func(*bbolt.Tx) error) error {
				if !failing.Load() {
					return box.db.Update(f)
				}
				if !kept {
					return syscall.EIO
				}
				return errors.Join(box.db.Update(f), syscall.EIO)
			}
			first, second, owed := refutation(), refutation(), []events.Event{refutation(), refutation()}
			if err := box.Put(first, second); err != nil {
				t.Fatal(err)
			}
			failing.Store(true)
			for range 2 {
				refused(t, box.Put(owed...))
				holds(t, box, 0, first, second)
			}
			refused(t, box.Replace(2, second))
			holds(t, box, 0, first, second)
			box.Done(1)
			refused(t, box.SetAside(2, "a test"))
			if kept {
				holds(t, box, 1)
			} else {
				holds(t, box, 0, second)
			}
			refused(t, box.Put(owed...))
			failing.Store(false)
			if err := box.Put(owed...); err != nil {
				t.Fatal(err)
			}
			if kept {
				holds(t, box, 1, owed...)
			} else {
				holds(t, box, 0, append([]events.Event{second}, owed...)...)
			}
			entries, err := box.Pending(0, 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				box.Done(e.Seq)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := box.Wait(ctx); err != nil {
				t.Errorf("when all is done: %v, %d left", err, box.Len())
			}
			if err := box.Close(); err != nil {
				t.Fatal(err)
			}
			if again := openHere(t, path); kept {
				holds(t, again, 0, second)
			} else {
				holds(t, again, 0)
			}
		})
	}
}

// I1: the flush fails with which an outbox gives what was put aside its place again. Whichever of the two places the file has it in,
// the counts say so, and when what is pending is done nobody waits any longer.
func TestFailedFlushAtTheStart(t *testing.T) {
	for name, kept := range map[string]bool{"of the data": false, "of the page that makes them count": true} {
		t.Run(name, func(t *testing.T) {
			box := openHere(t, filepath.Join(t.TempDir(), "outbox.db"))
			first, second := refutation(), refutation()
			if err := box.Put(first, second); err != nil {
				t.Fatal(err)
			}
			if err := box.SetAside(1, "a test"); err != nil {
				t.Fatal(err)
			}
			update := box.update
			box.update = func(f func(*bbolt.Tx) error) error {
				if !kept {
					return syscall.EIO
				}
				return errors.Join(box.db.Update(f), syscall.EIO)
			}
			if err := box.load(); err != nil { // as Open does
				t.Fatal(err)
			}
			box.update = update
			if kept {
				holds(t, box, 0, first, second)
				box.Done(1, 2)
			} else {
				holds(t, box, 1, second)
				box.Done(2)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := box.Wait(ctx); err != nil {
				t.Errorf("when all is done: %v, %d left", err, box.Len())
			}
		})
	}
}

func refutation() events.Event {
	return events.Event{
		ID: events.NewID(), Kind: events.Refuted, Cluster: "test", Node: "n1", Author: "n1", Time: time.Unix(1700000000, 0).UTC(), Incarnation: 2,
	}
}

func refused(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrFull) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("while the disk fails: %v, want ErrFull and the reason", err)
	}
}

// holds wants these events to be what waits, one by one too, and the counts to be theirs.
func holds(t *testing.T, box *Outbox, aside int, want ...events.Event) {
	t.Helper()
	entries, err := box.Pending(0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var got, ids []string
	for _, e := range entries {
		got = append(got, e.Event.ID)
		if _, err := box.Get(e.Seq); err != nil {
			t.Errorf("entry %d: %v", e.Seq, err)
		}
	}
	for _, ev := range want {
		ids = append(ids, ev.ID)
	}
	if !slices.Equal(got, ids) || box.Len() != len(want) || box.AsideLen() != aside {
		t.Errorf("pending %v, counted %d, and %d put aside; want %v and %d", got, box.Len(), box.AsideLen(), ids, aside)
	}
}
