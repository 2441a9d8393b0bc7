package projector_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projections"
	"rollcall/projections/projector"
)

func TestFoldsWhatIsThereAndWhatComes(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2")
	p := start(t, projector.Config{Log: log})
	p.reach(2)
	p.reach(log.say(events.Suspected, "n1", "n2", 1))
	p.View(func(v *projections.Views) {
		if n, ok := v.Registry.Node("n1"); !ok || n.State != events.StateSuspect || n.By != "n2" {
			t.Errorf("n1 is %+v", n)
		}
	})
	if err := p.stop(); err != nil {
		t.Errorf("Run after cancel: %v", err)
	}
	if err := p.Run(t.Context()); !errors.Is(err, projector.ErrRunning) {
		t.Errorf("second Run: %v", err)
	}
}

func TestConfigIsRefusedByField(t *testing.T) {
	log := memlog.New("test")
	for field, cfg := range map[string]projector.Config{
		"Log":              {Cluster: "test"},
		"Cluster":          {Log: log, Cluster: "no spaces"},
		"SnapshotEvery":    {Log: log, Cluster: "test", SnapshotEvery: -1},
		"SnapshotInterval": {Log: log, Cluster: "test", SnapshotInterval: -1},
		"HeartbeatEvery":   {Log: log, Cluster: "test", HeartbeatEvery: -1},
	} {
		if _, err := projector.Open(cfg); !errors.Is(err, projector.ErrConfig) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestReadyOnlyWhenLevelWithTheLog(t *testing.T) {
	log := newTape(t)
	last := log.joins("n1", "n2", "n3")
	log.SetAvailable(false)
	p := start(t, projector.Config{Log: log})
	if s := p.Status(); s.Ready || s.State != projector.CatchingUp || !s.Heartbeat.IsZero() {
		t.Errorf("before the log answered: %+v", s)
	}
	log.SetAvailable(true)
	p.reach(last)
	until(t, "ready", func() bool { return p.Status().Ready })
	if s := p.Status(); s.State != projector.Live || s.Last != last || s.Lag.Events != 0 || s.Identity == "" {
		t.Errorf("level: %+v", s)
	}
}

func TestEmptyLogIsReady(t *testing.T) {
	p := start(t, projector.Config{Log: newTape(t)})
	until(t, "ready", func() bool { return p.Status().Ready })
	if s := p.Status(); s.State != projector.Live || s.Position != 0 {
		t.Errorf("%+v", s)
	}
}

// A log that is away is no reason to stop: the views stay readable, and their age shows.
func TestLogAwayShowsInLagAndIsWaitedFor(t *testing.T) {
	log := newTape(t)
	log.joins("n1")
	p := start(t, projector.Config{Log: log})
	p.reach(1)
	until(t, "live", func() bool { s := p.Status(); return s.State == projector.Live && s.Lag.Seconds == 0 })
	log.SetAvailable(false)
	until(t, "older", func() bool { s := p.Status(); return s.LogError != nil && s.Lag.Seconds > 0.03 })
	if s := p.Status(); !errors.Is(s.LogError, events.ErrUnavailable) || !s.Ready || s.Lag.Events != 0 {
		t.Errorf("away: %+v", s)
	}
	log.SetAvailable(true)
	p.reach(log.joins("n2"))
	until(t, "fresh", func() bool { s := p.Status(); return s.LogError == nil && s.Lag.Seconds == 0 })
}

func TestStopsWhereGoingOnWouldBeWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(*tape)
		want  error
	}{
		"replaced": {func(l *tape) { l.Replace() }, events.ErrReplaced},
		"unknown kind": {func(l *tape) {
			l.Inject("rollcall.test.node.n1.n1.promoted", []byte(`{}`))
		}, events.ErrUnknownKind},
	} {
		t.Run(name, func(t *testing.T) {
			log := newTape(t)
			log.joins("n1", "n2")
			p := start(t, projector.Config{Log: log})
			p.reach(2)
			tc.spoil(log)
			until(t, "stopped", func() bool { return p.Status().State == projector.Stopped })
			s := p.Status()
			if s.Ready || !errors.Is(s.Stopped, tc.want) || !errors.Is(s.Stopped, projector.ErrStopped) || s.Position != 2 {
				t.Errorf("%+v", s)
			}
			if err := p.WaitFor(t.Context(), 99); !errors.Is(err, tc.want) {
				t.Errorf("WaitFor: %v", err)
			}
			if err := p.stop(); !errors.Is(err, tc.want) {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

func TestHistoryThatNoLongerReachesBackStops(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2", "n3")
	log.Trim(2)
	p := open(t, projector.Config{Log: log})
	if err := p.Run(t.Context()); !errors.Is(err, events.ErrIncomplete) {
		t.Errorf("Run: %v", err)
	}
}

func TestAnotherClustersLogIsRefused(t *testing.T) {
	p := open(t, projector.Config{Log: memlog.New("other")})
	if err := p.Run(t.Context()); !errors.Is(err, events.ErrReplaced) || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("Run: %v", err)
	}
}

// An event that cannot be read is counted and shown, marks its node, and the fold goes on.
func TestUnreadableEventMarksItsNode(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2")
	bad := log.Inject("rollcall.test.node.n1.n1.tagged", []byte(`not JSON`))
	p := start(t, projector.Config{Log: log})
	p.reach(log.joins("n3"))
	s := p.Status()
	if s.RejectedTotal != 1 || len(s.Rejected) != 1 || s.Rejected[0].Position != bad || s.Rejected[0].Node != "n1" {
		t.Errorf("rejected: %d %+v", s.RejectedTotal, s.Rejected)
	}
	p.View(func(v *projections.Views) {
		if n, _ := v.Registry.Node("n1"); n.Rejected != 1 || n.State != events.StateAlive {
			t.Errorf("n1: %+v", n)
		}
		if n, _ := v.Registry.Node("n3"); n.State != events.StateAlive {
			t.Errorf("n3: %+v", n)
		}
	})
}

func TestWaitForEndsWithItsContext(t *testing.T) {
	p := start(t, projector.Config{Log: newTape(t)})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := p.WaitFor(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("WaitFor: %v", err)
	}
}

// slowInfo is a log whose answer about itself arrives after events that came later than it.
type slowInfo struct {
	*tape
	late func()
}

func (l *slowInfo) Info(ctx context.Context) (events.Info, error) {
	info, err := l.tape.Info(ctx)
	l.late()
	return info, err
}

// The fold may overtake an answer about how far the log reaches; that is no sign of another log.
func TestAnswerThatTheFoldOvertookIsNoReplacement(t *testing.T) {
	log := &slowInfo{tape: newTape(t)}
	log.joins("n1", "n2")
	var p *projector.Projector
	asked := 0
	log.late = func() {
		if asked++; asked > 1 && asked < 5 { // the first is before the fold begins
			position := log.evidence(1)
			until(t, "folded", func() bool { return p.Position() >= position })
		}
	}
	p = open(t, projector.Config{Log: log})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	until(t, "overtaken three times, or stopped", func() bool { s := p.Status(); return s.Position >= 5 || s.Stopped != nil })
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// stalled is a log that answers about itself and yields nothing until it is let go.
type stalled struct {
	*tape
	gate chan struct{}
}

func (l *stalled) Subscribe(
	ctx context.Context, filter events.Filter, from events.From,
) iter.Seq2[events.Recorded, error] {
	return func(yield func(events.Recorded, error) bool) {
		select {
		case <-l.gate:
			l.tape.Subscribe(ctx, filter, from)(yield)
		case <-ctx.Done():
		}
	}
}

func TestBehindIsCountedAndNotReady(t *testing.T) {
	log := &stalled{newTape(t), make(chan struct{})}
	log.joins("n1", "n2", "n3")
	p := start(t, projector.Config{Log: log})
	until(t, "told how far the log reaches", func() bool { return p.Status().Last == 3 })
	if s := p.Status(); s.Ready || s.State != projector.CatchingUp || s.Lag.Events != 3 || s.Lag.Seconds <= 0 {
		t.Errorf("behind: %+v", s)
	}
	close(log.gate)
	p.reach(3)
	until(t, "live", func() bool { s := p.Status(); return s.Ready && s.Lag == projector.Lag{} })
}

// lagging is a log whose new leader knows of fewer events than were read, while behind says so.
type lagging struct {
	*tape
	behind atomic.Uint64
}

func (l *lagging) Info(ctx context.Context) (events.Info, error) {
	info, err := l.tape.Info(ctx)
	info.Last -= min(info.Last, l.behind.Load())
	return info, err
}

// A leader that has yet to catch up is a log that does not answer for a while, and no reason to stop.
func TestLogThatSaysTooLittleIsWaitedFor(t *testing.T) {
	log := &lagging{tape: newTape(t)}
	p := start(t, projector.Config{Log: log})
	p.reach(log.joins("n1", "n2", "n3"))
	until(t, "ready", func() bool { return p.Status().Ready })
	for _, behind := range []uint64{1, 3} { // one event, and all of them
		log.behind.Store(behind)
		until(t, "said, or stopped", func() bool { s := p.Status(); return s.LogError != nil || s.Stopped != nil })
		if s := p.Status(); !errors.Is(s.LogError, events.ErrUnavailable) || s.Stopped != nil || !s.Ready || s.Position != 3 {
			t.Fatalf("%d behind: %+v", behind, s)
		}
		log.behind.Store(0)
		until(t, "fresh", func() bool { s := p.Status(); return s.LogError == nil && s.Lag.Seconds == 0 })
	}
	p.reach(log.joins("n4"))
}
