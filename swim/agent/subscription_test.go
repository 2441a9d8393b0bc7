package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"rollcall/swim"
)

// TestSlowSubscriber: each reader has its own bound, and learns with its next notice how many it missed.
func TestSlowSubscriber(t *testing.T) {
	subs := newSubscribers()
	quick, slow := subs.add(10), subs.add(2)
	publish := func(count int) {
		for range count {
			subs.publish(swim.Transition{Kind: swim.TransitionJoined})
		}
	}
	missed := func(s *Subscription) (counts []uint64) {
		for range len(s.C) {
			counts = append(counts, (<-s.C).Missed)
		}
		return counts
	}
	publish(7)
	if got := missed(slow); len(got) != 2 || got[0]+got[1] != 0 {
		t.Errorf("slow: %v", got)
	}
	publish(1)
	if got := missed(slow); len(got) != 1 || got[0] != 5 {
		t.Errorf("slow missed %v, want 5", got)
	}
	publish(1)
	if got := missed(slow); len(got) != 1 || got[0] != 0 {
		t.Errorf("slow was told again: %v", got)
	}
	total := uint64(0)
	for _, m := range missed(quick) {
		total += m
	}
	if total != 0 {
		t.Errorf("quick missed %d", total)
	}
	slow.Close()
	slow.Close()
	if _, ok := <-slow.C; ok {
		t.Error("open after Close")
	}
	publish(1)
	if got := len(quick.C); got != 1 {
		t.Errorf("quick has %d after another closed", got)
	}
	subs.close()
}

// TestMissedWithNothingToFollow: a slow reader is told what it lost last, too, while the agent runs and after its end
// (requirements 1.16).
func TestMissedWithNothingToFollow(t *testing.T) {
	for name, end := range map[string]func(*subscribers, *Subscription){
		"goes on":      func(*subscribers, *Subscription) {},
		"closed":       func(_ *subscribers, s *Subscription) { s.Close() },
		"agent closed": func(subs *subscribers, _ *Subscription) { subs.close() },
	} {
		t.Run(name, func(t *testing.T) {
			subs := newSubscribers()
			slow := subs.add(1)
			for range 4 {
				subs.publish(swim.Transition{Kind: swim.TransitionJoined})
			}
			end(subs, slow)
			if n := <-slow.C; n.Missed != 0 {
				t.Errorf("missed %d before the first", n.Missed)
			}
			for range 2 { // to ask changes nothing
				if got := slow.Missed(); got != 3 {
					t.Errorf("missed %d, want 3", got)
				}
			}
			subs.publish(swim.Transition{Kind: swim.TransitionJoined})
			if n, open := <-slow.C; open && (n.Missed != 3 || slow.Missed() != 0) {
				t.Errorf("the next says %d, and %d are left to say; want 3 and 0", n.Missed, slow.Missed())
			}
		})
	}
}

// TestSubscribeToChanges: what others do arrives typed and in order, and a bound below one is one.
func TestSubscribeToChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t)
		agents := w.form(3)
		sub, tiny := agents[0].Subscribe(16), agents[0].Subscribe(-1)
		expect := func(s *Subscription, want swim.TransitionKind) {
			t.Helper()
			select {
			case n := <-s.C:
				if n.Kind != want || n.Subject != "n2" || n.Own {
					t.Errorf("got %v %s, want %v of n2", n.Kind, n.Subject, want)
				}
			case <-time.After(time.Minute):
				t.Errorf("no notice that n2 %v", want)
			}
		}
		if err := agents[1].SetTags(t.Context(), swim.Tags{{Key: "a", Value: "b"}}); err != nil {
			t.Fatal(err)
		}
		expect(sub, swim.TransitionTagged) // before the departure, which would take its place in the gossip
		if err := agents[1].Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(sub, swim.TransitionLeft)
		expect(tiny, swim.TransitionTagged)
		closeAll(t, agents...)
	})
}
