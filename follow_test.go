package rollcall_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall"
	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/events/memlog"
	"rollcall/infra/natsd"
)

// A service follows the cluster through the embedded server's log. In production Config.URL names the servers instead.
func ExampleFollow() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "rollcall-follow-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	server, err := natsd.Start(ctx, natsd.Config{Dir: filepath.Join(dir, "nats")})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Shutdown()
	history, err := jslog.Connect(ctx, jslog.Config{InProcess: server, Cluster: "default", Provision: true})
	if err != nil {
		log.Fatal(err)
	}
	defer history.Close()

	replica, err := rollcall.Follow(ctx, rollcall.FollowOptions{Cluster: "default", Log: history})
	if err != nil {
		log.Fatal(err)
	}
	defer replica.Close()
	changes := replica.Changes(ctx)

	position, err := history.Append(ctx, events.Event{ // as a member does when it joins
		ID: events.NewID(), Kind: events.Joined, Cluster: "default", Node: "n1", Author: "n1", Time: time.Now(),
		Incarnation: 1, Address: "10.0.0.1:7946", Tags: map[string]string{"role": "web"},
	}, 0)
	if err != nil {
		log.Fatal(err)
	}
	if err := replica.WaitFor(ctx, position); err != nil { // read what was just written
		log.Fatal(err)
	}
	for _, n := range replica.WithTag("role", "web") {
		fmt.Println(n.ID, n.State, n.Address)
	}
	for c := range changes {
		fmt.Println(c.Event.Kind, c.After.ID, c.Before.State, "to", c.After.State)
		break
	}
	// Output:
	// n1 alive 10.0.0.1:7946
	// joined n1 unknown to alive
}

// scribe writes a log.
type scribe struct {
	t    *testing.T
	log  *memlog.Log
	last map[string]uint64
}

func newScribe(t *testing.T) *scribe {
	return &scribe{t: t, log: memlog.New(cluster), last: make(map[string]uint64)}
}

func (s *scribe) say(kind events.Kind, node, author string, incarnation uint64, tags ...string) uint64 {
	s.t.Helper()
	ev := events.Event{
		ID: events.NewID(), Kind: kind, Cluster: cluster, Node: node, Author: author, Time: time.Now().UTC(), Incarnation: incarnation,
	}
	if kind == events.Joined {
		ev.Address = "127.0.0.1:7946"
	}
	for _, tag := range tags {
		ev.Tags = map[string]string{"role": tag}
	}
	position, err := s.log.Append(s.t.Context(), ev, s.last[node])
	if err != nil {
		s.t.Fatal(err)
	}
	s.last[node] = position
	return position
}

func (s *scribe) follow() *rollcall.Replica {
	s.t.Helper()
	r, err := rollcall.Follow(s.t.Context(), rollcall.FollowOptions{Cluster: cluster, Log: s.log})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(r.Close)
	return r
}

func (s *scribe) wait(r *rollcall.Replica, position uint64) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := r.WaitFor(ctx, position); err != nil {
		s.t.Fatal(err)
	}
}

func idsOf(list []events.Node) []string {
	var out []string
	for _, n := range list {
		out = append(out, n.ID)
	}
	return out
}

// A replica is whole when Follow returns, and holds what the log says.
func TestFollowReads(t *testing.T) {
	s := newScribe(t)
	for i, id := range []string{"n1", "n2", "n3", "n4"} {
		s.say(events.Joined, id, id, 1, []string{"web", "db"}[i%2])
	}
	s.say(events.Left, "n4", "n4", 1)
	s.say(events.Suspected, "n2", "n1", 1)
	end := s.say(events.Accused, "n9", "n1", 1) // of whom the log knows nothing else
	r := s.follow()
	if got := r.Position(); got != end {
		t.Errorf("position %d when Follow returns, want %d", got, end)
	}
	for what, c := range map[string]struct{ got, want []string }{
		"all":     {idsOf(r.All()), []string{"n1", "n2", "n3", "n4"}},
		"alive":   {idsOf(r.Alive()), []string{"n1", "n3"}},
		"web":     {idsOf(r.WithTag("role", "web")), []string{"n1", "n3"}},
		"db":      {idsOf(r.WithTag("role", "db")), nil}, // suspect, and left
		"no tag":  {idsOf(r.WithTag("zone", "")), nil},
		"nowhere": {idsOf(r.WithTag("role", "cache")), nil},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %v, want %v", what, c.got, c.want)
		}
	}
	if n, ok := r.Get("n2"); !ok || n.State != events.StateSuspect || n.Tags["role"] != "db" || !slices.Equal(n.Accusers, []string{"n1"}) {
		t.Errorf("n2 is %+v (%v)", n, ok)
	}
	for _, id := range []string{"n9", "nobody"} {
		if n, ok := r.Get(id); ok {
			t.Errorf("%s is on the roll: %+v", id, n)
		}
	}
	if allocs := testing.AllocsPerRun(100, func() { r.Get("n2") }); allocs != 0 {
		t.Errorf("Get allocates %v times", allocs)
	}
	if err := r.WaitFor(t.Context(), s.say(events.Refuted, "n2", "n2", 2)); err != nil {
		t.Fatal(err)
	}
	if got := idsOf(r.Alive()); !slices.Equal(got, []string{"n1", "n2", "n3"}) {
		t.Errorf("after the refutation %v are alive", got)
	}
}

func TestFollowChanges(t *testing.T) {
	s := newScribe(t)
	s.say(events.Joined, "n1", "n1", 1)
	s.say(events.Joined, "n2", "n2", 1)
	r := s.follow()
	changes := r.Changes(t.Context())
	s.say(events.Suspected, "n2", "n1", 1)
	s.say(events.Accused, "n2", "n1", 1) // changes nothing
	s.say(events.Refuted, "n2", "n2", 2)
	end := s.say(events.Left, "n2", "n2", 2)
	s.wait(r, end)
	r.Close() // what was queued is still yielded
	var got []string
	for c := range changes {
		got = append(got, fmt.Sprintf("%d %s %s-%s %d", c.Event.Position, c.After.ID, c.Before.State, c.After.State, c.Missed))
	}
	want := []string{"3 n2 alive-suspect 0", "5 n2 suspect-alive 0", "6 n2 alive-left 0"}
	if !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
	for c := range r.Changes(t.Context()) {
		t.Errorf("a closed replica changes: %+v", c)
	}
}

// I15: a reader that does not read costs what its queue holds, is told how many it missed, and holds nobody up.
func TestFollowSlowReader(t *testing.T) {
	s := newScribe(t)
	r := s.follow()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changes := r.Changes(ctx)
	const queue, more = 1024, 500
	var end uint64
	for i := range uint64(queue + more) {
		end = s.say(events.Joined, "n1", "n1", i+1)
	}
	s.wait(r, end)
	n, missed := 0, uint64(0)
	for c := range changes {
		if n++; n == 1 {
			s.wait(r, s.say(events.Left, "n1", "n1", queue+more)) // there is room again
		}
		if missed += c.Missed; c.Event.Kind == events.Left {
			break
		}
	}
	if n != queue+1 || missed != more {
		t.Errorf("%d changes, %d missed; want %d and %d", n, missed, queue+1, more)
	}
}

// What a slow reader lost at the very end is told too, in quiet times and when the replica ends.
func TestFollowTellsOfALostTail(t *testing.T) {
	const queue, more = 1024, 476
	for name, closes := range map[string]bool{"quiet": false, "closed": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScribe(t)
				r := s.follow()
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				changes := r.Changes(ctx)
				var end uint64
				for i := range uint64(queue + more) {
					end = s.say(events.Joined, "n1", "n1", i+1)
				}
				s.wait(r, end)
				if closes {
					r.Close()
				}
				n, missed := 0, uint64(0)
				for c := range changes {
					if missed += c.Missed; c.Event.Position > 0 {
						n++
					} else if c.Missed == 0 || c.After.ID != "" {
						t.Errorf("a change without an event: %+v", c)
					}
				}
				if n != queue || missed != more {
					t.Errorf("%d changes, %d missed; want %d and %d", n, missed, queue, more)
				}
				r.Close()
			})
		})
	}
}

func TestFollowChangesEndWithTheirContext(t *testing.T) {
	s := newScribe(t)
	r := s.follow()
	ctx, cancel := context.WithCancel(t.Context())
	changes := r.Changes(ctx)
	var work sync.WaitGroup
	work.Go(func() {
		for range changes {
		}
	})
	cancel()
	work.Wait()
}

// The log goes away and comes back: what the replica knows stays, and it says how old that is.
func TestFollowThroughAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScribe(t)
		s.say(events.Joined, "n1", "n1", 1)
		r, err := rollcall.Follow(t.Context(), rollcall.FollowOptions{Cluster: cluster, Log: s.log})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		time.Sleep(10 * time.Second)
		if status := r.Status(); !status.Connected || status.Err != nil || status.Behind != 0 || time.Since(status.AsOf) > time.Second {
			t.Errorf("in good times: %+v", status)
		}
		s.log.SetAvailable(false)
		time.Sleep(time.Minute)
		status := r.Status()
		if status.Connected || !errors.Is(status.Err, events.ErrUnavailable) || time.Since(status.AsOf) < time.Minute {
			t.Errorf("while the log is away: %+v", status)
		}
		if _, ok := r.Get("n1"); !ok {
			t.Error("what it knew is gone")
		}
		waiting, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.WaitFor(waiting, 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting meanwhile: %v", err)
		}
		s.log.SetAvailable(true)
		s.say(events.Joined, "n2", "n2", 1)
		time.Sleep(2 * time.Second)
		if status := r.Status(); status.Position != 2 || !status.Connected || time.Since(status.AsOf) > time.Second {
			t.Errorf("afterwards: %+v", status)
		}
	})
}

// An event that the replica is late to read says nothing about what the log holds by now: the replica is as old as the last
// question that it has caught up with, and a log that never rests is caught up with all the same.
func TestFollowIsAsOldAsItWasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScribe(t)
		s.say(events.Joined, "n1", "n1", 1)
		const late, pause = 1500 * time.Millisecond, 50 * time.Millisecond
		r, err := rollcall.Follow(t.Context(), rollcall.FollowOptions{Cluster: cluster, Log: lateLog{s.log, late}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for i := range uint64(200) {
			s.say(events.Refuted, "n1", "n1", i+2)
			time.Sleep(pause)
			if age := time.Since(r.Status().AsOf); i > 100 && (age < late-pause || age > 3*late) {
				t.Fatalf("after %d events it claims to be %v old, and every event reaches it %v late", i, age, late)
			}
		}
	})
}

// lateLog brings every event to its readers a while after it was stored.
type lateLog struct {
	*memlog.Log
	late time.Duration
}

func (l lateLog) Subscribe(ctx context.Context, filter events.Filter, from events.From) iter.Seq2[events.Recorded, error] {
	return func(yield func(events.Recorded, error) bool) {
		for rec, err := range l.Log.Subscribe(ctx, filter, from) {
			time.Sleep(time.Until(rec.Stored.Add(l.late))) // sleep: virtual, in a bubble
			if !yield(rec, err) {
				return
			}
		}
	}
}

// A replica that could be wrong says so, and gives no new answers.
func TestFollowEnds(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(s *scribe)
		want    error
	}{
		"the log is replaced": {func(s *scribe) { s.log.Replace() }, events.ErrReplaced},
		"a newer version":     {func(s *scribe) { s.log.Inject("rollcall.test.node.n1.n1.resurrected", []byte("{}")) }, events.ErrUnknownKind},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScribe(t)
			s.say(events.Joined, "n1", "n1", 1)
			r := s.follow()
			changes := r.Changes(t.Context())
			c.happens(s)
			select {
			case <-r.Done():
			case <-time.After(patience):
				t.Fatal("it goes on")
			}
			if err := r.Err(); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if status := r.Status(); status.Connected || !errors.Is(status.Err, c.want) {
				t.Errorf("status %+v", status)
			}
			if err := r.WaitFor(t.Context(), 5); !errors.Is(err, c.want) {
				t.Errorf("waiting: %v, want %v", err, c.want)
			}
			for range changes {
				t.Error("it changes")
			}
			if _, ok := r.Get("n1"); !ok {
				t.Error("what it knew is gone")
			}
		})
	}
}

func TestFollowPassesOverWhatCannotBeRead(t *testing.T) {
	s := newScribe(t)
	s.log.Inject("rollcall.test.node.n1.n1.left", []byte("bye"))
	r := s.follow()
	if status := r.Status(); status.Position != 1 || status.Unreadable != 1 {
		t.Errorf("status %+v, want position 1 with one unreadable event", status)
	}
}

func TestFollowRefuses(t *testing.T) {
	for name, opt := range map[string]rollcall.FollowOptions{
		"Cluster": {Cluster: "a.b", Log: memlog.New(cluster)},
		"Log":     {Cluster: cluster},
	} {
		if _, err := rollcall.Follow(t.Context(), opt); err == nil {
			t.Errorf("a bad %s: no error", name)
		}
	}
	away := memlog.New(cluster)
	away.SetAvailable(false)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := rollcall.Follow(ctx, rollcall.FollowOptions{Cluster: cluster, Log: away}); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("a log that is away: %v; want ErrUnavailable", err)
	}
	trimmed := newScribe(t)
	trimmed.say(events.Joined, "n1", "n1", 1)
	trimmed.say(events.Left, "n1", "n1", 1)
	trimmed.log.Trim(2)
	if _, err := rollcall.Follow(t.Context(), rollcall.FollowOptions{Cluster: cluster, Log: trimmed.log}); !errors.Is(err, events.ErrIncomplete) {
		t.Errorf("a log without its beginning: %v; want ErrIncomplete", err)
	}
}

// Many read while one log is written (for the race detector), and nobody sees the roll go back.
func TestFollowConcurrentReaders(t *testing.T) {
	s := newScribe(t)
	s.say(events.Joined, "n1", "n1", 1)
	r := s.follow()
	var work sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 4 {
		work.Go(func() {
			for last := uint64(0); ctx.Err() == nil; {
				n, _ := r.Get("n1")
				if n.Incarnation < last {
					t.Errorf("incarnation %d after %d", n.Incarnation, last)
				}
				last = n.Incarnation
				_, _, _ = r.Alive(), r.WithTag("role", "web"), r.Status()
			}
		})
	}
	var end uint64
	for i := range uint64(300) {
		end = s.say(events.Joined, "n1", "n1", i+2, "web")
	}
	s.wait(r, end)
	cancel()
	work.Wait()
}
