package handover

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

var errEnd, errLater = errors.New("the end"), errors.New("a later end")

// item is a value of so many bytes.
type item struct{ n, size int }

func newQueue() *Queue[item] { return New(func(it *item) int { return it.size }) }

// I10: everything arrives, in order and once, however little the one side waits for the other.
func TestI10Order(t *testing.T) {
	const all = 10 * Max
	q := newQueue()
	var putting sync.WaitGroup
	putting.Go(func() {
		for n := range all {
			q.Put(item{n: n})
		}
		q.End(errEnd)
	})
	next := 0
	list, err := q.Take(nil)
	for ; err == nil; list, err = q.Take(list) {
		for _, it := range list {
			if it.n != next {
				t.Fatalf("number %d where %d was due", it.n, next)
			}
			next++
		}
	}
	if !errors.Is(err, errEnd) || next != all {
		t.Errorf("ended with %v after %d of %d", err, next, all)
	}
	putting.Wait()
}

// I15: who puts waits while there is no room, until somebody takes or nobody will any more.
func TestI15BoundedInNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		put, refused := 0, false
		go func() {
			for q.Put(item{n: put}) {
				put++
			}
			refused = true
		}()
		synctest.Wait()
		if put != Max {
			t.Fatalf("%d put where there was room for %d", put, Max)
		}
		list, err := q.Take(nil)
		if err != nil || len(list) != Max {
			t.Fatalf("%d taken, %v", len(list), err)
		}
		synctest.Wait()
		if put != 2*Max {
			t.Errorf("%d put where there was room for %d", put, 2*Max)
		}
		q.End(errEnd)
		q.End(errLater)
		synctest.Wait()
		if !refused {
			t.Error("somebody still waits to put something")
		}
		if list, err = q.Take(list); err != nil || len(list) != Max {
			t.Errorf("%d taken of what was there before the end, %v", len(list), err)
		}
		if _, err = q.Take(list); !errors.Is(err, errEnd) {
			t.Errorf("ended with %v", err)
		}
	})
}

// I15: what is large waits by its bytes. One value that is larger than all that may wait gets through by itself.
func TestI15BoundedInBytes(t *testing.T) {
	for size, want := range map[int]int{64 << 10: BytesMax / (64 << 10), BytesMax/2 + 1: 2, 2 * BytesMax: 1} {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue()
			go func() {
				for n := range 100 {
					q.Put(item{n, size})
				}
				q.End(errEnd)
			}()
			all := 0
			for {
				synctest.Wait()
				list, err := q.Take(nil)
				if err != nil {
					break
				}
				if all += len(list); len(list) > want {
					t.Fatalf("%d of %d bytes waited, want %d at most", len(list), size, want)
				}
			}
			if all != 100 {
				t.Errorf("%d of 100 of %d bytes", all, size)
			}
		})
	}
}

// What was taken is not kept alive by the room that it leaves.
func TestTakeForgetsWhatWasTakenBefore(t *testing.T) {
	q := New(func(**item) int { return 0 })
	q.Put(&item{})
	first, _ := q.Take(nil)
	q.Put(&item{})
	if _, err := q.Take(first); err != nil || first[0] != nil {
		t.Errorf("%v is still held, %v", first[0], err)
	}
}
