package rollcall_test

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rollcall"
	"rollcall/events"
	"rollcall/swim"
)

// line is one member's own way to the log, which can be cut.
type line struct {
	events.Log
	mu  sync.Mutex
	up  context.Context // ends with the next cut
	cut func()

	between atomic.Int64 // two events that are read: a time.Duration
}

func newLine(log events.Log) *line {
	l := &line{Log: log}
	l.mend()
	return l
}

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up, l.cut = context.WithCancel(context.Background())
}

func (l *line) now() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up
}

func (l *line) Info(ctx context.Context) (events.Info, error) {
	if l.now().Err() != nil {
		return events.Info{}, events.ErrUnavailable
	}
	return l.Log.Info(ctx)
}

func (l *line) Append(ctx context.Context, ev events.Event, expect uint64) (uint64, error) {
	if l.now().Err() != nil {
		return 0, events.ErrUnavailable
	}
	return l.Log.Append(ctx, ev, expect)
}

func (l *line) Subscribe(ctx context.Context, f events.Filter, from events.From) iter.Seq2[events.Recorded, error] {
	return func(yield func(events.Recorded, error) bool) {
		up := l.now()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(up, cancel)()
		for rec, err := range l.Log.Subscribe(ctx, f, from) {
			if up.Err() != nil {
				err = events.ErrUnavailable
			}
			select {
			case <-time.After(time.Duration(l.between.Load())):
			case <-up.Done():
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// three is n1, n2, n3, who know each other, and n1 reads log; nothing but that reaches n1 while it is alone, which is no partition
// here.
func three(h *house, log events.Log) (n1, n2, n3 *rollcall.Member) {
	join := func(id string, log events.Log, seeds ...netip.AddrPort) *rollcall.Member {
		opt := h.options(id, seeds...)
		opt.Log, opt.Protocol.PartitionGrace = log, time.Hour
		return h.join(opt)
	}
	n1 = join("n1", log)
	n2, n3 = join("n2", h.log, n1.Addr()), join("n3", h.log, n1.Addr())
	members := []*rollcall.Member{n1, n2, n3}
	for _, m := range members {
		for _, other := range members {
			sees(h.t, m, swim.ID(other.ID()), swim.Alive)
		}
		h.drained(m)
	}
	return n1, n2, n3
}

func alone(one, other swim.ID) bool { return (one == "n1") != (other == "n1") }

// What is in the log is merged by whom no gossip reaches, at once.
func TestLogReachesWhomGossipDoesNot(t *testing.T) {
	t.Parallel()
	inBubble(t, func(h *house) {
		n1, n2, n3 := three(h, h.log)
		h.ether.divide(alone)
		began := time.Now()
		web := map[string]string{"role": "web"}
		if err := n3.SetTags(h.t.Context(), web); err != nil {
			h.t.Fatal(err)
		}
		eventually(h.t, "n1 has n3's tags", func() error {
			if m, _ := n1.Registry().Get("n3"); !m.Tags.Equal(swim.NewTags(web)) {
				return fmt.Errorf("it has %+v", m)
			}
			return nil
		})
		if took := time.Since(began); took > time.Second {
			h.t.Errorf("the tags came after %v", took)
		}
		if err := n2.Leave(h.bounded()); err != nil { // which waits for n1 to acknowledge it, in vain
			h.t.Fatal(err)
		}
		if m, _ := n1.Registry().Get("n2"); m.State != swim.Left {
			h.t.Errorf("n1 sees n2 %v, want left", m.State)
		}
	})
}

// Who was cut off from everything and reads the log again reads to its end first: it refutes what is held against itself,
// and then takes each of the others as they are by now, not as they have been.
func TestCatchingUpReplaces(t *testing.T) {
	t.Parallel()
	inBubble(t, func(h *house) {
		way := newLine(h.log)
		n1, n2, n3 := three(h, way)
		way.cut()
		h.ether.divide(alone)
		sees(h.t, n2, "n1", swim.Failed)
		sees(h.t, n3, "n1", swim.Failed)
		for _, role := range []string{"web", "db", "queue"} {
			if err := n2.SetTags(h.t.Context(), map[string]string{"role": role}); err != nil {
				h.t.Fatal(err)
			}
			h.drained(n2)
		}
		if err := n3.Leave(h.bounded()); err != nil {
			h.t.Fatal(err)
		}
		changes := n1.Subscribe(64)
		time.Sleep(10 * time.Second)                     // of the bubble's time: the events are old when they are read
		way.between.Store(int64(100 * time.Millisecond)) // so that each could be acted on before the next is read
		way.mend()
		sees(h.t, n1, "n3", swim.Left)
		synctest.Wait() // the view comes first, then who subscribed
		var took []string
		for len(changes.C) > 0 {
			n := <-changes.C
			took = append(took, fmt.Sprint(n.Subject, " ", n.Kind, " ", n.Tags))
		}
		want := []string{"n1 refuted []", "n2 tagged [{role queue}]", "n3 left []"}
		if !slices.Equal(took, want) {
			h.t.Errorf("n1 took %q, want %q", took, want)
		}
		h.ether.divide(nil)
		sees(h.t, n2, "n1", swim.Alive)
		h.drained(n1)
		story := h.story()
		if last := story[len(story)-1]; !strings.HasPrefix(last, "n1 refuted ") {
			h.t.Errorf("the log ends with %q, want the refutation", last)
		}
	})
}
