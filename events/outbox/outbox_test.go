package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/events"
	"rollcall/events/outbox"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		child(role, os.Getenv(childPath))
		return
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, cfg outbox.Config) *outbox.Outbox {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = filepath.Join(t.TempDir(), "new", "outbox.db")
	}
	box, err := outbox.Open(cfg)
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

// event is an accusation whose text tells it from others.
func event(text string) events.Event {
	return events.Event{
		ID: events.NewID(), Kind: events.Suspected, Cluster: "test", Node: "v", Author: "m",
		Time: time.Unix(1700000000, 0).UTC(), Incarnation: 1, Evidence: events.Evidence{Reason: text}.Raw(),
	}
}

func put(t *testing.T, box *outbox.Outbox, evs ...events.Event) {
	t.Helper()
	if err := box.Put(evs...); err != nil {
		t.Fatal(err)
	}
}

func text(ev events.Event) string {
	e, _ := events.ParseEvidence(ev.Evidence)
	return e.Reason
}

// pending reads everything that waits, a few at a time.
func pending(t testing.TB, box *outbox.Outbox) []outbox.Entry {
	t.Helper()
	var all []outbox.Entry
	after := uint64(0)
	for {
		entries, err := box.Pending(after, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return all
		}
		all = append(all, entries...)
		after = entries[len(entries)-1].Seq
	}
}

func texts(entries []outbox.Entry) string {
	var s []string
	for _, e := range entries {
		s = append(s, text(e.Event))
	}
	return strings.Join(s, " ")
}

func TestInOrderUntilDone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	box := open(t, outbox.Config{Path: path})
	first := event("a")
	first.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	put(t, box, first, event("b"))
	put(t, box, event("c"), event("d"))
	all := pending(t, box)
	if texts(all) != "a b c d" || box.Len() != 4 {
		t.Fatalf("pending %s, %d", texts(all), box.Len())
	}
	if !reflect.DeepEqual(all[0].Event, first) {
		t.Errorf("put %+v\ngot %+v", first, all[0].Event)
	}
	box.Done(all[1].Seq, all[1].Seq)
	if got := texts(pending(t, box)); got != "a c d" || box.Len() != 3 {
		t.Errorf("after b is done: %s, %d", got, box.Len())
	}
	if _, err := box.Get(all[1].Seq); !errors.Is(err, outbox.ErrNoEntry) {
		t.Errorf("Get of what is done: %v", err)
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}

	box = open(t, outbox.Config{Path: path})
	if got := texts(pending(t, box)); got != "a c d" || box.Len() != 3 {
		t.Errorf("opened again: %s, %d", got, box.Len())
	}
	put(t, box, event("e"))
	again := pending(t, box)
	if last := again[len(again)-1]; text(last.Event) != "e" || last.Seq <= all[3].Seq {
		t.Errorf("a sequence of %d after %d", last.Seq, all[3].Seq)
	}
}

func TestReplace(t *testing.T) {
	box := open(t, outbox.Config{})
	put(t, box, event("a"), event("b"), event("c"))
	b := pending(t, box)[1].Seq
	if err := box.Replace(b, event("B")); err != nil {
		t.Fatal(err)
	}
	if got := texts(pending(t, box)); got != "a B c" {
		t.Errorf("pending %s, want a B c", got)
	}
	if e, err := box.Get(b); err != nil || text(e.Event) != "B" {
		t.Errorf("Get: %v, %v", e, err)
	}
	box.Done(b)
	for name, err := range map[string]error{"Replace": box.Replace(b, event("x")), "SetAside": box.SetAside(b, "x")} {
		if !errors.Is(err, outbox.ErrNoEntry) {
			t.Errorf("%s of what is done: %v, want %v", name, err, outbox.ErrNoEntry)
		}
	}
}

func TestLimit(t *testing.T) {
	box := open(t, outbox.Config{Limit: 3})
	put(t, box, event("a"), event("b"))
	if err := box.Put(event("c"), event("d")); !errors.Is(err, outbox.ErrFull) {
		t.Errorf("beyond the limit: %v, want %v", err, outbox.ErrFull)
	}
	if got := texts(pending(t, box)); got != "a b" {
		t.Errorf("pending %s, want all or none of a Put", got)
	}
	put(t, box, event("c"))
	if err := box.Accepting(); !errors.Is(err, outbox.ErrFull) {
		t.Errorf("Accepting at the limit: %v", err)
	}
	if err := box.SetAside(pending(t, box)[0].Seq, "denied"); err != nil {
		t.Fatal(err)
	}
	if err := box.Accepting(); !errors.Is(err, outbox.ErrFull) {
		t.Errorf("what is put aside counts, too: %v", err)
	}
	box.Done(pending(t, box)[0].Seq)
	poll(t, "room after Done", func() bool { return box.Accepting() == nil })
	put(t, box, event("d"))
}

// A Put that holds an event no log would take keeps none of it.
func TestInvalidEvent(t *testing.T) {
	box := open(t, outbox.Config{})
	bad := event("bad")
	bad.Incarnation = 0
	if err := box.Put(event("a"), bad); !errors.Is(err, events.ErrInvalid) {
		t.Errorf("Put: %v, want %v", err, events.ErrInvalid)
	}
	if n := box.Len(); n != 0 {
		t.Errorf("%d entries kept, want none", n)
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := open(t, outbox.Config{})
		put(t, box, event("a"), event("b"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		waited := make(chan error, 1)
		go func() { waited <- box.Wait(ctx) }()
		all := pending(t, box)
		box.Done(all[0].Seq)
		synctest.Wait()
		if len(waited) != 0 {
			t.Error("Wait returned with an entry pending")
		}
		if err := box.SetAside(all[1].Seq, "denied"); err != nil {
			t.Fatal(err)
		}
		if err := <-waited; err != nil {
			t.Errorf("Wait: %v", err)
		}
		put(t, box, event("c"))
		if err := box.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait: %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

func TestClosed(t *testing.T) {
	box := open(t, outbox.Config{})
	put(t, box, event("a"))
	if err := errors.Join(box.Close(), box.Close()); err != nil {
		t.Fatal(err)
	}
	_, pendingErr := box.Pending(0, 1)
	_, getErr := box.Get(1)
	for name, err := range map[string]error{
		"Put": box.Put(event("b")), "Accepting": box.Accepting(), "SetAside": box.SetAside(1, "x"),
		"Wait": box.Wait(t.Context()), "Pending": pendingErr, "Get": getErr,
	} {
		if !errors.Is(err, outbox.ErrClosed) {
			t.Errorf("%s: %v, want %v", name, err, outbox.ErrClosed)
		}
	}
}

// One process has the file. In virtual time, as the second one waits a moment for the first.
func TestLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "outbox.db")
		box := open(t, outbox.Config{Path: path})
		if _, err := outbox.Open(outbox.Config{Path: path}); !errors.Is(err, outbox.ErrLocked) {
			t.Errorf("a second Open: %v, want %v", err, outbox.ErrLocked)
		}
		time.AfterFunc(500*time.Millisecond, func() { box.Close() })
		open(t, outbox.Config{Path: path})
	})
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	foreign := filepath.Join(dir, "foreign")
	if err := os.WriteFile(foreign, []byte(strings.Repeat("not an outbox\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.Open(outbox.Config{Path: foreign}); err == nil || !strings.Contains(err.Error(), foreign) {
		t.Errorf("a foreign file: %v", err)
	}
	newer := filepath.Join(dir, "newer")
	open(t, outbox.Config{Path: newer}).Close()
	tamper(t, newer, "meta", func(b *bbolt.Bucket) error { return b.Put([]byte("format"), []byte{9}) })
	if _, err := outbox.Open(outbox.Config{Path: newer}); !errors.Is(err, outbox.ErrFormat) {
		t.Errorf("a newer format: %v, want %v", err, outbox.ErrFormat)
	}
	for _, cfg := range []outbox.Config{{}, {Path: filepath.Join(dir, "x"), Limit: -1}} {
		if _, err := outbox.Open(cfg); err == nil {
			t.Errorf("Open(%+v) succeeded", cfg)
		}
	}
}

// What cannot be read, or must not be said, blocks nothing, is not lost, and gets its place back at the next Open.
func TestPutAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	box := open(t, outbox.Config{Path: path})
	put(t, box, event("a"), event("b"), event("c"), event("d"))
	all := pending(t, box)
	if err := box.SetAside(all[2].Seq, "denied"); err != nil {
		t.Fatal(err)
	}
	box.Close()
	key := []byte{0, 0, 0, 0, 0, 0, 0, byte(all[1].Seq)}
	tamper(t, path, "pending", func(b *bbolt.Bucket) error {
		record := slices.Clone(b.Get(key))
		record[len(record)-2] ^= 1
		return b.Put(key, record)
	})

	box = open(t, outbox.Config{Path: path})
	if got := texts(pending(t, box)); got != "a c d" || box.Len() != 3 || box.AsideLen() != 1 {
		t.Errorf("pending %s, %d, and %d put aside; want c back and b put aside", got, box.Len(), box.AsideLen())
	}
	aside, err := box.Aside(10)
	if err != nil || len(aside) != 1 || aside[0].Seq != all[1].Seq || !strings.Contains(aside[0].Reason, "checksum") ||
		aside[0].Err == nil {
		t.Errorf("put aside: %+v, %v", aside, err)
	}
}

func tamper(t *testing.T, path, bucket string, change func(*bbolt.Bucket) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error { return change(tx.Bucket([]byte(bucket))) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// Many goroutines put while one drains: everything comes through once, each goroutine's in its order.
func TestConcurrent(t *testing.T) {
	const writers, each = 8, 50
	box := open(t, outbox.Config{})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := box.Put(event(fmt.Sprintf("%d-%02d", w, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	last := make(map[string]string)
	after, n := uint64(0), 0
	poll(t, "everything drained", func() bool {
		entries, err := box.Pending(after, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			writer, _, _ := strings.Cut(text(e.Event), "-")
			if text(e.Event) <= last[writer] {
				t.Errorf("%s after %s", text(e.Event), last[writer])
			}
			last[writer] = text(e.Event)
			after = e.Seq
			n++
			box.Done(e.Seq)
		}
		return n == writers*each
	})
	wg.Wait()
	if err := box.Wait(t.Context()); err != nil || box.Len() != 0 {
		t.Errorf("%d left, %v", box.Len(), err)
	}
}

// poll fails the test when done does not become true within half a minute.
func poll(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// Accepted counts what was ever put, whatever became of it and however often the file was opened since.
func TestAccepted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	accepted := func(box *outbox.Outbox, want uint64) {
		t.Helper()
		if n, err := box.Accepted(); err != nil || n != want {
			t.Errorf("accepted %d, error %v; want %d", n, err, want)
		}
	}
	box := open(t, outbox.Config{Path: path})
	accepted(box, 0)
	put(t, box, event("a"), event("b"), event("c"))
	box.Done(1, 3)
	if err := box.SetAside(2, "a test"); err != nil {
		t.Fatal(err)
	}
	accepted(box, 3)
	if err := box.Put(event("d"), events.Event{}); !errors.Is(err, events.ErrInvalid) {
		t.Errorf("put what no log takes: %v", err)
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := box.Accepted(); !errors.Is(err, outbox.ErrClosed) {
		t.Errorf("asked when closed: %v; want ErrClosed", err)
	}
	box = open(t, outbox.Config{Path: path})
	accepted(box, 3)
	put(t, box, event("e"))
	accepted(box, 4)
	if entries := pending(t, box); len(entries) != 2 || entries[1].Seq != 4 {
		t.Errorf("pending %v, want the entries 2 and 4", entries)
	}
}
