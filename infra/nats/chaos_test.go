package nats_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/events/verify"
	"rollcall/infra/nats"
)

var chaosFor = flag.Duration("chaos", 3*time.Second, "how long servers are killed under appends")

// writers is how many members write at the same time, each about itself and about one node that all of them accuse.
const writers = 8

// damage is what a server says that cannot read or write what it holds, and takes everything from the others.
var damage = regexp.MustCompile(`.*(Error recreating stream|critical write error).*`)

// I1, I2, I10, I11: three servers are killed and started again, one after the other, and the stream's leader is moved, while
// eight members append. What was acknowledged is in the log, once, where it was said to be; what the log holds follows.
func TestKilledServers(t *testing.T) {
	var ids []string
	for i := range writers {
		ids = append(ids, fmt.Sprintf("n%d", i+1))
	}
	s, all := processes(t, ids...)
	eventually(t, "the stream is made", func() bool { // three processes have to start
		log, err := s.log(t, nats.ProvisionerKey, func(cfg *jslog.Config) { cfg.Provision = true })
		if err == nil {
			log.Close()
		}
		return err == nil
	})
	reader, err := s.log(t, nats.ReaderKey("projector"), nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := newWitness(t, reader)

	writing, stop := context.WithCancel(t.Context())
	defer stop()
	var work sync.WaitGroup
	said := make([]*writer, writers)
	for i, id := range ids {
		w := &writer{t: t, id: id, log: s.member(t, id), acknowledged: make(map[string]uint64)}
		said[i] = w
		work.Go(func() { w.run(writing) })
	}
	kills, moves := s.torment(t, all)
	stop()
	work.Wait()

	info := s.lastInfo(t, reader)
	seen.until(info.Last)
	total := check(t, reader, info.Last, said)
	for _, p := range all {
		if text := damage.FindString(read(t, p.log)); text != "" {
			t.Errorf("a server lost what it held, or could not write it: %s", text)
		}
	}
	t.Logf("%d kills, %d leaders moved, %d events acknowledged of %d stored", kills, moves, total, info.Last)
	if kills == 0 || moves == 0 || total < writers {
		t.Error("nothing was shown")
	}
}

// torment kills servers and moves the leader until chaosFor has passed, and returns when all servers are well again.
func (s *servers) torment(t *testing.T, all []*process) (kills, moves int) {
	t.Helper()
	nc, _ := s.plain(t, nats.AdministratorKey)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s.healthy(t, js)
	rng := rand.New(rand.NewPCG(1, 2))
	for deadline := time.Now().Add(*chaosFor); kills == 0 || time.Now().Before(deadline); {
		if _, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+events.StreamName(cluster), nil, time.Second); err == nil {
			moves++
		}
		victim := all[rng.IntN(len(all))]
		victim.kill()
		kills++
		pause := time.NewTimer(rand.N(500 * time.Millisecond))
		<-pause.C
		victim.start(t)
		s.healthy(t, js)
	}
	return kills, moves
}

// healthy waits until the stream has a leader and all copies are as new as its own.
func (s *servers) healthy(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	eventually(t, "all three servers have the whole stream", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), patience/4) // a loaded machine takes seconds for an answer
		defer cancel()
		stream, err := js.Stream(ctx, events.StreamName(cluster))
		if err != nil || stream.CachedInfo().Cluster == nil || stream.CachedInfo().Cluster.Leader == "" {
			return false
		}
		copies := 1
		for _, peer := range stream.CachedInfo().Cluster.Replicas {
			if peer.Current && !peer.Offline {
				copies++
			}
		}
		return copies == len(s.cfg.Servers)
	})
}

func (s *servers) lastInfo(t *testing.T, log *jslog.Log) (info events.Info) {
	t.Helper()
	eventually(t, "the log says how far it reaches", func() bool {
		var err error
		info, err = log.Info(bounded(t))
		return err == nil
	})
	return info
}

// writer appends as one member, and remembers what the log acknowledged.
type writer struct {
	t            *testing.T
	id           string
	log          *jslog.Log
	acknowledged map[string]uint64 // event id to position
}

func (w *writer) run(ctx context.Context) {
	own, ok := w.say(ctx, event(events.Joined, w.id, w.id), 0)
	shared := uint64(0)
	for incarnation := uint64(2); ok; incarnation++ {
		tagged := event(events.Tagged, w.id, w.id)
		tagged.Incarnation = incarnation
		if own, ok = w.say(ctx, tagged, own); !ok {
			return
		}
		shared, ok = w.say(ctx, event(events.HealthCheckFailed, "contended", w.id), shared)
	}
}

// say appends ev until the log has it, as a recorder does, or ctx ends.
func (w *writer) say(ctx context.Context, ev events.Event, expect uint64) (uint64, bool) {
	for ctx.Err() == nil {
		position, err := w.log.Append(ctx, ev, expect)
		var duplicate *events.DuplicateError
		switch {
		case err == nil:
			w.acknowledged[ev.ID] = position
			return position, true
		case errors.As(err, &duplicate):
			w.acknowledged[ev.ID] = duplicate.Position
			return duplicate.Position, true
		case errors.Is(err, events.ErrConflict):
			if last, err := w.log.Last(ctx, ev.Node); err == nil {
				expect = last.Position
			}
		case errors.Is(err, events.ErrUnavailable):
			pause := time.NewTimer(20 * time.Millisecond)
			<-pause.C
		default:
			w.t.Errorf("%s appends %s of %s: %v", w.id, ev.Kind, ev.Node, err)
			return 0, false
		}
	}
	return 0, false
}

// check reads the whole log and compares it with what its writers were told. It returns how many events that are.
func check(t *testing.T, log *jslog.Log, last uint64, said []*writer) (total int) {
	t.Helper()
	at := make(map[string]uint64)
	v := verify.New(cluster, func(f verify.Finding) {
		if f.Severity == verify.Violation {
			t.Error(f)
		}
	})
	for m, err := range log.Scan(bounded(t), last) {
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Next(m.Position, m.Subject, m.Body); err != nil {
			t.Fatal(err)
		}
		rec, err := events.Decode(m.Subject, m.Body)
		if err != nil {
			t.Fatal(err)
		}
		at[rec.ID] = m.Position
	}
	v.End(last)
	for _, w := range said {
		total += len(w.acknowledged)
		for id, position := range w.acknowledged {
			if at[id] != position {
				t.Errorf("%s was told that %s is at position %d, it is at %d", w.id, id, position, at[id])
			}
		}
	}
	return total
}

// witness reads along from the beginning: each position once, in order, whatever happens to the servers.
type witness struct {
	t    *testing.T
	at   chan uint64 // every position, as it comes
	done chan struct{}
}

func newWitness(t *testing.T, log *jslog.Log) *witness {
	w := &witness{t: t, at: make(chan uint64, 1), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(w.done)
		want := uint64(1)
		for rec, err := range log.Subscribe(ctx, events.Filter{}, events.From{}) {
			if err != nil || rec.Position != want {
				t.Errorf("the subscription yields position %d, error %v; want %d", rec.Position, err, want)
				return
			}
			want++
			select {
			case <-w.at:
			default:
			}
			w.at <- rec.Position
		}
	}()
	t.Cleanup(func() { cancel(); <-w.done })
	return w
}

// until waits for a position.
func (w *witness) until(last uint64) {
	w.t.Helper()
	for deadline := time.After(patience); ; {
		select {
		case position := <-w.at:
			if position >= last {
				return
			}
		case <-w.done:
			w.t.Fatal("the subscription has ended")
		case <-deadline:
			w.t.Fatalf("the subscription does not reach position %d", last)
		}
	}
}
