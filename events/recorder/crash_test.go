package recorder_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/swim"
)

// I1, I2, I4, I11: the member dies at every append in turn, just before it reaches the log and just after, and comes back
// with the same outbox. The log answers as a single server whose duplicate window is over: an append that names the right
// position is stored whatever its id, so a Duplicate answer here would have been a second copy.
func TestCrashAtEveryAppend(t *testing.T) {
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after=%t", after), func(t *testing.T) {
			for point := 1; ; point++ {
				more := true
				bubble(t, func(t *testing.T, log *memlog.Log) { more = crashAt(t, log, point, after) })
				if !more || t.Failed() {
					break
				}
			}
		})
	}
}

// crashAt runs the scenario with a crash at the append numbered point and reports whether there was one.
func crashAt(t *testing.T, log *memlog.Log, point int, after bool) bool {
	t.Helper()
	log.SetConflictFirst(true)
	inject(t, log, events.Joined, "b", "b", 1)
	for i := range 3 {
		inject(t, log, events.Joined, victim(i), victim(i), 1)
	}
	inject(t, log, events.Suspected, victim(1), "b", 1) // so that ours about it is accused
	crash := &crashLog{Log: log, point: point, after: after}
	m := &member{t: t, id: "a", path: filepath.Join(t.TempDir(), "a.db")}
	m.run(crash)
	crash.arm(m.cancel)
	m.record(joined("a"), suspected(victim(0)), suspected(victim(1)), own(swim.TransitionRefuted, "a", 2),
		suspected(victim(2)), own(swim.TransitionRefuted, "a", 3))
	drained, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func(done <-chan struct{}) {
		<-done
		cancel()
	}(m.done)
	err := m.Drained(drained)
	m.stop()
	if err != nil {
		m.run(log)
		m.drained()
		if d := m.Stats().Duplicates; d != 0 {
			t.Errorf("crash at append %d: %d events would have been stored twice", point, d)
		}
		m.stop()
	}
	all := lawful(t, log)
	if got := story(all, "a"); !slices.Equal(got, []string{"a joined 1", "a refuted 2", "a refuted 3"}) {
		t.Errorf("crash at append %d: the log has %v", point, got)
	}
	for i := range 3 {
		want := map[events.Kind]int{events.Joined: 1, events.Suspected: 1}
		if i == 1 {
			want[events.Accused] = 1
		}
		if got := kinds(all, victim(i)); !maps.Equal(got, want) {
			t.Errorf("crash at append %d: the log has %v about %s", point, got, victim(i))
		}
	}
	return crash.fired()
}

// crashLog ends the process at one append, before or after it is stored. Nothing gets through afterwards.
type crashLog struct {
	*memlog.Log
	point int
	after bool

	mu    sync.Mutex
	kill  func()
	count int
}

func (l *crashLog) arm(kill func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kill = kill
}

func (l *crashLog) fired() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count >= l.point
}

func (l *crashLog) Append(ctx context.Context, ev events.Event, expect uint64) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if l.count > l.point {
		return 0, events.ErrUnavailable
	}
	if l.count < l.point || l.after {
		position, err := l.Log.Append(ctx, ev, expect)
		if l.count < l.point {
			return position, err
		}
	}
	l.kill()
	return 0, events.ErrUnavailable
}

// A recorder that was stopped goes on where it was when it runs again.
func TestRunAgain(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := start(t, log, "m0")
		m.record(joined("m0"))
		m.drained()
		log.SetAvailable(false)
		m.record(own(swim.TransitionRefuted, "m0", 2))
		time.Sleep(time.Minute)
		m.cancel()
		if <-m.done; m.err != nil {
			t.Fatalf("Run: %v, want nil when its context ends", m.err)
		}
		log.SetAvailable(true)
		m.runAgain()
		m.drained()
		if got := story(lawful(t, log), "m0"); !slices.Equal(got, []string{"m0 joined 1", "m0 refuted 2"}) {
			t.Errorf("the log has %v", got)
		}
	})
}
