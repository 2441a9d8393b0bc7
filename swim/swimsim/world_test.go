package swimsim_test

import (
	"testing"
	"time"

	"rollcall/swim"
	"rollcall/swim/swimsim"
)

// seen counts the observations of a kind about a subject.
func seen(counts map[swim.TransitionKind]int, subject swim.ID) func(swimsim.Observation) {
	return func(o swimsim.Observation) {
		if o.Subject == subject {
			counts[o.Kind]++
		}
	}
}

func TestFrozenMemberReadsWhatItsSocketKept(t *testing.T) {
	counts := map[swim.TransitionKind]int{}
	w := cluster(swimsim.Config{Seed: 2, Watch: seen(counts, "n4")}, 8)
	m := w.Member("n4")
	w.Freeze(m)
	w.Run(700 * time.Millisecond)
	w.Thaw(m)
	w.Run(10 * time.Second)
	if counts[swim.TransitionFailed] != 0 || !w.Agreed() {
		t.Errorf("a member that stood still for 0.7 s: %v", counts)
	}
	w.Freeze(m)
	w.Run(10 * time.Second)
	if counts[swim.TransitionFailed] != 7 {
		t.Errorf("a member that stands still for 10 s: %v, want 7 to hold it failed", counts)
	}
	w.Thaw(m)
	w.Run(10 * time.Second)
	if !w.Agreed() || m.Node.Live() != 8 {
		t.Errorf("after the thaw it knows %d of 8 members", m.Node.Live())
	}
}

func TestBlockedMemberJudgesNobody(t *testing.T) {
	var verdicts int
	w := cluster(swimsim.Config{Seed: 2, Watch: func(o swimsim.Observation) {
		if o.Kind == swim.TransitionFailed && o.Subject != "n4" {
			verdicts++
		}
	}}, 8)
	m := w.Member("n4")
	w.Block(m)
	w.Run(20 * time.Second)
	if verdicts != 0 {
		t.Errorf("%d verdicts about members that are well", verdicts)
	}
	w.Thaw(m)
	w.Run(10 * time.Second)
	if !w.Agreed() || m.Node.Live() != 8 {
		t.Errorf("after the thaw it knows %d of 8 members", m.Node.Live())
	}
}

// firstSuspect kills a member's process and returns how long it took until somebody suspected it.
func firstSuspect(hints bool) time.Duration {
	var first time.Duration
	var killed time.Duration
	w := cluster(swimsim.Config{Seed: 9, Hints: hints, Watch: func(o swimsim.Observation) {
		if o.Kind == swim.TransitionSuspected && first == 0 {
			first = o.At - killed
		}
	}}, 64)
	killed = w.Now()
	w.Kill(w.Member("n7"))
	w.Run(10 * time.Second)
	return first
}

// A host that says that nobody listens shortens a probe, not the way to a verdict.
func TestHintsBringASuspicionForward(t *testing.T) {
	with, without := firstSuspect(true), firstSuspect(false)
	if with == 0 || with >= without {
		t.Errorf("first suspected after %v with hints, %v without", with, without)
	}
}

// I6, I7: a member that comes back with nothing goes above what the others remember.
func TestRestartWithLostStateRisesAboveItsEarlierLife(t *testing.T) {
	for _, log := range []*swimsim.LogConfig{nil, {}} {
		w := swimsim.New(swimsim.Config{Seed: 4, Checked: true, Log: log})
		for i := range 6 {
			w.Start(swimsim.Name(i))
		}
		w.Form()
		m := w.Member("n2")
		w.Crash(m)
		w.Run(8 * time.Second)
		w.Start("n2").Join(w.Member("n0"))
		w.Run(8 * time.Second)
		if err := w.Disagreement(); err != nil || m.Node.Self().Incarnation < 2 {
			t.Errorf("incarnation %d, %v", m.Node.Self().Incarnation, err)
		}
		if err := w.Err(); err != nil {
			t.Error(err)
		}
	}
}

// I12, I14 without gossip's help and without the log's: each alone is enough.
func TestLogAwayAndBack(t *testing.T) {
	w := swimsim.New(swimsim.Config{Seed: 6, Checked: true, Log: &swimsim.LogConfig{}})
	for i := range 8 {
		w.Start(swimsim.Name(i))
	}
	w.Form()
	w.Run(5 * time.Second)
	w.Log().Stop()
	w.Crash(w.Member("n3"))
	w.Run(10 * time.Second)
	for _, m := range w.Members() {
		if m.Running() && m.Node.Live() != 7 {
			t.Errorf("with the log away %s holds %d alive, want 7", m.ID, m.Node.Live())
		}
	}
	if claim, _ := w.Log().Node("n3"); claim.State != swim.Alive {
		t.Errorf("the log that is away holds n3 %v", claim.State)
	}
	w.Log().Restore()
	w.Run(2 * time.Second)
	if claim, _ := w.Log().Node("n3"); claim.State != swim.Failed {
		t.Errorf("the log that is back holds n3 %v, want failed", claim.State)
	}
	if err := w.Err(); err != nil {
		t.Error(err)
	}
}

// The outcome of a measurement does not depend on how many runs go at a time.
func TestMeasureIsTheSameWithAnyNumberOfWorkers(t *testing.T) {
	crash := swimsim.Scenarios()[0]
	one := swimsim.Measure(crash, swimsim.Setup{Members: 16}, 50, 4, 1)
	three := swimsim.Measure(crash, swimsim.Setup{Members: 16}, 50, 4, 3)
	if one.Quiet != three.Quiet || one.Trouble != three.Trouble || len(one.Everywhere) != len(three.Everywhere) {
		t.Errorf("one worker: %+v, three: %+v", one, three)
	}
}

// Every scenario runs, small, and fails nobody who is well.
func TestScenarios(t *testing.T) {
	for _, sc := range swimsim.Scenarios() {
		level := 0.0
		if len(sc.Levels) > 0 {
			level = sc.Levels[1]
		}
		o := swimsim.Measure(sc, swimsim.Setup{Members: 16, Level: level}, 60, 1, 1)
		if o.Verdicts+o.Missed+o.Apart != 0 {
			t.Errorf("%s: %d verdicts about the well, %d crashes missed, %d runs apart", sc.Name, o.Verdicts, o.Missed, o.Apart)
		}
		if rate, _, _ := o.Quiet.Rate(); rate == 0 {
			t.Errorf("%s: nothing was sent", sc.Name)
		}
	}
}
