package swimsim

import (
	"strings"
	"testing"
	"time"

	"rollcall/swim"
)

// A checker that cannot fail shows nothing: each invariant is broken once, by a claim that no honest member makes.

func checkedWorld(n int) *World {
	w := New(Config{Seed: 1, Checked: true, Log: &LogConfig{}})
	for i := range n {
		w.Start(Name(i))
	}
	w.Form()
	w.Run(5 * time.Second)
	return w
}

func wantBreach(t *testing.T, w *World, invariant string) {
	t.Helper()
	if err := w.Err(); err == nil || !strings.HasPrefix(err.Error(), invariant) {
		t.Errorf("the checker says %v, want a breach of %s", err, invariant)
	}
}

func TestCheckerSeesI5AnIllegalPath(t *testing.T) {
	w := checkedWorld(4)
	w.log.keep(&Record{Kind: swim.TransitionSuspected, Subject: "n1", Author: "n0", Incarnation: 7}, Applied)
	wantBreach(t, w, "I5")
}

func TestCheckerSeesI6AStepBack(t *testing.T) {
	w := checkedWorld(4)
	n0 := w.Member("n0")
	row := w.Member("n1").Node.Self()
	row.State = swim.Failed
	w.checker.member(n0, &row)
	row.State = swim.Alive
	w.checker.member(n0, &row)
	wantBreach(t, w, "I6")
}

func TestCheckerSeesI7ARaiseByAnother(t *testing.T) {
	w := checkedWorld(4)
	n1 := w.Member("n1").Node.Self()
	w.Member("n0").step(swim.FromLog(&swim.LogClaim{ID: "n1", Addr: n1.Addr, Incarnation: 99, State: swim.Alive}))
	wantBreach(t, w, "I7")
}

func TestCheckerSeesI8AVerdictWithoutAQuorum(t *testing.T) {
	w := checkedWorld(4)
	w.checker.transition(w.Member("n0"), &swim.Transition{Kind: swim.TransitionFailed, Subject: "n1", Author: "n0",
		Incarnation: 1, Evidence: swim.Evidence{Reason: "suspicion time over"}})
	wantBreach(t, w, "I8")

	w = checkedWorld(4)
	w.log.keep(&Record{Kind: swim.TransitionSuspected, Subject: "n1", Author: "n0", Incarnation: 1}, Applied)
	w.log.keep(&Record{Kind: swim.TransitionFailed, Subject: "n1", Author: "n0", Incarnation: 1}, Applied)
	wantBreach(t, w, "I8")
}

func TestCheckerSeesI15AFlood(t *testing.T) {
	w := checkedWorld(4)
	for range sentMax + 1 {
		w.send(w.Member("n0"), &swim.Effect{Kind: swim.EffectSend, To: swim.Peer{ID: "n1", Addr: w.Member("n1").Addr}})
	}
	wantBreach(t, w, "I15")
}

func TestDisagreementSeesWhoIsMissedAndWhoIsFailed(t *testing.T) {
	w := checkedWorld(8)
	if err := w.Disagreement(); err != nil {
		t.Fatalf("a quiet cluster: %v", err)
	}
	w.Crash(w.Member("n3"))
	if err := w.Disagreement(); err == nil || !strings.HasPrefix(err.Error(), "I12") {
		t.Errorf("right after a crash: %v, want I12", err)
	}
	w.Run(10 * time.Second)
	if err := w.Disagreement(); err != nil {
		t.Errorf("long after a crash: %v", err)
	}
	n1 := w.Member("n1")
	w.Cut(func(from, to *Member) bool { return from == n1 || to == n1 })
	w.log.Detach(n1)
	w.Run(10 * time.Second)
	if err := w.Disagreement(); err == nil || !strings.HasPrefix(err.Error(), "I13") {
		t.Errorf("with a member cut off: %v, want I13", err)
	}
}

// The log refuses what the rules refuse, whoever sends it.
func TestLogKeepsOneLegalHistory(t *testing.T) {
	w := New(Config{Seed: 1, Log: &LogConfig{}})
	for i := range 5 {
		w.Start(Name(i))
	}
	w.Run(time.Second)
	l := w.log
	say := func(kind swim.TransitionKind, subject, author swim.ID, incarnation uint64, want Ruling) {
		t.Helper()
		r := &Record{Kind: kind, Subject: subject, Author: author, Incarnation: incarnation}
		ruling := l.rule(r)
		if ruling != want {
			t.Errorf("%v of %s@%d by %s: %v, want %v", kind, subject, incarnation, author, ruling, want)
		}
	}
	say(swim.TransitionFailed, "n1", "n0", 1, waits) // one accuser of three
	say(swim.TransitionSuspected, "n1", "n0", 1, Evident)
	say(swim.TransitionSuspected, "n1", "n2", 1, Evident)
	say(swim.TransitionSuspected, "n1", "n2", 1, Evident) // the same again is no second accuser
	say(swim.TransitionFailed, "n1", "n2", 1, waits)
	say(swim.TransitionSuspected, "n1", "stranger", 1, waits)
	say(swim.TransitionRefuted, "n1", "n1", 2, Applied)
	say(swim.TransitionFailed, "n1", "n3", 1, Late)
	say(swim.TransitionFailed, "n1", "n3", 3, waits) // nobody but n1 says that it is at 3
	for _, author := range []swim.ID{"n0", "n2", "n3"} {
		want := Evident
		if author == "n0" {
			want = Applied
		}
		say(swim.TransitionSuspected, "n1", author, 2, want)
	}
	say(swim.TransitionFailed, "n1", "n3", 2, Applied)
	say(swim.TransitionFailed, "n1", "n0", 2, Late)
	say(swim.TransitionSuspected, "n2", "n1", 1, waits) // who is failed accuses nobody
	say(swim.TransitionLeft, "n1", "n1", 2, Applied)
	say(swim.TransitionSuspected, "n1", "n0", 2, Late)
}
