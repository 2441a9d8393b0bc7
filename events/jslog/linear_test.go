package jslog_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"rollcall/events"
	"rollcall/events/jslog"
)

// What one client asked of a node's history, and what it was answered.
type (
	request struct {
		node   string
		id     string // of the event that is appended; empty for a read of the last position
		expect uint64
	}
	answer struct {
		position uint64
		conflict bool
	}
)

// history is the model: the state is the position of the newest event about the node. strict says that a conflict is
// answered only when there is one; several servers also answer so while another append is in flight.
func history(strict bool) porcupine.Model {
	return porcupine.Model{
		Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
			nodes := make(map[string][]porcupine.Operation)
			for _, op := range all {
				node := op.Input.(request).node
				nodes[node] = append(nodes[node], op)
			}
			var parts [][]porcupine.Operation
			for _, part := range nodes {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return uint64(0) },
		Step: func(state, input, output any) (bool, any) {
			last, in, out := state.(uint64), input.(request), output.(answer)
			switch {
			case in.id == "":
				return out.position == last, last
			case out.conflict:
				return !strict || in.expect != last, last
			default:
				return in.expect == last && out.position > last, out.position
			}
		},
	}
}

// clients race on two nodes until enough says so of their number of operations: each reads the last position or guesses
// it, and appends. What they asked and were answered is returned with the times of both. An append of unknown outcome counts as one that never returned, where the log holds it.
func clients(t *testing.T, log *jslog.Log, enough func(n int) bool) []porcupine.Operation {
	t.Helper()
	start := time.Now()
	now := func() int64 { return int64(time.Since(start)) }
	var mu sync.Mutex
	var all []porcupine.Operation
	var work sync.WaitGroup
	for client := range 8 {
		work.Go(func() {
			guess := make(map[string]uint64)
			for i := 0; !enough(i); i++ {
				in, out := request{node: fmt.Sprintf("n%d", (client+i)%2)}, answer{}
				op := porcupine.Operation{ClientId: client, Call: now()}
				var err error
				if i%3 == 0 {
					var rec events.Recorded
					if rec, err = log.Last(bounded(t), in.node); errors.Is(err, events.ErrNotFound) {
						err = nil
					}
					out.position = rec.Position
				} else {
					ev := event(events.HealthCheckFailed, in.node)
					in.id, in.expect = ev.ID, guess[in.node]
					out.position, err = log.Append(bounded(t), ev, in.expect)
					if errors.Is(err, events.ErrConflict) {
						out, err = answer{conflict: true}, nil
					}
				}
				op.Return = now()
				switch {
				case errors.Is(err, events.ErrUnavailable) && in.id == "":
					continue // it says nothing
				case errors.Is(err, events.ErrUnavailable):
					op.Return = math.MaxInt64
				case err != nil:
					t.Errorf("client %d: %v", client, err)
					return
				case !out.conflict:
					guess[in.node] = out.position
				}
				op.Input, op.Output = in, out
				mu.Lock()
				all = append(all, op)
				mu.Unlock()
			}
		})
	}
	work.Wait()
	return settled(t, log, all)
}

// settled gives appends of unknown outcome the position that the log holds them at, and leaves out those it does not hold.
func settled(t *testing.T, log *jslog.Log, all []porcupine.Operation) []porcupine.Operation {
	t.Helper()
	var info events.Info
	eventually(t, "the log says how far it reaches", func() bool {
		var err error
		info, err = log.Info(bounded(t))
		return err == nil
	})
	at := make(map[string]uint64)
	for m, err := range log.Scan(bounded(t), info.Last) {
		if err != nil {
			t.Fatal(err)
		}
		rec, err := events.Decode(m.Subject, m.Body)
		if err != nil {
			t.Fatal(err)
		}
		at[rec.ID] = m.Position
	}
	var known []porcupine.Operation
	for _, op := range all {
		if op.Return == math.MaxInt64 {
			position, stored := at[op.Input.(request).id]
			if !stored {
				continue
			}
			op.Output = answer{position: position}
		}
		known = append(known, op)
	}
	return known
}

func wantLinear(t *testing.T, model porcupine.Model, all []porcupine.Operation) {
	t.Helper()
	appends, conflicts := 0, 0
	for _, op := range all {
		if out := op.Output.(answer); out.conflict {
			conflicts++
		} else if op.Input.(request).id != "" {
			appends++
		}
	}
	t.Logf("%d operations: %d appends, %d conflicts", len(all), appends, conflicts)
	if appends == 0 || conflicts == 0 {
		t.Error("nothing was shown")
	}
	if result := porcupine.CheckOperationsTimeout(model, all, patience); result != porcupine.Ok {
		t.Errorf("append and read of the last event are not linearizable: %s", result)
	}
}

// Appends and reads of a node's last event behave as if each happened at one moment between its call and its answer.
func TestLinearizable(t *testing.T) {
	srv := serve(t, t.TempDir(), "")
	log := connect(t, jslog.Config{InProcess: srv, Provision: true})
	wantLinear(t, history(true), clients(t, log, func(n int) bool { return n == 60 }))
}

// The same on three servers, while the stream's leader moves.
func TestLinearizableOnThreeServers(t *testing.T) {
	urls := three(t)
	log := connect(t, jslog.Config{URL: urls, Provision: true, Replicas: 3, AppendTimeout: time.Second})
	nc, _ := plain(t, urls)
	const movesWanted, operationsMax = 3, 1000
	var moves atomic.Int32
	ctx, stop := context.WithCancel(t.Context())
	var mover sync.WaitGroup
	mover.Go(func() {
		for rest := time.NewTicker(100 * time.Millisecond); ctx.Err() == nil; <-rest.C {
			asked, cancel := context.WithTimeout(ctx, time.Second) // no server answers while none leads
			if _, err := nc.RequestWithContext(asked, "$JS.API.STREAM.LEADER.STEPDOWN."+events.StreamName(cluster), nil); err == nil {
				moves.Add(1)
			}
			cancel()
		}
	})
	all := clients(t, log, func(n int) bool { return n >= operationsMax || n >= 40 && moves.Load() >= movesWanted })
	stop()
	mover.Wait()
	t.Logf("the leader moved %d times", moves.Load())
	if moves.Load() < movesWanted {
		t.Error("the leader stayed: nothing was shown")
	}
	wantLinear(t, history(false), all)
}
