package swimsim_test

import (
	"errors"
	"testing"
	"time"

	"rollcall/swim"
	"rollcall/swim/swimsim"
)

// What grows over hours shows in hours: five members, quiet but for what each test does, in virtual time.

// lastCrash runs a cluster of five through some troubles of n4, pause apart, then crashes it, and returns how long after that
// it was first suspected, and when the last of the others held it failed.
func lastCrash(t *testing.T, seed uint64, times int, pause time.Duration, trouble func(w *swimsim.World, m *swimsim.Member)) (first, last time.Duration) {
	t.Helper()
	var crashed time.Duration
	suspected := 0
	w := swimsim.New(swimsim.Config{Seed: seed, Checked: true, Watch: func(o swimsim.Observation) {
		switch {
		case o.Subject != "n4":
		case o.Kind == swim.TransitionSuspected:
			suspected++
			if crashed > 0 && first == 0 {
				first = o.At - crashed
			}
		case o.Kind == swim.TransitionFailed && crashed > 0:
			last = o.At - crashed
		}
	}})
	for i := range 5 {
		w.Start(swimsim.Name(i))
	}
	w.Form()
	m := w.Member("n4")
	for range times {
		w.Run(pause)
		before := suspected
		trouble(w, m)
		if suspected == before {
			t.Errorf("the trouble at %v was not noticed: it tests nothing", w.Now())
		}
	}
	w.Run(3 * time.Second)
	if err := errors.Join(w.Err(), w.Disagreement()); err != nil {
		t.Error(err)
	}
	crashed = w.Now()
	w.Crash(m)
	w.Run(2 * time.Minute)
	return first, last
}

// blip blocks a member until it is suspected, and lets it answer.
func blip(w *swimsim.World, m *swimsim.Member) {
	w.Block(m)
	w.Run(1700 * time.Millisecond)
	w.Thaw(m)
	w.Run(2 * time.Second)
}

// restart crashes a member and starts it again before it is failed.
func restart(w *swimsim.World, m *swimsim.Member) {
	w.Crash(m)
	w.Run(1700 * time.Millisecond)
	w.Start(m.ID).Join(w.Member("n0"))
	w.Run(2 * time.Second)
}

// I12: a crash is found as fast after earlier suspicions as without.
func TestEarlierSuspicionsDoNotHideACrash(t *testing.T) {
	for _, c := range []struct {
		name    string
		times   int
		pause   time.Duration
		trouble func(*swimsim.World, *swimsim.Member)
	}{
		{"none", 0, 0, nil},
		{"blips an hour apart", 6, time.Hour, blip},
		{"blips a minute apart", 6, 60 * time.Second, blip},
		{"restarts ten minutes apart", 5, 10 * time.Minute, restart},
	} {
		for seed := range uint64(5) {
			first, last := lastCrash(t, seed, c.times, c.pause, c.trouble)
			if first == 0 || first > 3*time.Second || last > 5*time.Second {
				t.Errorf("%s, seed %d: suspected after %v, failed everywhere after %v", c.name, seed, first, last)
			}
		}
	}
}

// A cluster that grows fast is well: nobody in it is held silent because its members ask more seldom than they did (I13).
func TestFastGrowthIsNoSilence(t *testing.T) {
	for _, from := range []int{3, 5, 10} {
		w := swimsim.New(swimsim.Config{Seed: 1, Checked: true, Watch: func(o swimsim.Observation) {
			if o.Kind == swim.TransitionHealthCheckFailed || o.Kind == swim.TransitionSuspected {
				t.Errorf("from %d members, %v: %s reports %s %s (φ %.1f)", from, o.At, o.By.ID, o.Subject, o.Kind, o.Evidence.Phi)
			}
		}})
		for i := range from {
			w.Start(swimsim.Name(i))
		}
		w.Form()
		w.Run(10 * time.Minute)
		for i := from; i < 17; i++ {
			w.Start(swimsim.Name(i)).Join(w.Member("n0"))
			w.Run(3 * time.Second / time.Duration(17-from))
		}
		w.Run(5 * time.Minute)
		if err := errors.Join(w.Err(), w.Disagreement()); err != nil {
			t.Error(err)
		}
	}
}

// I15: a member that left is forgotten after an hour, however many join meanwhile.
func TestTheDepartedAreForgottenWhereOthersJoin(t *testing.T) {
	w := swimsim.New(swimsim.Config{Seed: 1, Checked: true})
	for i := range 4 {
		w.Start(swimsim.Name(i))
	}
	w.Form()
	w.Leave(w.Member("n3"))
	w.Run(time.Minute)
	for i := range 6 {
		w.Run(20 * time.Minute)
		through := w.Member("n0")
		if i > 0 {
			through = w.Member(swimsim.Name(3 + i)) // the youngest
		}
		w.Start(swimsim.Name(4 + i)).Join(through)
	}
	w.Run(time.Minute)
	for _, m := range w.Members() {
		for _, row := range m.Node.Members(nil) {
			if m.Running() && row.ID == "n3" {
				t.Errorf("%s still holds n3 %v, two hours after it left", m.ID, row.State)
			}
		}
	}
	if err := errors.Join(w.Err(), w.Disagreement()); err != nil {
		t.Error(err)
	}
}
